"""Look at the files of a folder: what each column holds, judged by its values, and whose ids meet."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from churnrisk.contract import identifier, literal
from churnrisk.errors import ChurnRiskError
from churnrisk.sources.config import TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind, find_files, scan

Kind = Literal["empty", "date", "number", "flag", "text"]

#: Texts that stand for "unknown", in lower case.
NULL_WORDS = frozenset(
    [
        "na",
        "n/a",
        "#n/a",
        "nan",
        "null",
        "none",
        "nil",
        "(null)",
        "(none)",
        "(empty)",
        "\\n",
        "-",
        "--",
        "---",
        ".",
        "?",
        "unknown",
        "missing",
        "undefined",
    ]
)
#: Names of times, in which a plain number may be an epoch or a day of Excel.
_TIME_NAME = re.compile(
    r"(date|time|_at|at$|^ts$|_on$|timestamp|created|started|ended|opened|closed|since|until)", re.I
)
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)? ?(Z|UTC|[+-]\d{2}(:?\d{2})?)?$"
_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%y",
    "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y-%m",
    "%m/%Y", "%b %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", "T%H:%M:%S")
FORMATS = tuple(day + time for day in _DAYS for time in _TIMES)
#: Formats of a date in the names of files, longest first, and what it looks like.
_FILE_DATES = (
    ("%Y-%m-%d", r"\d{4}-\d{2}-\d{2}"), ("%Y_%m_%d", r"\d{4}_\d{2}_\d{2}"), ("%Y%m%d", r"20\d{6}"),
    ("%Y-%m", r"\d{4}-\d{2}"), ("%Y_%m", r"\d{4}_\d{2}"), ("%Y%m", r"20\d{4}"), ("%Y", r"20\d{2}"),
)  # fmt: skip
#: Plausible dates as numbers: seconds and milliseconds since 1970, days of Excel.
_NUMBERED_DATES = (("epoch_s", 6e8, 2.2e9), ("epoch_ms", 6e11, 2.2e12), ("excel", 2e4, 6e4))
_CURRENCY = r"^\s*(?:[€$£¥]|[A-Z]{3})?\s*|\s*(?:[€$£¥]|[A-Z]{3})?\s*$"
_FLAGS = frozenset({"yes", "no", "true", "false", "t", "f", "y", "n"})
_MOST_VALUES = 10_000
_EXACT_ROWS = 5_000_000


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    ``value`` is its SQL as trimmed text, ``low`` and ``high`` bound numbers, ``common`` lists the values if they are
    few, most frequent first, ``odd`` those that are no date or number. ``date_format`` is None for ISO dates;
    ``rival_format`` reads all values as well.
    """

    name: str
    value: str
    kind: Kind
    filled: int
    distinct: int
    whole: bool = False
    low: float | None = None
    high: float | None = None
    common: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    date_format: str | None = None
    rival_format: str | None = None
    decimal: str | None = None
    thousands: str | None = None

    @property
    def plain(self) -> str:
        """The name's letters and digits in lower case."""
        return re.sub(r"[^a-z0-9]", "", self.name.rpartition(".")[2].lower())

    @property
    def may_be_id(self) -> bool:
        """Whether its values may name something: whole numbers or short texts, more than a few."""
        return self.distinct > 1 and (self.kind == "text" or (self.kind == "number" and self.whole))


@dataclass(frozen=True)
class FileProfile:
    """One file, one sheet, or files of one shape: its ``relation`` in the engine and its columns.

    ``reading`` holds the settings of [tables.X] without which it cannot be read; ``problem`` says why it cannot at all.
    """

    path: str
    relation: str
    rows: int
    columns: Mapping[str, ColumnProfile]
    reading: Mapping[str, Any]
    files: tuple[str, ...]
    problem: str = ""

    @property
    def words(self) -> str:
        """The file's name without folder, ending and dates, in lower case."""
        book, _, sheet = self.path.partition("#")
        return re.sub(r"[\d*]+", "", (sheet or Path(book).name.partition(".")[0]).lower())

    def is_unique(self, column: str, *, share: float = 1.0) -> bool:
        """Say whether a column is filled in every row, each value once; or nearly, by ``share``."""
        found = self.columns[column]
        return self.rows > 0 and found.filled == self.rows and found.distinct >= share * self.rows

    @property
    def dates(self) -> list[ColumnProfile]:
        """Columns of dates, and of numbers that are dates by their name."""
        return [one for one in self.columns.values() if is_date(one)]


def is_date(column: ColumnProfile) -> bool:
    """Say whether a column holds dates."""
    return column.kind == "date" or bool(column.date_format)


