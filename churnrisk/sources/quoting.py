"""The one place where names and texts are quoted for SQL."""

from __future__ import annotations

from datetime import datetime


def identifier(name: str) -> str:
    """Quote a column or table name.

    >>> identifier("Account ID")
    '"Account ID"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text value.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def timestamp_literal(moment: datetime) -> str:
    """Write an instant as SQL.

    >>> timestamp_literal(datetime(2026, 7, 1))
    "timestamp '2026-07-01 00:00:00'"
    """
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S}'"
