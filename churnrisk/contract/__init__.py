"""What each table must look like, the check that reports all violations at once, and the SQL that readers share."""

from churnrisk.contract.check import (
    FUTURE,
    UNKNOWN,
    Findings,
    Part,
    Rule,
    blocking,
    complete_events,
    find,
    rules_of,
    shares,
    sign_ups,
    validate,
)
from churnrisk.contract.sql import cast, identifier, known_at, literal, tidy, timestamp_literal
from churnrisk.contract.tables import TABLES, Available, ColumnSpec, ColumnType, TableSpec

__all__ = [
    "FUTURE",
    "TABLES",
    "UNKNOWN",
    "Available",
    "ColumnSpec",
    "ColumnType",
    "Findings",
    "Part",
    "Rule",
    "TableSpec",
    "blocking",
    "cast",
    "complete_events",
    "find",
    "identifier",
    "known_at",
    "literal",
    "rules_of",
    "shares",
    "sign_ups",
    "tidy",
    "timestamp_literal",
    "validate",
]