def profile_folder(engine: Engine, folder: Path) -> list[FileProfile]:
    """Profile every data file of a folder; files of one shape whose names differ in a number are one."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and file_kind(path))
    alike: dict[tuple[object, ...], list[FileProfile]] = defaultdict(list)
    for path in files:
        opened = _opened(engine, path.name, f"profiled_{len(alike)}_{path.stat().st_ino}", {})
        shape = (
            re.sub(r"\d+", "#", path.name),
            tuple(engine.columns(opened.relation)) if opened.relation else (),
        )
        alike[shape].append(opened)
    return [_profiled(engine, one) for group in alike.values() for one in _united(engine, group)]


def _opened(engine: Engine, path: str, relation: str, reading: dict[str, Any]) -> FileProfile:
    """Load a file into the engine, as it is."""
    config = TableConfig(path=path, **reading)
    try:
        files = find_files(path, base=engine.base, table="init")
        engine.create(relation, f"select * from {scan(files, config)}")
    except ChurnRiskError as error:
        return FileProfile(path, "", 0, {}, reading, (path,), str(error))
    rows = int(engine.value(f"select count(*) from {relation}"))
    return FileProfile(path, relation, rows, {}, reading, (path,))


def _united(engine: Engine, group: Sequence[FileProfile]) -> list[FileProfile]:
    """Make one of files of one shape."""
    if len(group) == 1 or not group[0].relation:
        return list(group)
    names = [one.path for one in group]
    format_, pattern = next(
        ((format_, look) for format_, look in _FILE_DATES if all(re.search(look, name) for name in names)),
        (None, r"\d+"),
    )
    globs = {re.sub(pattern, "*", name, count=1) for name in names}
    if len(globs) > 1:
        return list(group)
    (path,) = globs
    dated = all(not _has_dates(engine, one.relation) for one in group[:1])
    reading = {"file_date": format_} if format_ and dated else {}
    rows = " union all ".join(
        f"select *, {literal(name)} as churnrisk_file from {one.relation}"
        for name, one in zip(names, group, strict=True)
    )
    relation = engine.create(f"{group[0].relation}_all", rows)
    return [FileProfile(path, relation, sum(one.rows for one in group), {}, reading, tuple(names))]


def _has_dates(engine: Engine, relation: str) -> bool:
    return bool(_profiled(engine, FileProfile("", relation, 1, {}, {}, ())).dates)


def _profiled(engine: Engine, file: FileProfile) -> FileProfile:
    if not file.relation:
        return file
    texts = dict(_texts(engine, file.relation))
    texts.pop("churnrisk_file", None)
    columns = {name: _profile(engine, file, name, value) for name, value in texts.items()}
    return replace(file, columns=columns)


def _texts(engine: Engine, relation: str, path: str = "", depth: int = 2) -> Iterator[tuple[str, str]]:
    """Yield each column, also inside structures, with its SQL as trimmed text."""
    source = f"(select {path}.* from {relation})" if path else relation
    for name, type_ in engine.columns(source).items():
        quoted = f"{path}.{identifier(name)}" if path else identifier(name)
        if type_.startswith("STRUCT") and not type_.endswith("]") and depth:
            inner = _texts(engine, relation, quoted, depth - 1)
            yield from ((f"{name}.{own}", value) for own, value in inner)
        elif not type_.endswith("]") and not type_.startswith(("MAP", "STRUCT", "BLOB")):
            text = f"({quoted} ->> '$')" if type_ == "JSON" else f"cast({quoted} as varchar)"
            yield name, f"nullif(trim({text}), '')"


def _profile(engine: Engine, file: FileProfile, name: str, value: str) -> ColumnProfile:
    distinct = "count(distinct v)" if file.rows < _EXACT_ROWS else "approx_count_distinct(v)"
    source = f"(select {value} as v from {file.relation})"
    filled, different, iso, numbers, whole, low, high = engine.rows(
        f"select count(v), {distinct}, count(*) filter (where regexp_matches(v, {literal(_ISO)})), "
        "count(try_cast(v as double)), count(*) filter (where regexp_matches(v, '^-?\\d{1,18}(\\.0+)?$')), "
        f"min(try_cast(v as double)), max(try_cast(v as double)) from {source}"
    )[0]
    found = ColumnProfile(name, value, "text", filled, different)
    if not filled:
        return replace(found, kind="empty")
    if different <= 40:
        counted = f"select v, count(*) as n from {source} where v is not null group by v order by n desc, v"
        found = replace(found, common=tuple(text for text, _ in engine.rows(counted)))
    if iso and (
        iso == filled or _few_words(odd := _odd(engine, source, f"regexp_matches(v, {literal(_ISO)})"))
    ):
        return replace(found, kind="date", odd=() if iso == filled else odd)
    if numbers == filled or (
        numbers and _all_null_words(odd := _odd(engine, source, "try_cast(v as double) is not null"))
    ):
        odd = () if numbers == filled else odd
        flag = set(found.common) in ({"0", "1"}, {"0.0", "1.0"})
        found = replace(
            found, kind="flag" if flag else "number", odd=odd, low=low, high=high, whole=whole >= numbers
        )
        return replace(found, date_format=_numbered_date(found))
    if {text.lower() for text in found.common} <= {
        "yes",
        "no",
        "true",
        "false",
        "t",
        "f",
        "y",
        "n",
    } and found.common:
        return replace(found, kind="flag")
    return _formatted(engine, source, found)


def _odd(engine: Engine, source: str, fits: str) -> tuple[str, ...]:
    """Return up to four of the values that do not fit."""
    return tuple(
        text
        for (text,) in engine.rows(
            f"select distinct v from {source} where v is not null and not ({fits}) order by v limit 4"
        )
    )


def _few_words(odd: Sequence[str]) -> bool:
    return len(odd) <= 3 and not any(re.search(r"\d", text) for text in odd)


def _all_null_words(odd: Sequence[str]) -> bool:
    return all(text.lower() in NULL_WORDS for text in odd)


def _numbered_date(column: ColumnProfile) -> str | None:
    if (
        not _TIME_NAME.search(column.name)
        or column.low is None
        or column.high is None
        or column.kind != "number"
    ):
        return None
    if column.whole and column.low >= 19_000_101 and column.high <= 20_991_231:
        return "%Y%m%d"
    return next(
        (name for name, least, most in _NUMBERED_DATES if least <= column.low and column.high <= most), None
    )


def _formatted(engine: Engine, source: str, found: ColumnProfile) -> ColumnProfile:
    """Recognise dates and numbers that are written in a format of their own."""
    sample = f"(select distinct v from {source} where v is not null limit {_MOST_VALUES})"
    with_digits = f"(select v from {sample} where regexp_matches(v, '\\d'))"
    total = int(engine.value(f"select count(*) from {sample}"))
    digits = int(engine.value(f"select count(*) from {with_digits}"))
    if not digits:
        return found
    odd = () if digits == total else _odd(engine, source, "regexp_matches(v, '\\d')")
    if len(odd) <= 3:
        counts = ", ".join(f"count(try_strptime(v, {literal(one)}))" for one in FORMATS)
        fits = [
            one
            for one, n in zip(FORMATS, engine.rows(f"select {counts} from {with_digits}")[0], strict=True)
            if n == digits
        ]
        if fits:
            rival = next((one for one in fits[1:] if _day_month(one) != _day_month(fits[0])), None)
            return replace(found, kind="date", date_format=fits[0], rival_format=rival, odd=odd)
    if not _all_null_words(odd):
        return found
    bare = f"(select regexp_replace(v, {literal(_CURRENCY)}, '', 'g') as v from {with_digits})"
    patterns = {
        (None, None): r"^-?\d+(\.\d+)?$",
        (",", "."): r"^-?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$",
        (".", ","): r"^-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?$",
        (",", " "): "^-?(\\d{1,3}([ \u00a0\u202f]\\d{3})+|\\d+)(,\\d+)?$",
    }
    counts = ", ".join(
        f"count(*) filter (where regexp_matches(v, {literal(look)}))" for look in patterns.values()
    )
    row = engine.rows(f"select {counts} from {bare}")[0]
    for (decimal, thousands), n in zip(patterns, row, strict=True):
        if n == digits:
            return replace(found, kind="number", odd=odd, decimal=decimal, thousands=thousands)
    return found


def _day_month(format_: str) -> tuple[int, int]:
    return format_.find("%d"), format_.find("%m")


@dataclass(frozen=True)
class Link:
    """Ids of one file that are the key of another: the share of the distinct ids that are there.

    ``reverse`` is the share of the keys that are named.
    """

    file: FileProfile
    column: str
    key_file: FileProfile
    key: str
    share: float
    reverse: float


def find_links(engine: Engine, files: Sequence[FileProfile]) -> list[Link]:
    """Find which columns hold the keys of which other files, by the overlap of their values."""
    ids = [(file, column) for file in files for column in file.columns.values() if column.may_be_id]
    keys = {number for number, (file, column) in enumerate(ids) if file.is_unique(column.name, share=0.98)}
    if not keys or len(ids) < 2:
        return []
    parts = " union all ".join(
        f"select distinct {number} as n, {column.value} as v from {file.relation} where {column.value} is not null"
        for number, (file, column) in enumerate(ids)
    )
    engine.create("profiled_ids", parts)
    pairs = engine.rows(
        "select c.n, k.n, count(*) from profiled_ids k join profiled_ids c on c.v = k.v and c.n <> k.n "
        f"where k.n in ({', '.join(map(str, sorted(keys)))}) group by c.n, k.n"
    )
    links = [
        Link(file, column.name, key_file, key.name, met / column.distinct, met / key.distinct)
        for n, k, met in pairs
        for (file, column), (key_file, key) in [(ids[n], ids[k])]
        if file is not key_file
    ]
    return [link for link in links if _is_meant(link)]


def _is_meant(link: Link) -> bool:
    """Say whether an overlap is no chance: small whole numbers meet any other."""
    column, key = link.file.columns[link.column], link.key_file.columns[link.key]
    if link.share < 0.5:
        return False
    if column.kind == "text" and key.kind == "text":
        return column.distinct >= 3 or link.share == 1
    stem = re.sub(r"[^a-z]", "", link.key_file.words).rstrip("s")
    alike = column.plain == key.plain or (len(stem) > 2 and stem in column.plain)
    far = (key.high or 0) > 100 * key.distinct  # ids that do not count from 1
    return (
        alike
        or (link.share >= 0.9 and far and column.distinct >= 20)
        or (link.share >= 0.9 and link.reverse >= 0.5)
    )
