"""The store of what was scored and published, in SQLite or another SQL database."""

from churnrisk.history.actions import hand_out, past_actions
from churnrisk.history.codec import contributions_texts, read_move, read_reasons, read_what_if, with_texts
from churnrisk.history.overrides import (
    NewOverride,
    active_overrides,
    add_override,
    all_overrides,
    with_overrides,
)
from churnrisk.history.reviews import end_override
from churnrisk.history.rows import SCORE_COLUMNS
from churnrisk.history.run import NewRun, Publication, check_colour_jump
from churnrisk.history.store import HistoryStore
from churnrisk.history.wanted import FAMILIES, NONE, RedListQuery

__all__ = [
    "HistoryStore",
    "RedListQuery",
    "FAMILIES",
    "NONE",
    "NewRun",
    "Publication",
    "SCORE_COLUMNS",
    "contributions_texts",
    "read_move",
    "read_reasons",
    "read_what_if",
    "with_texts",
    "check_colour_jump",
    "NewOverride",
    "add_override",
    "end_override",
    "active_overrides",
    "all_overrides",
    "with_overrides",
    "hand_out",
    "past_actions",
]
