"""The settings that read values which do not fit: proposed from the values, never assumed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from churnrisk.contract.tables import (
    CURRENCY_SIGNS,
    EPOCHS,
    ColumnSpec,
    Reading,
    Rows,
    TableSpec,
    as_double,
    cast,
    currency,
    identifier,
    literal,
    missing,
    timestamp_literal,
    without_currency,
)
from churnrisk.records import Violation

#: Texts that mean "unknown" in many exports, in lower case.
NULL_WORDS = (
    "n/a", "na", "#n/a", "n.a.", "nan", "null", "none", "nil", "-", "--", "—", "–", "?", ".", "unknown", "missing",
    "(null)", "(blank)", "(none)", "\\n", "undefined", "not available", "not set", "unbekannt", "0000-00-00",
    "0000-00-00 00:00:00", "#value!", "#ref!", "#div/0!",
)  # fmt: skip
#: So many different values are looked at.
_SEEN = 5000
#: A format that reads this share of the values is proposed too, if none reads all.
_MOST = 0.9
_DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d",
    "%Y-%d-%m", "%Y/%d/%m", "%Y%m%d", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y/%m/%d",
    "%d-%b-%Y", "%d %b %Y", "%d/%b/%Y", "%d.%b.%Y", "%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%d-%b-%y", "%d %b %y",
    "%d %B %Y", "%d-%B-%Y", "%d. %B %Y", "%B %d, %Y", "%B %d %Y", "%a, %d %b %Y", "%a %d %b %Y", "%a %b %d %Y",
    "%a, %b %d, %Y", "%A, %B %d, %Y", "%A, %d %B %Y", "%Y-%m", "%Y/%m", "%Y%m", "%m/%Y", "%m.%Y", "%b %Y", "%B %Y",
    "%b-%y", "%b-%Y", "%Y",
)  # fmt: skip
_WHOLE = ("%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%d%H%M", "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %Z %Y")
_TIME = re.compile(
    r"(?P<join>T|, | at |_| )(?P<hour>\d{1,2}:\d{2})(?P<second>:\d{2})?(?P<fraction>[.]\d+)?"
    r"(?P<noon> ?[AaPp][Mm])?(?P<zone> ?(?:Z|[-+]\d{2}(?::?\d{2})?)| [A-Za-z]{2,}[\w/]*)?$"
)
_SEPARATORS = (
    (".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"),
)  # fmt: skip
_LIKE = "^[-+]?[0-9][0-9.,'\\s\u00a0\u2009\u202f\u2019_]*$"
_GROUP = r"\d[.]\d{3}(?:\D|$)"
_OTHER = r"^[-+]?\d+[.](?:\d{1,2}|\d{4,})$|^[-+]?0*[.]"
_GROUPED = r"^[-+]?[1-9]\d{0,2}([.]\d{3})+$"


@dataclass(frozen=True)
class Proposal:
    """The settings of a table that each read a column's values; none if there are no such settings."""

    choices: tuple[str, ...] = ()
    #: The setting for texts among them that look like "unknown".
    nulls: str = ""
    #: The share of the different values that the first choice reads.
    share: float = 1.0


def date_formats(
    rows: Rows, relation: str, column: str, *, native: str, now: datetime, nulls: Sequence[str] = ()
) -> tuple[tuple[str | None, ...], float]:
    """Return the formats that read a column's values as plausible dates (None: as ISO 8601), and the share they read.

    Several are returned where each reads all values, each differently, such as day and month either way round.
    """
    values = _values(rows, column, native, relation, nulls)
    candidates = [None, *_candidates(values)]
    readings = [
        cast("v", "timestamp", native="VARCHAR", reading=Reading(date_format=one)) for one in candidates
    ]
    low, high = (timestamp_literal(one) for one in (datetime(1990, 1, 1), now + timedelta(days=20 * 366)))
    sums = ", ".join(
        f"count(*) filter (where m{number} between {low} and {high}), sum(hash(concat(v, ' ', m{number})))"
        for number in range(len(candidates))
    )
    moments = ", ".join(f"{reading} as m{number}" for number, reading in enumerate(readings))
    if not values:
        return (), 0.0
    total, *counts = rows(f"select count(*), {sums} from (select v, {moments} from {_listed(values)})")[0]
    found = list(zip(candidates, counts[::2], counts[1::2], strict=True))
    most = max(count for _, count, _ in found)
    if most < _MOST * total:
        return (), 0.0
    # of formats that read every value alike, the first
    alike: dict[Any, str | None] = {}
    for candidate, count, checksum in found:
        if count == most:
            alike.setdefault(checksum, candidate)
    choices = tuple(alike.values())
    # what reads as ISO 8601 is no year, day and month
    return ((None,) if None in choices else choices), most / total


