from .local import ScoreFile, require_ending, write_scores
from .moves import MIN_CHANGE, Mover, PreviousRun, colour_causes
from .outcomes import RecordedOutcomes, label_window, record_outcomes, weigh_promises
from .prepare import ScoringTask, deadlines_of, playbook_of, policy_of
from .run import score
from .settled import ScoringResult, state_of
from .sinks import SINKS, RunChanges
from .what_if import WhatIfFinder, add_what_ifs

__all__ = [
    "MIN_CHANGE", "Mover", "PreviousRun", "RecordedOutcomes", "RunChanges", "SINKS", "ScoreFile",
    "ScoringResult", "ScoringTask", "WhatIfFinder", "add_what_ifs", "colour_causes", "deadlines_of",
    "label_window", "playbook_of", "policy_of", "record_outcomes", "require_ending", "score", "state_of",
    "weigh_promises", "write_scores",
]  # fmt: skip
