"""The one place where names and texts are quoted for SQL."""

from __future__ import annotations


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
