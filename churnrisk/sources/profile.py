"""Look at the files of a folder: what each column holds, judged by its values, and whose ids meet."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from churnrisk.contract import NULL_WORDS, ColumnSpec, date_formats, identifier, literal, number_separators
from churnrisk.errors import ChurnRiskError
from churnrisk.sources.config import TableConfig
from churnrisk.sources.convert import detect_encoding, sheet_names
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind, find_files, scan
from churnrisk.sources.periods import period_of, unpivoted

#: What exports call things.
NAMES: Mapping[str, Mapping[str, str]] = tomllib.loads(
    (Path(__file__).parent / "names.toml").read_text("utf-8")
)
#: Names of times, in which a plain number may be an epoch or a day of Excel.
_TIME_NAME = re.compile(
    r"(date|time|_at|at$|^ts$|_on$|timestamp|created|started|ended|opened|closed|since|until)", re.I
)
_NUMBERED_DATES = ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "excel", "%Y%m%d")
#: Formats of a date in the names of files, longest first, and what it looks like.
_FILE_DATES = (
    ("%Y-%m-%d", r"\d{4}-\d{2}-\d{2}"), ("%Y_%m_%d", r"\d{4}_\d{2}_\d{2}"), ("%Y%m%d", r"20\d{6}"),
    ("%Y-%m", r"\d{4}-\d{2}"), ("%Y_%m", r"\d{4}_\d{2}"), ("%Y%m", r"20\d{4}"), ("%Y", r"20\d{2}"),
)  # fmt: skip
#: Formats of columns that are named by periods.
_PERIODS = (
    "%Y-%m", "%b %Y", "%B %Y", "%b-%y", "%b-%Y", "%m/%Y", "%m.%Y", "%Y/%m", "%Y_%m", "%Y%m", "%Y-%m-%d",
)  # fmt: skip
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)? ?(Z|UTC|[+-]\d{2}(:?\d{2})?)?$"
#: What texts with digits look like at first sight.
_LIKE_DATE = r"^\D{0,12}\d{1,4}\D{1,12}\d{1,4}|^\d{6,14}$|^[A-Za-z]{3,9}\W\d{2,4}$"
_LIKE_NUMBER = r"^\D{0,5}\d[\d.,'\s\x{a0}\x{202f}]*\D{0,5}$"
_FLAGS = frozenset({"yes", "no", "true", "false", "t", "f", "y", "n"})
_EXACT_ROWS = 5_000_000


@dataclass(frozen=True)
class ColumnProfile:
    """What a column holds.

    ``value`` is its SQL as trimmed text, ``low`` and ``high`` bound numbers, ``common`` lists the values if they are
    few, most frequent first, ``odd`` those that are no date or number. ``date_format`` is None for ISO dates;
    ``rival_format`` reads all values as well. ``separators`` are the settings that read its numbers.
    """

    name: str
    value: str
    kind: Literal["empty", "date", "number", "flag", "text"]
    filled: int
    distinct: int
    whole: bool = False
    low: float | None = None
    high: float | None = None
    common: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    date_format: str | None = None
    rival_format: str | None = None
    separators: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> str:
        """The name's letters and digits in lower case."""
        return re.sub(r"[^a-z0-9]", "", self.name.rpartition(".")[2].lower())

    @property
    def is_date(self) -> bool:
        """Whether it holds dates, or numbers that are dates by its name."""
        return self.kind == "date" or bool(self.date_format)

    @property
    def may_be_id(self) -> bool:
        """Whether its values may name something: whole numbers or short texts, more than a few."""
        return self.distinct > 1 and (self.kind == "text" or (self.kind == "number" and self.whole))

    def is_named(self, contract_name: str, *, most: str = "") -> int:
        """Say whether it is named like a column of the contract; higher for better names, up to ``most``."""
        names = NAMES["columns"][contract_name].split()
        names = names[: names.index(most) + 1] if most else names
        return len(names) - names.index(self.plain) if self.plain in names else 0

    def holds(self, wanted: ColumnSpec) -> bool:
        """Say whether its values fit the type of a column of the contract."""
        if self.kind == "empty":
            return not wanted.required
        fits = {
            "timestamp": self.is_date,
            "severity": self.distinct <= 12 and not self.is_date,
            "boolean": self.kind == "flag",
            "id": self.kind == "text" or self.whole,
            "text": not self.is_date and (wanted.name != "name" or self.kind == "text"),
        }
        return fits.get(wanted.type, self.low is not None or self.kind == "number")


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

    def is_named(self, words: str) -> bool:
        """Say whether its name holds one of the words."""
        return any(word in self.words for word in words.split())

    def is_unique(self, column: str, *, share: float = 1.0) -> bool:
        """Say whether a column is filled in every row, each value once; or nearly, by ``share``."""
        found = self.columns[column]
        return self.rows > 0 and found.filled == self.rows and found.distinct >= share * self.rows

    @property
    def dates(self) -> list[ColumnProfile]:
        """Columns of dates, and of numbers that are dates by their name."""
        return [one for one in self.columns.values() if one.is_date]


