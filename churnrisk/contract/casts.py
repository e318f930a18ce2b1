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
        # nan and infinity are no quantities: they would poison every sum they meet
        return f"case when isfinite({number}) then {number} end"
    if native == "VARCHAR":
        return f"nullif(trim({column}), '')"
    return f"cast({column} as varchar)"


def as_double(column: str, native: str) -> str:
    """Return the SQL that reads a number, or null where there is none."""
    # DuckDB 2.0 pushes a bare try_cast into the CSV reader, where it fails instead of yielding null
    return f"try_cast(trim({column}) as double)" if native == "VARCHAR" else f"try_cast({column} as double)"


def missing(column: str, native: str) -> str:
    """Return the SQL that says whether a raw value is absent (as against present and wrong)."""
    if native == "VARCHAR":
        return f"({column} is null or trim({column}) = '')"
    return f"({column} is null)"


def _timestamp(column: str, native: str, date_format: str | None) -> str:
    if native == "TIMESTAMP":
        return column
    if native != "VARCHAR":
        return f"try_cast({column} as timestamp)"
    if date_format:
        quoted = date_format.replace("'", "''")
        return f"try_strptime(trim({column}), '{quoted}')"
    # by way of timestamptz, so that an offset in the text is honoured; the session's zone is UTC
    return f"cast(try_cast(trim({column}) as timestamptz) as timestamp)"


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
