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
from churnrisk.contract.rules import FUTURE, UNKNOWN, Rule, account_rules, raw_rules, typed_rules
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
    "account_rules",
    "blocking",
    "complete_events",
    "find",
    "raw_rules",
    "shares",
    "sign_ups",
    "typed_rules",
    "validate",
]