def profile_folder(engine: Engine, folder: Path, *, now: datetime) -> list[FileProfile]:
    """Profile every data file of a folder; files of one shape whose names differ in a number are one."""
    paths = [
        path
        for file in sorted(path for path in folder.iterdir() if path.is_file() and file_kind(path))
        for path in (
            [f"{file.name}#{sheet}" for sheet in sheet_names(file)]
            if file_kind(file) == "workbook"
            else [file.name]
        )
    ]
    alike: dict[tuple[str, ...], list[FileProfile]] = defaultdict(list)
    for number, path in enumerate(paths):
        opened = _opened(engine, path, f"profiled_{number}", {})
        names = engine.columns(opened.relation) if opened.relation else {}
        alike[(re.sub(r"\d+", "#", path), *names)].append(opened)
    found = [
        profile_relation(engine, one, now) for group in alike.values() for one in _united(engine, group, now)
    ]
    orders = _orders(found)
    return [replace(file, columns=_settled(file, _orders([file]) or orders)) for file in found]


def _opened(engine: Engine, path: str, relation: str, reading: dict[str, Any]) -> FileProfile:
    """Load a file into the engine, as it is, or with the encoding or the periods as columns that it shows."""
    config = TableConfig(path=path, **reading)
    files = find_files(path, base=engine.base, table="init")
    try:
        source = scan(files, config, engine=engine)
        if config.unpivot:
            source = unpivoted(source, engine.columns(source), config.unpivot, ())
        engine.create(relation, f"select * from {source}")
    except ChurnRiskError as error:
        text = file_kind(path) in ("csv", "json") and not reading
        if encoding := (detect_encoding(files[0]) if text else None):
            return _opened(engine, path, relation, {"encoding": encoding})
        return FileProfile(path, "", 0, {}, reading, (path,), str(error))
    names = engine.columns(relation)
    for format_ in () if "unpivot" in reading else _PERIODS:
        if sum(period_of(name, format_) is not None for name in names) >= 3:
            return _opened(engine, path, relation, {**reading, "unpivot": format_})
    rows = int(engine.value(f"select count(*) from {relation}"))
    return FileProfile(path, relation, rows, {}, reading, (path,))


