"""SQL that every reader of the tables shares: quoting, instants, "known before", and casts to the contract's types."""

from __future__ import annotations

from datetime import datetime

from churnrisk.contract.tables import Available, ColumnType

#: Dates outside of these are taken for mistakes, such as 0001-01-01 for "unknown".
EARLIEST, LATEST = "timestamp '1900-01-01'", "timestamp '9999-12-31 23:59:59.999999'"
#: Numbers beyond are taken for mistakes; fourteen digits fit into the decimals that are summed.
LARGEST = "1e14"

_NO_BREAK_SPACE = "\u00a0"
_SEVERITIES = {
    "low": 1,
    "minor": 1,
    "medium": 2,
    "normal": 2,
    "high": 3,
    "major": 3,
    "critical": 4,
    "urgent": 4,
}
_TRUE = ("true", "t", "yes", "y", "1", "1.0")
_FALSE = ("false", "f", "no", "n", "0", "0.0")


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
    """Write an instant.

    >>> timestamp_literal(datetime(2026, 7, 1))
    "timestamp '2026-07-01 00:00:00'"
    """
    return f"timestamp '{moment.isoformat(' ')}'"


def optional(available: Available, table: str, column: str, alias: str, type_: str) -> str:
    """Return ``alias.column``, or a null of the type where the table has no such column."""
    return f"{alias}.{column}" if available.has(f"{table}.{column}") else f"null::{type_}"


def known_at(available: Available, table: str, time: str, *, alias: str = "") -> str:
    """Return the instant from which a row may be used: its time, or its recording if that is later.

    This is the one definition of "known before as_of": a row counts if ``known_at(…) < as_of``.
    """
    prefix = f"{alias}." if alias else ""
    if not available.has(f"{table}.recorded_at"):
        return f"{prefix}{time}"
    return f"greatest({prefix}{time}, coalesce({prefix}recorded_at, {prefix}{time}))"


def cast(column: str, type_: ColumnType, *, native: str, date_format: str | None = None) -> str:
    """Cast a quoted raw column of DuckDB's type ``native``; null where the value does not fit, so that it is counted.

    ``date_format`` is the strptime format of text dates that are not ISO 8601.
    """
    if type_ == "timestamp":
        return _timestamp(column, native, date_format)
    if type_ == "severity":
        return _severity(column, native)
    if type_ == "boolean":
        return _boolean(column, native)
    if type_ in ("number", "integer"):
        number = as_double(column, native)
        # nan and infinity are no quantities; sums run over decimals, which end at LARGEST
        return f"case when abs({number}) < {LARGEST} then {number} end"
    if native == "VARCHAR":
        return f"nullif(trim({column}), '')"
    return f"cast({column} as varchar)"


def tidy(column: str) -> str:
    """Cast an id or text as its source spells it to the contract's; also works after grouping by spelling."""
    return f"nullif(trim(cast({column} as varchar)), '')"


def as_double(column: str, native: str) -> str:
    """Read a number, or null where there is none."""
    # DuckDB 2.0 pushes a bare try_cast into the CSV reader, where it fails instead of yielding null
    return f"try_cast(trim({column}) as double)" if native == "VARCHAR" else f"try_cast({column} as double)"


def missing(column: str, native: str) -> str:
    """Return the condition that a raw value is absent, as against present and wrong."""
    if native == "VARCHAR":
        # blanks sort before the visible characters of ASCII or behind them all, so few texts need to be trimmed
        blank = f"{column} < '!' or {column} >= '{_NO_BREAK_SPACE}'"
        return f"({column} is null or case when {blank} then trim({column}) = '' else false end)"
    return f"({column} is null)"


def _timestamp(column: str, native: str, date_format: str | None) -> str:
    moment = _moment(column, native, date_format)
    return f"case when {moment} between {EARLIEST} and {LATEST} then {moment} end"


def _moment(column: str, native: str, date_format: str | None) -> str:
    if native.startswith(("TIMESTAMP", "DATE")):
        return f"cast({column} as timestamp)"
    if native != "VARCHAR":
        # the engine cannot cast a number to a date: as text it is read or counted as wrong
        column = f"cast({column} as varchar)"
    text = f"trim({column})"
    if date_format:
        return f"try_strptime({text}, {literal(date_format)})"
    # a cast to timestamp drops an offset in the text, one to timestamptz honours it (the session's zone is
    # UTC) but takes twice as long: it is for texts that have room for an offset
    plain = f"length({column}) = 10 or length({column}) = 19 and substr({column}, 17, 1) = ':'"
    aware = f"cast(try_cast({text} as timestamptz) as timestamp)"
    return f"case when {plain} then try_cast({column} as timestamp) else {aware} end"


def _severity(column: str, native: str) -> str:
    whens = " ".join(f"when '{word}' then {level}" for word, level in _SEVERITIES.items())
    text = f"lower(trim(cast({column} as varchar)))"
    number = as_double(column, native)
    return f"coalesce(case {text} {whens} end, case when {number} between 1 and 4 then {number} end)"


def _boolean(column: str, native: str) -> str:
    if native == "BOOLEAN":
        return column
    text = f"lower(trim(cast({column} as varchar)))"
    true, false = (", ".join(map(literal, words)) for words in (_TRUE, _FALSE))
    return f"case when {text} in ({true}) then true when {text} in ({false}) then false end"
