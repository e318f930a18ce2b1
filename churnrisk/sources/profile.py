"""Look at the files of a folder: what each column holds, judged by its values, and whose ids meet."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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

Kind = Literal["empty", "date", "number", "flag", "text"]

#: Names of times, in which a plain number may be an epoch or a day of Excel.
_TIME_NAME = re.compile(
    r"(date|time|_at|at$|^ts$|_on$|timestamp|created|started|ended|opened|closed|since|until)", re.I
)
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)? ?(Z|UTC|[+-]\d{2}(:?\d{2})?)?$"
#: Formats of a date in the names of files, longest first, and what it looks like.
_FILE_DATES = (
    ("%Y-%m-%d", r"\d{4}-\d{2}-\d{2}"), ("%Y_%m_%d", r"\d{4}_\d{2}_\d{2}"), ("%Y%m%d", r"20\d{6}"),
    ("%Y-%m", r"\d{4}-\d{2}"), ("%Y_%m", r"\d{4}_\d{2}"), ("%Y%m", r"20\d{4}"), ("%Y", r"20\d{2}"),
)  # fmt: skip
#: Formats of columns that are named by periods.
_PERIODS = (
    "%Y-%m",
    "%b %Y",
    "%B %Y",
    "%b-%y",
    "%b-%Y",
    "%m/%Y",
    "%m.%Y",
    "%Y/%m",
    "%Y_%m",
    "%Y%m",
    "%Y-%m-%d",
)
#: Plausible dates as numbers: seconds and milliseconds since 1970, days of Excel.
_NUMBERED_DATES = (("epoch_s", 6e8, 2.2e9), ("epoch_ms", 6e11, 2.2e12), ("excel", 2e4, 6e4))
#: What texts with digits look like at first sight.
_LIKE_DATE = r"^\D{0,12}\d{1,4}\D{1,12}\d{1,4}|^\d{6,14}$|^[A-Za-z]{3,9}\W\d{2,4}$"
_LIKE_NUMBER = r"^\D{0,5}\d[\d.,'\s\x{a0}\x{202f}]*\D{0,5}$"
_FLAGS = frozenset({"yes", "no", "true", "false", "t", "f", "y", "n"})
_EXACT_ROWS = 5_000_000
#: Common names of the contract's columns, letters and digits only, best first.
_SYNONYMS = {
    "account_id": "accountid customerid clientid companyid organizationid organisationid orgid studentid memberid "
    "tenantid workspaceid custid acctid kundennummer kundennr kundenid clientnum account customer client groupid "
    "userid id",
    "name": "name accountname companyname customername organization company firma",
    "signed_up_at": "signedupat signupdate signup createdat created createddate dateregistered registeredat "
    "registrationdate begindate customersince joined joindate joinedat kundeseit startdate",
    "owner": "owner csm accountmanager accountowner customersuccessmanager betreuer",
    "segment": "segment industry tier vertical branche",
    "plan": "plan plantier planname planid planfamily purchasetype producttype product tarif contracttype type",
    "mrr": "mrr mrramount mrreur mrrusd monthlycharges monthlyrevenue monthlyfee monthlyprice unitamount amount",
    "seats": "seats licenses licences seatcount quantity",
    "renewal_at": "renewalat renewaldate renewson nextrenewal termend currentperiodend currenttermend",
    "contacts": "contacts contactcount knowncontacts",
    "occurred_at": "occurredat timestamp eventtime eventdate eventts ts time date datewatched dateengaged usagedate "
    "invoicedate orderdate day columnuntil createdat created datetime",
    "feature": "feature featurename event eventname eventtype action courseid stockcode module product",
    "user_id": "userid user useremail personid contactid distinctid",
    "quantity": "quantity columnvalue count usagecount minuteswatched amount units value",
    "recorded_at": "recordedat loadedat ingestedat syncedat logged loggedat",
    "opened_at": "openedat opened submittedat createdat created dateopened opendate createddate",
    "resolved_at": "resolvedat resolved closedat closed solvedat closedate closeddate",
    "severity": "severity priority urgency prio",
    "category": "category topic reason tickettype type",
    "csat": "csat satisfactionscore satisfaction rating",
    "first_response_at": "firstresponseat firstreplyat firstrespondedat respondedat firstreply",
    "started_at": "startedat startdate start starts activatedat activated begindate begin datepurchased purchasedat "
    "termstart from validfrom signupdate subscribedat vertragsbeginn createdat created",
    "ended_at": "endedat enddate end ends expiresat expiredat expirydate expirationdate terminatedat "
    "terminationdate churndate churnedat leftat to validto vertragsende canceledat cancelledat canceldate "
    "cancellationdate cancelleddate",
    "auto_renew": "autorenew autorenewflag autorenewal",
    "subscription_id": "subscriptionid subid contractid id",
    "status": "status state subscriptionstatus",
    "trial_ends_at": "trialendsat trialend trialenddate trialendedat",
    "cancelled_at": "cancelledat canceledat cancelat canceldate cancellationdate cancelleddate noticeat noticedate",
    "answered_at": "answeredat answeredon respondedon date respondedat daterated submittedat surveydate "
    "createdat created timestamp",
    "score": "score nps npsscore rating courserating csat stars",
    "kind": "kind surveytype survey type",
    "valid_from": "validfrom effectivefrom since from changedat startdate snapshotdate date",
    "as_of": "asof asofdate snapshotdate date",
    "churned": "churned churn churnflag ischurned label target exited attrition",
}  # fmt: skip


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


def profile_folder(engine: Engine, folder: Path, *, now: datetime) -> list[FileProfile]:
    """Profile every data file of a folder; files of one shape whose names differ in a number are one."""
    alike: dict[tuple[object, ...], list[FileProfile]] = defaultdict(list)
    for number, path in enumerate(_paths(folder)):
        opened = _opened(engine, path, f"profiled_{number}", {})
        alike[(re.sub(r"\d+", "#", path), *_column_names(engine, opened))].append(opened)
    found = [
        profile_relation(engine, one, now) for group in alike.values() for one in _united(engine, group, now)
    ]
    return [replace(file, columns=_settled(file, found)) for file in found]


def _paths(folder: Path) -> list[str]:
    """Return the data files of a folder, of workbooks each sheet."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and file_kind(path))
    return [
        path
        for file in files
        for path in (
            [f"{file.name}#{sheet}" for sheet in sheet_names(file)]
            if file_kind(file) == "workbook"
            else [file.name]
        )
    ]