def number_separators(
    rows: Rows, relation: str, column: str, *, nulls: Sequence[str] = ()
) -> list[dict[str, str]]:
    """Return the settings (``decimal``, ``thousands``) that read all values of a text column, each differently."""
    values = _values(rows, column, "VARCHAR", relation, nulls)
    if not values:
        return []
    readings = [Reading(decimal=decimal, thousands=group) for decimal, group in _SEPARATORS]
    numbers = ", ".join(
        f"{as_double('v', 'VARCHAR', reading)} as n{number}" for number, reading in enumerate(readings)
    )
    sums = ", ".join(f"count(n{number}), sum(n{number})" for number in range(len(readings)))
    total, *counts = rows(f"select count(*), {sums} from (select {numbers} from {_listed(values)})")[0]
    alike: dict[Any, Reading] = {}
    for reading, count, checksum in zip(readings, counts[::2], counts[1::2], strict=True):
        if count == total:
            alike.setdefault(checksum, reading)
    return [_separators(reading) for reading in alike.values()]


def null_texts(
    rows: Rows, relation: str, column: str, *, native: str, reads: str = "null"
) -> tuple[str, ...]:
    """Return the texts in a column that mean "unknown" in many exports, unless ``reads`` reads them."""
    if native != "VARCHAR":
        return ()
    quoted = identifier(column)
    words = ", ".join(map(literal, NULL_WORDS))
    found = rows(
        f"select distinct trim({quoted}) as v from {relation} "
        f"where lower(trim({quoted})) in ({words}) and ({reads}) is null order by v limit 20"
    )
    return tuple(str(value) for (value,) in found)


def explained(
    violations: Iterable[Violation],
    rows: Rows,
    *,
    specs: Mapping[str, TableSpec],
    native: Mapping[str, Mapping[str, str]],
    readings: Mapping[str, Reading],
    now: datetime,
) -> list[Violation]:
    """Return the violations with, where values do not fit their type, the setting that would read them.

    Where one reads all of them, the mapping is wrong and not a few rows: the violation blocks, however few they are.
    """
    listed = list(violations)
    proposals: dict[tuple[str, str], Proposal] = {}
    for table, spec in specs.items():
        wrong = [spec.column(one.column) for one in listed if one.table == table and _is_misfit(one)]
        proposer = _Proposer(rows, spec, native[table], readings[table], now)
        found = proposer.of([column for column in wrong if column])
        proposals |= {(table, column): proposal for column, proposal in found.items()}
    return [_with(one, proposals.get((one.table, one.column))) if _is_misfit(one) else one for one in listed]


def _is_misfit(violation: Violation) -> bool:
    return violation.rule.startswith("not ")


def doubtful_numbers(
    rows: Rows, spec: TableSpec, *, native: Mapping[str, str], reading: Reading
) -> list[Violation]:
    """Return what is doubtful about the numbers written in a table's text columns, the user's own included.

    A point before three digits may separate thousands; where all points of a column do, and nothing says what they
    are, the numbers may be wrong by a thousand. The user's own columns become categories if a setting is missing.
    """
    declared = [column.name for column in spec.columns if column.type == "number" and column.name in native]
    own = [name for name in native if spec.open and spec.column(name) is None]
    columns = [name for name in own if native[name] == "VARCHAR"]
    relation, texts = f"raw_{spec.name}", [name for name in declared if native[name] == "VARCHAR"]
    columns += [name for name in texts if _has_groups(rows, relation, name)]
    signed = (name for name in texts if _has_signs(rows, relation, name))
    found = [one for column in signed for one in _currencies(rows, spec, column)]
    if not columns:
        return found
    words = ", ".join(map(literal, NULL_WORDS))
    counts = ", ".join(_shapes(identifier(column), reading, words) for column in columns)
    row = rows(f"select {counts} from raw_{spec.name}")[0]
    for number, column in enumerate(columns):
        filled, numbers, grouped, other, unknown, like = row[6 * number : 6 * number + 6]
        settled = reading.decimal is not None or reading.thousands is not None
        is_own = column in own
        if grouped and not other and not settled and (not is_own or numbers + unknown == filled):
            found.append(_doubt(rows, spec, column, grouped))
        elif is_own and numbers < filled and like + unknown == filled and like:
            found += _own_numbers(rows, spec, column, reading, filled - numbers, unknown)
    return found


