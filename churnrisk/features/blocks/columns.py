"""Optional columns of the contract as SQL: absent ones read as typed nulls."""

from __future__ import annotations

from churnrisk.contract import Available


def optional(available: Available, table: str, column: str, alias: str, type_: str) -> str:
    """Return ``alias.column``, or a null of the type where the table has no such column."""
    return f"{alias}.{column}" if available.has(f"{table}.{column}") else f"null::{type_}"


def known_at(available: Available, table: str, alias: str, time: str) -> str:
    """Return the instant from which a row may be used: its time, or its recording if that is later."""
    if not available.has(f"{table}.recorded_at"):
        return f"{alias}.{time}"
    return f"greatest({alias}.{time}, coalesce({alias}.recorded_at, {alias}.{time}))"