def _column_names(engine: Engine, file: FileProfile) -> list[str]:
    return list(engine.columns(file.relation)) if file.relation else []


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
    if len(group) == 1 or not group[0].relation or "#" in group[0].path:
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
    dated = all(not _has_dates(engine, one.relation, now) for one in group[:1])
    reading = {**group[0].reading, **({"file_date": format_} if format_ and dated else {})}
    rows = " union all ".join(
        f"select *, {literal(name)} as churnrisk_file from {one.relation}"
        for name, one in zip(names, group, strict=True)
    )
    relation = engine.create(f"{group[0].relation}_all", rows)
    return [FileProfile(path, relation, sum(one.rows for one in group), {}, reading, tuple(names))]


def _has_dates(engine: Engine, relation: str, now: datetime) -> bool:
    return bool(profile_relation(engine, FileProfile("", relation, 1, {}, {}, ()), now).dates)


def profile_relation(engine: Engine, file: FileProfile, now: datetime) -> FileProfile:
    """Profile the columns of a relation in the engine."""
    if not file.relation:
        return file
    texts = dict(_texts(engine, file.relation))
    texts.pop("churnrisk_file", None)
    columns = {name: _profile(engine, file, name, value, now) for name, value in texts.items()}
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


def _profile(engine: Engine, file: FileProfile, name: str, value: str, now: datetime) -> ColumnProfile:
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
    return _formatted(engine, source, found, now)


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


def _formatted(engine: Engine, source: str, found: ColumnProfile, now: datetime) -> ColumnProfile:
    """Recognise dates and numbers that are written in a format of their own."""
    digits = "regexp_matches(v, '\\d')"
    with_digits, dates, numbers = engine.rows(
        f"select count(*), count(*) filter (where regexp_matches(v, {literal(_LIKE_DATE)})), "
        f"count(*) filter (where regexp_matches(v, {literal(_LIKE_NUMBER)})) from {source} where {digits}"
    )[0]
    if not with_digits or with_digits not in (dates, numbers):
        return found
    odd = _odd(engine, source, digits)
    if not _few_words(odd):
        return found
    nulls = [text.lower() for text in odd]
    formats, share = (
        date_formats(engine.rows, source, "v", native="VARCHAR", now=now, nulls=nulls)
        if dates == with_digits
        else ((), 0.0)
    )
    if formats and share == 1:
        # dates with points are written day first wherever people write them
        dotted = str(formats[0]).startswith("%d.%m.")
        rival = formats[1] if len(formats) > 1 and not dotted else None
        return replace(found, kind="date", date_format=formats[0], rival_format=rival, odd=odd)
    separators = number_separators(engine.rows, source, "v", nulls=nulls) if _all_null_words(odd) else []
    if separators:
        return replace(found, kind="number", odd=odd, **separators[0])  # type: ignore[arg-type]
    return found


def _settled(file: FileProfile, files: Sequence[FileProfile]) -> dict[str, ColumnProfile]:
    """Choose between day first and month first as other columns do, of the same file or else of all files."""
    settled = dict(file.columns)
    for column in file.columns.values():
        if column.rival_format and column.date_format:
            orders = _orders([file]) or _orders(files)
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


def is_named(column: ColumnProfile, contract_name: str, *, most: str = "") -> int:
    """Say whether a column is named like one of the contract; higher for better names, up to the one named ``most``."""
    names = _SYNONYMS[contract_name].split()
    names = names[: names.index(most) + 1] if most else names
    return len(names) - names.index(column.plain) if column.plain in names else 0


def match_column(
    wanted: ColumnSpec, columns: Sequence[ColumnProfile], strip: Sequence[str]
) -> ColumnProfile | None:
    """Return the column that is named and filled like one of the contract."""
    fitting = [one for one in columns if holds(one, wanted)]
    plain = {one.plain: one for one in reversed(fitting)}
    bare = {
        one.plain.removeprefix(word): one
        for one in reversed(fitting)
        for word in strip
        if one.plain.startswith(word)
    }
    for names in (plain, bare):
        for word in (wanted.name.replace("_", ""), *_SYNONYMS.get(wanted.name, "").split()):
            if word in names:
                return names[word]
    return None


def holds(column: ColumnProfile, wanted: ColumnSpec) -> bool:
    """Say whether a column's values fit the type of a column of the contract."""
    if column.kind == "empty":
        return not wanted.required
    numbers = column.low is not None or column.decimal is not None or column.kind == "number"
    if wanted.type == "timestamp":
        return is_date(column)
    if wanted.type == "severity":
        return column.distinct <= 12 and not is_date(column)
    if wanted.type == "boolean":
        return column.kind == "flag"
    if wanted.type == "id":
        return column.kind == "text" or column.whole
    if wanted.type == "text":
        return not is_date(column) and (wanted.name != "name" or column.kind == "text")
    return numbers