def _has_groups(rows: Rows, relation: str, column: str) -> bool:
    """Say whether points stand before three digits in a column, and before nothing else, at little cost."""
    quoted = identifier(column)
    for pattern, expected in ((_OTHER, False), (_GROUP, True)):
        # most columns are settled by their first rows
        like = f"contains({quoted}, '.') and regexp_matches({quoted}, {literal(pattern)})"
        if bool(rows(f"select 1 from {relation} where {like} limit 1")) != expected:
            return False
    return True


def _has_signs(rows: Rows, relation: str, column: str) -> bool:
    """Say whether something in a column begins or ends as no number does."""
    quoted = identifier(column)
    sign = f"{quoted} >= ':' or {quoted} < '+' or right({quoted}, 1) not between '0' and '9'"
    return bool(rows(f"select 1 from {relation} where {quoted} <> '' and ({sign}) limit 1"))


def _currencies(rows: Rows, spec: TableSpec, column: str) -> list[Violation]:
    """Refuse amounts in several currencies, whose sums mean nothing."""
    found: dict[str, int] = {}
    sign = currency(f"trim({identifier(column)})")
    for name, count in rows(f"select {sign} as sign, count(*) from raw_{spec.name} group by 1 order by 1"):
        if name:
            code = CURRENCY_SIGNS.get(name, name)
            found[code] = found.get(code, 0) + int(count)
    if len(found) < 2:
        return []
    fix = f"Convert them to one by sql, or name a column of one currency under [tables.{spec.name}.columns]."
    few = sum(found.values()) - max(found.values())
    rule = "amounts are in several currencies"
    return [Violation(spec.name, column, rule, "error", few, tuple(sorted(found)[:3]), fix)]


def _shapes(quoted: str, reading: Reading, words: str) -> str:
    """Count the values that are filled, numbers, grouped by points, other decimals, unknown, and like numbers."""
    text = f"trim({quoted})"
    bare = without_currency(text)
    like = f"regexp_matches({bare}, {literal(_LIKE)})"
    conditions = (
        f"{text} <> ''",
        f"{as_double(quoted, 'VARCHAR', reading)} is not null",
        f"contains({quoted}, '.') and regexp_matches({bare}, {literal(_GROUPED)})",
        f"contains({quoted}, '.') and {as_double(quoted, 'VARCHAR')} is not null "
        f"and not regexp_matches({bare}, {literal(_GROUPED)})",
        f"lower({text}) in ({words})",
        like,
    )
    return ", ".join(f"count(*) filter (where {condition})" for condition in conditions)


def _doubt(rows: Rows, spec: TableSpec, column: str, count: int) -> Violation:
    quoted = identifier(column)
    grouped = f"regexp_matches({without_currency(f'trim({quoted})')}, {literal(_GROUPED)})"
    relation = f"raw_{spec.name}"
    shown = rows(f"select distinct {quoted} as v from {relation} where {grouped} order by v limit 3")
    found = number_separators(rows, relation, column, nulls=NULL_WORDS)
    either = _either([_lines(one) for one in found]) or 'thousands = "." or decimal = "."'
    fix = f"Say what the point is: set {either} under [tables.{spec.name}] in churnrisk.toml."
    examples = tuple(str(value) for (value,) in shown)
    return Violation(
        spec.name, column, "a point may separate thousands or decimals", "error", count, examples, fix
    )


def _own_numbers(
    rows: Rows, spec: TableSpec, column: str, reading: Reading, count: int, unknown: int
) -> list[Violation]:
    relation = f"raw_{spec.name}"
    number = as_double(identifier(column), "VARCHAR", reading)
    texts = null_texts(rows, relation, column, native="VARCHAR", reads=number) if unknown else ()
    found = number_separators(rows, relation, column, nulls=NULL_WORDS) if count > unknown else []
    settings = [_either([_lines(one) for one in found])] if found else []
    settings += [nulls_line(reading, texts)] if texts else []
    if not settings or (count > unknown and not found):
        return []
    fix = f"Set {' and '.join(settings)} under [tables.{spec.name}] in churnrisk.toml; it is a category until then."
    quoted = identifier(column)
    wrong = f"trim({quoted}) <> '' and {number} is null"
    shown = rows(f"select distinct {quoted} as v from {relation} where {wrong} order by v limit 3")
    examples = tuple(str(value) for (value,) in shown)
    return [
        Violation(
            spec.name, column, "looks like numbers, but not all can be read", "warn", count, examples, fix
        )
    ]


