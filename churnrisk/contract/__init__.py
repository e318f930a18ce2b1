"""What each table must look like, and the check that says everything that is wrong at once."""

from churnrisk.contract.check import (
    Findings,
    Part,
    blocking,
    complete_events,
    find,
    shares,
    sign_ups,
    validate,
)
from churnrisk.contract.rules import FUTURE, UNKNOWN, Rule, rules_of
from churnrisk.contract.tables import TABLES, Available, ColumnSpec, TableSpec

__all__ = [
    "FUTURE",
    "TABLES",
    "UNKNOWN",
    "Available",
    "ColumnSpec",
    "Findings",
    "Part",
    "Rule",
    "TableSpec",
    "blocking",
    "complete_events",
    "find",
    "rules_of",
    "shares",
    "sign_ups",
    "validate",
]
