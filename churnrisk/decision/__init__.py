"""From a probability to a colour that keeps a promise, and from a colour to the next step.

The names load on first use, because scikit-learn takes more than a second to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from churnrisk.lazy import lazy

if TYPE_CHECKING:
    from churnrisk.decision.bounds import lower_bound, upper_bound
    from churnrisk.decision.certificate import NO_GREEN, NO_RED
    from churnrisk.decision.config import DecisionConfig
    from churnrisk.decision.decisions import decide, hold_back, policy_version, ruled
    from churnrisk.decision.evidence import Promise, RuleEvidence, colour_evidence, rule_evidence
    from churnrisk.decision.lights import TrafficLight
    from churnrisk.decision.playbook import (
        Play,
        Playbook,
        load_playbook,
        may_go_out,
        parse_playbook,
    )
    from churnrisk.decision.rules import DEFAULT_RULES, Rule, apply_rules, rules_notes
    from churnrisk.decision.segments import Newcomers, lifecycle_stage, mark_wave, segments_of

_HOMES = {
    name: home
    for home, names in {
        "bounds": "lower_bound upper_bound",
        "certificate": "NO_GREEN NO_RED",
        "config": "DecisionConfig",
        "decisions": "decide hold_back policy_version ruled",
        "evidence": "Promise RuleEvidence colour_evidence rule_evidence",
        "lights": "TrafficLight",
        "playbook": "Play Playbook load_playbook may_go_out parse_playbook",
        "rules": "DEFAULT_RULES Rule apply_rules rules_notes",
        "segments": "Newcomers lifecycle_stage mark_wave segments_of",
    }.items()
    for name in names.split()
}

__all__ = [
    "TrafficLight",
    "NO_GREEN",
    "NO_RED",
    "Promise",
    "Rule",
    "DEFAULT_RULES",
    "apply_rules",
    "rules_notes",
    "hold_back",
    "decide",
    "ruled",
    "segments_of",
    "Newcomers",
    "mark_wave",
    "policy_version",
    "DecisionConfig",
    "colour_evidence",
    "rule_evidence",
    "RuleEvidence",
    "upper_bound",
    "lower_bound",
    "Play",
    "Playbook",
    "load_playbook",
    "parse_playbook",
    "may_go_out",
    "lifecycle_stage",
]

__getattr__ = lazy(__name__, _HOMES)
