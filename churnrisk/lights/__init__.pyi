from .bounds import CONTRADICTION, account_codes, churn_levels, lower_bound, tally, tally_of, upper_bound
from .certificate import NO_GREEN, NO_RED
from .config import DecisionConfig
from .decisions import Stability, colours_after_rules, decide, policy_version, stability
from .eprocess import (
    ALPHA,
    LabelWindow,
    PromiseEvidence,
    e_values,
    promise_in_force,
    separate,
    weigh,
)
from .evidence import (
    LightVerdict,
    Promise,
    RuleEvidence,
    colour_evidence,
    efficiency,
    light_verdict,
    rule_evidence,
)
from .playbook import Play, Playbook, load_playbook, may_go_out, parse_playbook
from .rules import DEFAULT_RULES, Codes, Rule, apply_rules, conditions_hold, severity, to_codes
from .segments import REST, Newcomers, accounts_needed, lifecycle_stage, mark_wave, part_segments, segments_of
from .traffic_light import TrafficLight, known_values, typical_value

__all__ = [
    "ALPHA", "CONTRADICTION", "Codes", "DEFAULT_RULES", "DecisionConfig", "LabelWindow", "LightVerdict",
    "NO_GREEN", "NO_RED", "Newcomers", "Play", "Playbook", "Promise", "PromiseEvidence", "REST", "Rule",
    "RuleEvidence", "Stability", "TrafficLight", "account_codes", "accounts_needed", "apply_rules",
    "churn_levels", "colour_evidence", "colours_after_rules", "conditions_hold", "decide", "e_values",
    "efficiency", "known_values", "lifecycle_stage", "light_verdict", "load_playbook", "lower_bound",
    "mark_wave", "may_go_out", "parse_playbook", "part_segments", "policy_version", "promise_in_force",
    "rule_evidence", "segments_of", "separate", "severity", "stability", "tally", "tally_of", "to_codes",
    "typical_value", "upper_bound", "weigh",
]  # fmt: skip