class _Proposer:
    """Proposes settings for the columns of one table."""

    def __init__(
        self, rows: Rows, spec: TableSpec, native: Mapping[str, str], reading: Reading, now: datetime
    ) -> None:
        self.rows, self.spec, self.native, self.reading, self.now = rows, spec, native, reading, now
        self.relation = f"raw_{spec.name}"

    def of(self, wrong: Sequence[ColumnSpec]) -> dict[str, Proposal]:
        """Return the proposal for each column with values that do not fit."""
        nulls = {
            column.name: null_texts(
                self.rows,
                self.relation,
                column.name,
                native=self.native[column.name],
                reads=cast(
                    identifier(column.name),
                    column.type,
                    native=self.native[column.name],
                    reading=self.reading,
                ),
            )
            for column in wrong
        }
        unread = [column for column in wrong if self._is_unread(column, nulls[column.name])]
        choices: dict[str, tuple[tuple[str, ...], float]] = {}
        dates = [column.name for column in unread if column.type == "timestamp"]
        if dates:
            choices |= self._dates(dates)
        for column in unread:
            if column.type in ("number", "integer", "score") and self.native[column.name] == "VARCHAR":
                found = number_separators(self.rows, self.relation, column.name, nulls=NULL_WORDS)
                choices[column.name] = (tuple(_lines(one) for one in found if self._agrees(one)), 1.0)
            if column.type == "severity" and self.reading.severity_order is None:
                lines = ('severity_order = "1 is worst"', 'severity_order = "1 is least"')
                choices[column.name] = (lines, 1.0) if self._is_numbered(column) else ((), 1.0)
        every = tuple(dict.fromkeys(text for texts in nulls.values() for text in texts))
        return {
            column.name: Proposal(
                choices.get(column.name, ((), 1.0))[0],
                nulls_line(self.reading, every) if nulls[column.name] else "",
                choices.get(column.name, ((), 1.0))[1],
            )
            for column in wrong
        }

    def _is_unread(self, column: ColumnSpec, nulls: Sequence[str]) -> bool:
        """Say whether there are values that neither the table's settings read nor are texts for unknown."""
        quoted, native = identifier(column.name), self.native[column.name]
        value = cast(quoted, column.type, native=native, reading=self.reading)
        known = ", ".join(map(literal, nulls)) or "''"
        unread = f"({value}) is null and not {missing(quoted, native)}"
        other = f"trim(cast({quoted} as varchar)) not in ({known})"
        return bool(self.rows(f"select 1 from {self.relation} where {unread} and {other} limit 1"))

    def _agrees(self, separators: Mapping[str, str]) -> bool:
        """Say whether separators contradict none that are set: those read other columns of the table."""
        point = separators.get("decimal", ".")
        group = separators.get("thousands")
        return self.reading.decimal in (None, point) and self.reading.thousands in (None, group)

    def _is_filled(self, column: str) -> bool:
        there = f"not {missing(identifier(column), self.native[column])}"
        return bool(self.rows(f"select 1 from {self.relation} where {there} limit 1"))

    def _is_numbered(self, column: ColumnSpec) -> bool:
        quoted, native = identifier(column.name), self.native[column.name]
        worst = cast(quoted, column.type, native=native, reading=Reading(severity_order="1 is worst"))
        plain = cast(quoted, column.type, native=native)
        query = f"select 1 from {self.relation} where ({plain}) is null and ({worst}) is not null limit 1"
        return bool(self.rows(query))

    def _dates(self, wrong: Sequence[str]) -> dict[str, tuple[tuple[str, ...], float]]:
        found: dict[str, tuple[tuple[str | None, ...], float]] = {
            name: date_formats(
                self.rows,
                self.relation,
                name,
                native=self.native[name],
                now=self.now,
                nulls=NULL_WORDS,
            )
            for name in wrong
        }
        # what one column leaves open, another of the table may show: a day 31 comes first
        orders = {_order(formats[0]) for formats, _ in found.values() if len(formats) == 1} - {None}
        if len(orders) == 1:
            found = {
                name: (tuple(one for one in formats if _order(one) in orders) or formats, share)
                for name, (formats, share) in found.items()
            }
        found = {
            name: ((), 0.0) if formats == (self.reading.format_of(name),) else (formats, share)
            for name, (formats, share) in found.items()
        }
        sure = {name: formats[0] for name, (formats, _) in found.items() if len(formats) == 1}
        return {
            name: (tuple(self._date_line(sure | {name: one}) for one in formats), share)
            for name, (formats, share) in found.items()
        }

    def _date_line(self, chosen: Mapping[str, str | None]) -> str:
        """Return the line that gives columns their format and leaves the others their own."""
        # a column without values has any format
        formats = {
            column.name: chosen.get(column.name, self.reading.format_of(column.name))
            for column in self.spec.columns
            if column.type == "timestamp"
            and column.name in self.native
            and not self.native[column.name].startswith(("TIMESTAMP", "DATE"))
            and (column.name in chosen or self._is_filled(column.name))
        }
        values = set(formats.values())
        if len(values) == 1 and None not in values:
            return f'date_format = "{values.pop()}"'
        pairs = ", ".join(f'{name} = "{one}"' for name, one in formats.items() if one)
        return f"date_format = {{ {pairs} }}" if pairs else "no date_format"


