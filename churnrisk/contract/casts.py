"""How raw values become the contract's types, as SQL expressions in DuckDB's dialect.

Every expression yields NULL where the value does not fit, so that the check can count and show what was
lost; none of them fails.
"""

from __future__ import annotations

from churnrisk.contract.tables import ColumnType

_SEVERITY_WORDS = {
    "low": 1,
    "minor": 1,
    "medium": 2,
    "normal": 2,
    "high": 3,
    "major": 3,
    "critical": 4,
    "urgent": 4,
}
#: Greater numbers are taken for mistakes; fourteen digits fit into the decimals that sums run over.
LARGEST = "1e14"
#: Earlier and later dates are taken for mistakes, such as 0001-01-01 for "unknown".
NO_BREAK_SPACE = "\u00a0"
EARLIEST, LATEST = "1900-01-01", "9999-12-31 23:59:59.999999"

_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


def cast(column: str, type_: ColumnType, *, native: str, date_format: str | None = None) -> str:
    """Return the SQL that turns a raw column into the contract's type.

    Parameters
    ----------
    column : str
        The quoted column.
    type_ : ColumnType
        What the contract wants.
    native : str
        The type the source delivers, as DuckDB names it.
    date_format : str, optional
        A strptime format for text dates that are not ISO 8601.
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
    """Return the SQL that turns an id or text as its source spells it into the contract's, also after grouping."""
    return f"nullif(trim(cast({column} as varchar)), '')"


def as_double(column: str, native: str) -> str:
    """Return the SQL that reads a number, or null where there is none."""
    # DuckDB 2.0 pushes a bare try_cast into the CSV reader, where it fails instead of yielding null
    return f"try_cast(trim({column}) as double)" if native == "VARCHAR" else f"try_cast({column} as double)"


def missing(column: str, native: str) -> str:
    """Return the SQL that says whether a raw value is absent (as against present and wrong)."""
    if native == "VARCHAR":
        # blanks sort before the visible characters of ASCII or behind them all, so few texts need to be trimmed
        blank = f"{column} < '!' or {column} >= '{NO_BREAK_SPACE}'"
        return f"({column} is null or case when {blank} then trim({column}) = '' else false end)"
    return f"({column} is null)"


def _timestamp(column: str, native: str, date_format: str | None) -> str:
    moment = _moment(column, native, date_format)
    return f"case when {moment} between timestamp '{EARLIEST}' and timestamp '{LATEST}' then {moment} end"


def _moment(column: str, native: str, date_format: str | None) -> str:
    if native.startswith(("TIMESTAMP", "DATE")):
        return f"cast({column} as timestamp)"
    if native != "VARCHAR":
        # the engine knows no way from a number to a date: as text it is read or counted as wrong
        column = f"cast({column} as varchar)"
    text = f"trim({column})"
    if date_format:
        quoted = date_format.replace("'", "''")
        return f"try_strptime({text}, '{quoted}')"
    # a cast to timestamp drops an offset in the text, one to timestamptz honours it (the session's zone is
    # UTC) but takes twice as long: it is for texts that have room for an offset
    plain = f"length({column}) = 10 or length({column}) = 19 and substr({column}, 17, 1) = ':'"
    aware = f"cast(try_cast({text} as timestamptz) as timestamp)"
    return f"case when {plain} then try_cast({column} as timestamp) else {aware} end"


def _severity(column: str, native: str) -> str:
    whens = " ".join(f"when '{word}' then {level}" for word, level in _SEVERITY_WORDS.items())
    text = f"lower(trim(cast({column} as varchar)))"
    number = as_double(column, native)
    return f"coalesce(case {text} {whens} end, case when {number} between 1 and 4 then {number} end)"


def _boolean(column: str, native: str) -> str:
    if native == "BOOLEAN":
        return column
    text = f"lower(trim(cast({column} as varchar)))"
    true = ", ".join(f"'{word}'" for word in (*_TRUE, "1.0"))
    false = ", ".join(f"'{word}'" for word in (*_FALSE, "0.0"))
    return f"case when {text} in ({true}) then true when {text} in ({false}) then false end"