def _united(engine: Engine, group: Sequence[FileProfile], now: datetime) -> list[FileProfile]:
    """Make one of files of one shape."""
    first, names = group[0], [one.path for one in group]
    format_, pattern = next(
        ((format_, look) for format_, look in _FILE_DATES if all(re.search(look, name) for name in names)),
        ("", r"\d+"),
    )
    globs = {re.sub(pattern, "*", name, count=1) for name in names}
    if len(group) == 1 or not first.relation or "#" in first.path or len(globs) > 1:
        return list(group)
    dated = format_ and not profile_relation(engine, first, now).dates
    reading = {**first.reading, **({"file_date": format_} if dated else {})}
    rows = " union all ".join(
        f"select *, {literal(one.path)} as churnrisk_file from {one.relation}" for one in group
    )
    relation = engine.create(f"{first.relation}_all", rows)
    return [FileProfile(globs.pop(), relation, sum(one.rows for one in group), {}, reading, tuple(names))]


def profile_relation(engine: Engine, file: FileProfile, now: datetime) -> FileProfile:
    """Profile the columns of a relation in the engine."""
    texts = dict(_texts(engine, file.relation)) if file.relation else {}
    texts.pop("churnrisk_file", None)
    return replace(
        file, columns={name: _profile(engine, file, name, value, now) for name, value in texts.items()}
    )


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


def _profile(engine: Engine, file: FileProfile, name: str, value: str, now: datetime) -> ColumnProfile:
    different = "count(distinct v)" if file.rows < _EXACT_ROWS else "approx_count_distinct(v)"
    source = f"(select {value} as v from {file.relation})"
    filled, distinct, numbers, whole, low, high = engine.rows(
        f"select count(v), {different}, count(try_cast(v as double)), "
        "count(*) filter (where regexp_matches(v, '^-?\\d{1,18}(\\.0+)?$')), "
        f"min(try_cast(v as double)), max(try_cast(v as double)) from {source}"
    )[0]
    found = ColumnProfile(name, value, "text" if filled else "empty", filled, distinct)
    if 0 < distinct <= 40:
        counted = f"select v, count(*) as n from {source} where v is not null group by v order by n desc, v"
        found = replace(found, common=tuple(text for text, _ in engine.rows(counted)))
    odd = _odd(engine, source, "try_cast(v as double) is not null") if numbers else ()
    if numbers and all(text.lower() in NULL_WORDS for text in odd):
        flag = set(found.common) in ({"0", "1"}, {"0.0", "1.0"})
        kind: Literal["flag", "number"] = "flag" if flag else "number"
        found = replace(found, kind=kind, odd=odd, low=low, high=high, whole=whole >= numbers)
        if flag or not _TIME_NAME.search(name):
            return found
        formats, share = date_formats(engine.rows, source, "v", native="VARCHAR", now=now, nulls=NULL_WORDS)
        numbered = share == 1 and formats[0] in _NUMBERED_DATES
        return replace(found, date_format=formats[0]) if numbered else found
    if found.common and {text.lower() for text in found.common} <= _FLAGS:
        return replace(found, kind="flag")
    return _formatted(engine, source, found, now)


def _odd(engine: Engine, source: str, fits: str) -> tuple[str, ...]:
    """Return up to four of the values that do not fit."""
    others = f"select distinct v from {source} where v is not null and not ({fits}) order by v limit 4"
    return tuple(text for (text,) in engine.rows(others))


def _formatted(engine: Engine, source: str, found: ColumnProfile, now: datetime) -> ColumnProfile:
    """Recognise texts that are dates or numbers, but for a few words."""
    digits = "regexp_matches(v, '\\d')"
    shapes = ", ".join(
        f"count(*) filter (where regexp_matches(v, {literal(one)}))"
        for one in (_ISO, _LIKE_DATE, _LIKE_NUMBER)
    )
    some, iso, dates, numbers = engine.rows(f"select count(*), {shapes} from {source} where {digits}")[0]
    if not some or some not in (dates, numbers) or len(odd := _odd(engine, source, digits)) > 3:
        return found
    if iso == some:
        return replace(found, kind="date", odd=odd)
    nulls = [*NULL_WORDS, *(text.lower() for text in odd)]
    if dates == some:
        formats, share = date_formats(engine.rows, source, "v", native="VARCHAR", now=now, nulls=nulls)
        if formats and share == 1:
            # dates with points are written day first wherever people write them
            dotted = str(formats[0]).startswith("%d.%m.")
            rival = formats[1] if len(formats) > 1 and not dotted else None
            return replace(found, kind="date", date_format=formats[0], rival_format=rival, odd=odd)
    if all(text.lower() in NULL_WORDS for text in odd):
        for separators in number_separators(engine.rows, source, "v", nulls=nulls)[:1]:
            return replace(found, kind="number", odd=odd, separators=separators)
    return found