def nulls_line(reading: Reading, texts: Sequence[str]) -> str:
    """Return the line that adds texts to those that mean "unknown"."""
    return "nulls = [" + ", ".join(_toml(text) for text in (*reading.nulls, *texts)) + "]"


def _toml(text: str) -> str:
    return "'" + text + "'" if "\\" in text else f'"{text}"'


def _values(rows: Rows, column: str, native: str, relation: str, nulls: Sequence[str]) -> list[str]:
    """Return the different values of a column as text, of many some; texts for unknown are left out."""
    quoted = identifier(column)
    text = f"trim(cast({quoted} as varchar))"
    words = ", ".join(map(literal, nulls))
    known = f" and lower({text}) not in ({words})" if words else ""
    different = f"select distinct {text} as v from {relation} where not {missing(quoted, native)}{known}"
    return [str(value) for (value,) in rows(f"select v from ({different}) order by hash(v) limit {_SEEN}")]


def _listed(values: Sequence[str]) -> str:
    """Return a relation of values: small, so DuckDB reads them whichever engine reads the tables."""
    return f"(select unnest([{', '.join(map(literal, values))}]) as v)"


def _candidates(shown: Sequence[str]) -> list[str]:
    """Return formats that may read texts of the shapes shown."""
    times = dict.fromkeys(_time_of(text) for text in shown[:300])
    return [*EPOCHS, *(day + time for time in times for day in _DAYS), *_WHOLE]


def _time_of(text: str) -> str:
    """Return the format of the time and zone that end a text."""
    found = _TIME.search(text)
    if found is None:
        return ""
    hour = "%I" if found["noon"] else "%H"
    noon = (" %p" if found["noon"].startswith(" ") else "%p") if found["noon"] else ""
    zone = found["zone"] or ""
    offset = re.fullmatch(r" ?(Z|[-+]\d{2}(:?\d{2})?)", zone)
    return "".join(
        (
            found["join"],
            f"{hour}:%M",
            ":%S" if found["second"] else "",
            ".%f" if found["fraction"] else "",
            noon,
            " " if zone.startswith(" ") else "",
            ("%z" if offset else "%Z") if zone else "",
        )
    )


def _order(date_format: str | None) -> bool | None:
    """Say whether the day comes before the month in figures; None where both cannot be mistaken."""
    if date_format is None or "%d" not in date_format or "%m" not in date_format:
        return None
    return date_format.index("%d") < date_format.index("%m")


def _separators(reading: Reading) -> dict[str, str]:
    found = {"decimal": reading.decimal, "thousands": reading.thousands}
    given = {name: value for name, value in found.items() if value}
    # a point is the decimal sign unless something else is said
    return {"thousands": given["thousands"]} if given.get("decimal") == "." and len(given) > 1 else given


def _lines(settings: Mapping[str, str]) -> str:
    return " and ".join(f'{name} = "{value}"' for name, value in settings.items())


def _either(choices: Sequence[str]) -> str:
    return " or ".join(choices)


def _with(violation: Violation, proposal: Proposal | None) -> Violation:
    """Return the violation with the proposed settings in its fix."""
    if proposal is None or not (proposal.choices or proposal.nulls):
        return violation
    settings = [proposal.nulls] if proposal.nulls else []
    if len(proposal.choices) == 1:
        partly = f" (which reads {proposal.share:.0%} of the values)" if proposal.share < 1 else ""
        settings.insert(0, f"{proposal.choices[0]}{partly}")
    elif proposal.choices:
        settings.insert(0, f"one of these, as the values fit each: {_either(proposal.choices)},")
    handled = violation.fix.rpartition("; ")[2]
    fix = f"Set {' and '.join(settings)} under [tables.{violation.table}] in churnrisk.toml; {handled}"
    wrong = proposal.choices and proposal.share == 1
    return replace(violation, fix=fix, level="error" if wrong else violation.level)
