"""Periods in names: a month in a file's name, or in that of a column, becomes the first and the last day."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from churnrisk.contract import identifier, literal
from churnrisk.errors import ContractError, UsageError

_MONTHS = [name.lower() for name in calendar.month_name]
_SHORT = [name.lower() for name in calendar.month_abbr]
_PARTS = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "b": r"(?P<b>[A-Za-z]{3})",
    "B": r"(?P<B>[A-Za-z]{3,9})",
    "q": r"(?P<q>[1-4])",
    "%": "%",
}


@dataclass(frozen=True)
class Period:
    """The days from first to last."""

    first: date
    last: date


def period_of(text: str, date_format: str) -> Period | None:
    """Return the period that a whole text names: a day, or a month, quarter (%q) or year where it says no more.

    >>> period_of("2026-02", "%Y-%m")
    Period(first=datetime.date(2026, 2, 1), last=datetime.date(2026, 2, 28))
    """
    found = re.fullmatch(_pattern(date_format), text.strip())
    return _period(found.groupdict()) if found else None


def period_in(name: str, date_format: str) -> Period | None:
    """Return the period that stands in a file's name; None if there is none, or several."""
    pattern = rf"(?<![0-9])(?={_pattern(date_format)}(?![0-9]))"
    found = {_period(match.groupdict()) for match in re.finditer(pattern, name)} - {None}
    return found.pop() if len(found) == 1 else None


def _period(parts: dict[str, str]) -> Period | None:
    # two figures are a year of this century up to 2068, as in strptime
    year = int(parts["Y"]) if "Y" in parts else int(parts["y"]) + (2000 if int(parts["y"]) < 69 else 1900)
    month, months = 1, 12
    try:
        if "q" in parts:
            month, months = 3 * int(parts["q"]) - 2, 3
        if "m" in parts:
            month, months = int(parts["m"]), 1
        if "b" in parts:
            month, months = _SHORT.index(parts["b"].lower()), 1
        if "B" in parts:
            month, months = _MONTHS.index(parts["B"].lower()), 1
        first = date(year, month, int(parts.get("d", 1)))
    except ValueError:
        return None
    if "d" in parts:
        return Period(first, first)
    after = month + months - 1
    return Period(first, date(year + after // 12, after % 12 + 1, 1) - timedelta(days=1))


def _pattern(date_format: str) -> str:
    """Return the pattern of texts in a format."""
    pieces = re.split(r"%(.)", date_format)
    names = pieces[1::2]
    if not {"Y", "y"} & set(names) or len(set(names)) < len(names) or not set(names) <= set(_PARTS):
        raise UsageError(
            f"the format of a period is made of {', '.join(f'%{name}' for name in _PARTS)}, each once, and holds a "
            f'year, like "%Y-%m"; found {date_format!r}.'
        )
    return "".join(_PARTS[piece] if number % 2 else re.escape(piece) for number, piece in enumerate(pieces))


def with_file_dates(relation: str, files: Sequence[tuple[Path, str]], date_format: str, column: str) -> str:
    """Return a relation with ``file_from`` and ``file_until``; ``column`` spells each of the files as is said."""
    rows = []
    for file, spelled in files:
        # a folder per month is as good as a name
        period = period_in(file.name, date_format) or period_in(file.parent.name, date_format)
        if period is None:
            raise ContractError(
                f"{file.name} has no date like {date_format!r} in its name, or several. "
                "Correct file_date, or narrow the path."
            )
        rows.append(f"({literal(spelled)}, date '{period.first}', date '{period.last}')")
    dates = f"(values {', '.join(rows)}) dates({identifier(column)}, file_from, file_until)"
    return f"(select * from {relation} join {dates} using ({identifier(column)}))"


def unpivoted(relation: str, columns: dict[str, str], date_format: str, nulls: Sequence[str]) -> str:
    """Return a relation with a row per filled cell of the columns that are named by periods."""
    periods = {name: period for name in columns if (period := period_of(name, date_format))}
    if not periods:
        raise ContractError(
            f"unpivot = {date_format!r} fits the name of no column; there are {', '.join(list(columns)[:20])}. "
            "Correct the format."
        )
    alike = len({columns[name] for name in periods}) == 1
    text = not alike or columns[next(iter(periods))] == "VARCHAR"
    cast = ", ".join(f"cast({identifier(name)} as varchar) as {identifier(name)}" for name in periods)
    cells = f"(select * replace ({cast}) from {relation})" if not alike else relation
    rows = ", ".join(
        f"({literal(name)}, date '{one.first}', date '{one.last}')" for name, one in periods.items()
    )
    listed = ", ".join(map(identifier, periods))
    unknown = ", ".join(map(literal, ("", *nulls)))
    filled = f" where trim(column_value) not in ({unknown})" if text else ""
    return (
        f"(select * exclude (column_name) from (unpivot {cells} on {listed} into name column_name value column_value) "
        f"join (values {rows}) periods(column_name, column_from, column_until) using (column_name){filled})"
    )