def _settled(file: FileProfile, orders: set[bool]) -> dict[str, ColumnProfile]:
    """Choose between day first and month first as other columns do."""
    settled = dict(file.columns)
    for column in file.columns.values():
        if column.rival_format and column.date_format:
            fits = [one for one in (column.date_format, column.rival_format) if _day_first(one) in orders]
            if len(fits) == 1:
                settled[column.name] = replace(column, date_format=fits[0], rival_format=None)
    return settled


def _orders(files: Sequence[FileProfile]) -> set[bool]:
    columns = [one for file in files for one in file.columns.values() if not one.rival_format]
    formats = [one.date_format for one in columns if one.date_format]
    return {_day_first(one) for one in formats if "%d" in one and "%m" in one and not one.startswith("%Y")}


def _day_first(format_: str) -> bool:
    return format_.find("%d") < format_.find("%m")


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

    @property
    def is_meant(self) -> bool:
        """Whether the overlap is no chance: small whole numbers meet any other."""
        column, key = self.file.columns[self.column], self.key_file.columns[self.key]
        if self.share < 0.5 or self.file is self.key_file:
            return False
        if column.kind == "text" and key.kind == "text":
            return column.distinct >= 3 or self.share == 1
        stem = re.sub(r"[^a-z]", "", self.key_file.words).rstrip("s")
        alike = column.plain == key.plain or (len(stem) > 2 and stem in column.plain)
        far = (key.high or 0) > 100 * key.distinct  # ids that do not count from 1
        return alike or (self.share >= 0.9 and ((far and column.distinct >= 20) or self.reverse >= 0.5))


def find_links(engine: Engine, files: Sequence[FileProfile]) -> list[Link]:
    """Find which columns hold the keys of which other files, by the overlap of their values."""
    ids = [(file, column) for file in files for column in file.columns.values() if column.may_be_id]
    keys = [number for number, (file, column) in enumerate(ids) if file.is_unique(column.name, share=0.98)]
    if not keys or len(ids) < 2:
        return []
    parts = " union all ".join(
        f"select distinct {number} as n, {column.value} as v from {file.relation} where {column.value} is not null"
        for number, (file, column) in enumerate(ids)
    )
    engine.create("profiled_ids", parts)
    pairs = engine.rows(
        "select c.n, k.n, count(*) from profiled_ids k join profiled_ids c on c.v = k.v and c.n <> k.n "
        f"where k.n in ({', '.join(map(str, keys))}) group by c.n, k.n"
    )
    links = [
        Link(file, column.name, key_file, key.name, met / column.distinct, met / key.distinct)
        for n, k, met in pairs
        for (file, column), (key_file, key) in [(ids[n], ids[k])]
    ]
    return [link for link in links if link.is_meant]


def match_column(
    wanted: ColumnSpec, columns: Sequence[ColumnProfile], strip: Sequence[str]
) -> ColumnProfile | None:
    """Return the column that is named and filled like one of the contract."""
    fitting = [one for one in reversed(columns) if one.holds(wanted)]
    plain = {one.plain: one for one in fitting}
    bare = {
        one.plain.removeprefix(word): one for one in fitting for word in strip if one.plain.startswith(word)
    }
    words = [wanted.name.replace("_", ""), *NAMES["columns"].get(wanted.name, "").split()]
    return next((names[word] for names in (plain, bare) for word in words if word in names), None)
