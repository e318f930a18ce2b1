from .local import ScoreFile, require_ending, write_scores
from .moves import MIN_CHANGE, Mover, PreviousRun, colour_causes
from .outcomes import record_outcomes
from .prepare import ScoringTask, deadlines_of, playbook_of, policy_of
from .run import ScoringResult, score
from .sinks import SINKS
from .what_if import WhatIfFinder, add_what_ifs

__all__ = [
    "MIN_CHANGE",
    "Mover",
    "PreviousRun",
    "SINKS",
    "ScoreFile",
    "ScoringResult",
    "ScoringTask",
    "WhatIfFinder",
    "add_what_ifs",
    "colour_causes",
    "deadlines_of",
    "playbook_of",
    "policy_of",
    "record_outcomes",
    "require_ending",
    "score",
    "write_scores",
]
