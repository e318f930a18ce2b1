"""What `init` says about the tables: settings of [tables.*] and SQL, written from profiles of the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from churnrisk.contract import TABLES, TableSpec, identifier, literal, normal_id
from churnrisk.errors import UsageError
from churnrisk.sources.files import file_kind
from churnrisk.sources.profile import ColumnProfile, FileProfile, is_date

#: How long a term lasts, by a word in the name of its kind.
_TERMS = {
    "month": "1 month", "quarter": "3 months", "half": "6 months", "annual": "1 year", "year": "1 year",
    "week": "7 days",
}  # fmt: skip


_LEAVE_OUT = "leave out"
#: Severities in numbers: 1, P1, Sev 2.
_NUMBERED = re.compile(r"[A-Za-z]*[\s_-]*\d$")


@dataclass(frozen=True)
class Question:
    """A question to the user; ``default`` is None where no answer is safe, ``close`` marks two close fits.

    The answer need not be one of the ``choices`` if it is ``free``.
    """

    key: str
    text: str
    choices: tuple[str, ...] = ()
    default: str | None = None
    close: bool = False
    free: bool = False


Ask = Callable[[Question], str | None]


@dataclass
class MappedTable:
    """A table of the mapping: its settings as in churnrisk.toml, from which files, and what is to be said.

    ``unanswered`` are settings that only the user can answer, as lines of toml that are commented out.
    """

    settings: dict[str, Any]
    source: str
    notes: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """How the rows of a file lead to accounts: its column, the share of its ids that arrive, and tables in between.

    ``hops`` hold path, key and account of each, as ``via`` does in churnrisk.toml; ``ids`` is the form in which
    they meet, of accounts too if ``both``.
    """

    column: str
    share: float
    hops: tuple[dict[str, str], ...] = ()
    ids: str = ""
    both: bool = False


Columns = Mapping[str, ColumnProfile]


def by_path(
    name: str, file: FileProfile, columns: Columns, way: Way, ask: Ask, *, taken: Container[str]
) -> MappedTable:
    """Map one file by its path; own columns of attributes with a ``taken`` name get another one."""
    spec = TABLES[name]
    all_columns = {"account_id": file.columns[way.column], **columns}
    settings: dict[str, Any] = {"path": file.path, **file.reading}
    table = MappedTable(settings, file.path)
    if way.hops:
        settings["via"] = list(way.hops) if len(way.hops) > 1 else way.hops[0]
        table.notes.append(
            f"{way.column} leads to accounts over {' and '.join(hop['path'] for hop in way.hops)}"
        )
    if way.ids:
        settings["ids"] = way.ids
    if name != "accounts":
        table.notes.append(f"{way.share:.0%} of the ids in {way.column} are those of accounts")
    _set_formats(name, spec, file, all_columns, table, ask)
    settings["columns"] = {new: own.name for new, own in all_columns.items() if new != own.name}
    if name == "attributes":
        settings["columns"] |= renamed(set(file.columns) - {own.name for own in all_columns.values()}, taken)
    _set_where(name, file, all_columns, table)
    unused = [one for one in file.columns if one not in {own.name for own in all_columns.values()}]
    if unused and not spec.open:
        table.notes.append(f"not used: {', '.join(unused)}")
    _ask_meaning(name, file, all_columns, table, ask)
    return table


def renamed(names: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """Return other names for columns whose own are taken: new to own name."""
    return {f"my_{name}": name for name in sorted(names) if name.strip().lower() in taken}


def _set_formats(
    name: str, spec: TableSpec, file: FileProfile, columns: Columns, table: MappedTable, ask: Ask
) -> None:
    """Say how dates, numbers and unknown values are written."""
    times = {new: own for new, own in columns.items() if is_date(own) and _type(spec, new) == "timestamp"}
    formats: dict[str, str] = {}
    for new, own in times.items():
        if own.rival_format:
            format_ = ask(
                Question(
                    f"{name}.date_format",
                    f"are the dates in {own.name} of {file.path} written day first or month first?",
                    (str(own.date_format), own.rival_format),
                    free=True,
                )
            )
            if format_ is None:
                table.unanswered.append(f'date_format = "{own.date_format}"   # or "{own.rival_format}"')
                continue
            formats[new] = format_
        elif own.date_format:
            formats[new] = own.date_format
    if formats:
        same = len(set(formats.values())) == 1 and len(formats) == len(times)
        table.settings["date_format"] = next(iter(formats.values())) if same else formats
    numbers = [
        own for new, own in columns.items() if own.kind == "number" and _type(spec, new) != "timestamp"
    ]
    numbers += [own for own in file.columns.values() if spec.open and own.kind == "number"]
    for setting in ("decimal", "thousands"):
        if found := next((value for own in numbers if (value := getattr(own, setting))), None):
            table.settings[setting] = found
    typed = [*times.values(), *numbers]
    words = sorted({word for own in typed for word in own.odd})
    kept = {
        text for new, own in columns.items() if own not in typed and not is_date(own) for text in own.common
    }
    if words and not kept & set(words):
        table.settings["nulls"] = words
    elif words:
        table.notes.append(f"{', '.join(words)} in dates counts as unknown")


def _type(spec: TableSpec, name: str) -> str:
    column = spec.column(name)
    return column.type if column else "text"


def _set_where(name: str, file: FileProfile, columns: Columns, table: MappedTable) -> None:
    """Leave out rows of nobody and, among events, those that take something back."""
    conditions = []
    account = columns["account_id"]
    if name != "accounts" and account.filled < 0.95 * file.rows:
        conditions.append(f"{identifier(account.name)} is not null")
        table.notes.append(f"{file.rows - account.filled:,} rows have no {account.name}: they are left out")
    quantity = columns.get("quantity")
    if name == "events" and quantity and quantity.low is not None and "unpivot" in file.reading:
        conditions.append(f"try_cast({identifier(quantity.name)} as double) > 0")
    elif name == "events" and quantity and quantity.low is not None and quantity.low < 0:
        conditions.append(f"try_cast({identifier(quantity.name)} as double) > 0")
        table.notes.append(f"rows with a {quantity.name} below 0 take something back: they are no events")
    if conditions:
        table.settings["where"] = " and ".join(conditions)


def _ask_meaning(name: str, file: FileProfile, columns: Columns, table: MappedTable, ask: Ask) -> None:
    """Ask what numbers mean where two readings are possible."""
    severity = columns.get("severity")
    if severity and (severity.low is not None or any(_NUMBERED.match(text) for text in severity.common)):
        shown = ", ".join(sorted(severity.common)[:6])
        answer = ask(
            Question(
                f"{name}.severity_order",
                f"{severity.name} in {file.path} is {shown}: which end is worst?",
                ("1 is worst", "1 is least"),
            )
        )
        _answered(table, "severity_order", answer, '"1 is worst"   # or "1 is least"')
    score = columns.get("score" if name == "surveys" else "csat")
    if score and score.high is not None and (score.high <= 7 or score.high > 10):
        tops: list[float] = [top for top in (5, 7, 10, 100) if score.high <= top] or [score.high]
        low = 0 if score.low == 0 else 1
        scales = [f"{low}-{tops[0]:g}", *(f"0-{top:g}" for top in tops[1:] if top in (10, 100))]
        answer = ask(
            Question(
                f"{name}.scale",
                f"{score.name} in {file.path} runs from {score.low:g} to {score.high:g}: on which scale is it?",
                tuple(scales) if name == "surveys" else (*scales, _LEAVE_OUT),
                None if name == "surveys" else _LEAVE_OUT,
                free=True,
            )
        )
        if answer == _LEAVE_OUT:
            table.notes.append(f'{score.name} is left out until its scale is known: scale = "{scales[0]}"')
            table.settings["columns"].pop("csat", None)
        else:
            _answered(table, "scale", answer, f'"{scales[0]}"   # or {" or ".join(scales[1:]) or "another"}')


def _answered(table: MappedTable, setting: str, answer: str | None, proposal: str) -> None:
    if answer is None:
        table.unanswered.append(f"{setting} = {proposal}")
    else:
        table.settings[setting] = answer


# tables by SQL


def readable_by_sql(file: FileProfile) -> bool:
    """Say whether DuckDB reads a file itself."""
    return file_kind(file.path) != "workbook" and not {"encoding", "unpivot"} & set(file.reading)


def reader(file: FileProfile) -> str:
    """Return the SQL that reads a file, all values of text files as text."""
    kind, path = file_kind(file.path), literal(file.path)
    if not readable_by_sql(file):
        raise UsageError(
            f"{file.path} has to be read by SQL here, which reads no workbooks and only UTF-8. Save it as CSV in UTF-8."
        )
    if kind != "csv":
        return f"read_{kind}({path})"
    options = "".join(f", {option}" for option in _csv_options(file))
    return f"read_csv({path}, all_varchar = true{options})"


def _csv_options(file: FileProfile) -> Iterable[str]:
    if "delimiter" in file.reading:
        yield f"delim = {literal(str(file.reading['delimiter']))}"
    if len(file.files) > 1:
        yield "filename = true, union_by_name = true"
    columns = file.columns.values()
    # what is a category of its own in other columns stays
    kept = {text for one in columns if one.kind in ("text", "flag") for text in one.common}
    words = sorted({word for one in columns if one.kind == "number" for word in one.odd} - kept)
    if words:
        yield f"nullstr = [{', '.join(map(literal, ('', *words)))}]"


def sql_of(column: ColumnProfile) -> str:
    """Return a column as SQL, dates in a format of their own as timestamps."""
    text = column.value if "." in column.name else identifier(column.name)
    if column.odd and is_date(column):
        text = f"case when {text} not in ({', '.join(map(literal, column.odd))}) then {text} end"
    number = f"cast({text} as double)"
    written = {
        None: text,
        "epoch_s": f"make_timestamp(cast({number} * 1e6 as bigint))",
        "epoch_ms": f"make_timestamp(cast({number} * 1e3 as bigint))",
        "excel": f"timestamp '1899-12-30' + to_microseconds(cast({number} * 864e8 as bigint))",
    }
    return written.get(column.date_format, f"strptime({text}, {literal(str(column.date_format))})")


def from_files(
    name: str,
    files: Sequence[tuple[FileProfile, Columns, Way]],
    *,
    ask: Ask,
    extra: Mapping[str, str] = MappingProxyType({}),
) -> MappedTable:
    """Map several files to one table: the rows of all, with the kind of each, and ``extra`` columns as SQL."""
    table = MappedTable({}, ", ".join(file.path for file, _, _ in files))
    common = _common([file.words for file, _, _ in files])
    selects = [
        select
        for file, columns, way in files
        for select in _selects(name, file, columns, way, extra, common=common, several=len(files) > 1)
    ]
    table.settings["sql"] = "\nunion all by name\n".join(selects)
    for file, columns, way in files:
        table.notes.append(f"{file.path}: {way.share:.0%} of the ids in {way.column} are those of accounts")
        _ask_meaning(name, file, columns, table, ask)
    return table


def flags_of(file: FileProfile) -> list[ColumnProfile]:
    """Return the columns that say with 0 and 1 which kinds of event a row is, if there are several."""
    stem = re.split(r"[^a-z]", file.words)
    flags = [
        one
        for one in file.columns.values()
        if one.kind == "flag" and any(len(word) > 3 and one.name.lower().startswith(word) for word in stem)
    ]
    return flags if len(flags) > 1 else []


def kind_word(file: FileProfile, common: str) -> str:
    """Return what a file holds in a word: its name without what all names begin with."""
    words = re.split(r"[_\W]+", file.words.removeprefix(common))
    whose = TABLES["accounts"].words.split()
    return " ".join(word for word in words if word and word not in whose) or file.words


def _common(words: Sequence[str]) -> str:
    """Return what all names begin with."""
    if len(words) < 2:
        return ""
    different = (
        position for position, letters in enumerate(zip(*words, strict=False)) if len(set(letters)) > 1
    )
    return words[0][: next(different, min(map(len, words)))]


def _selects(
    name: str,
    file: FileProfile,
    columns: Columns,
    way: Way,
    extra: Mapping[str, str],
    *,
    common: str,
    several: bool,
) -> Iterable[str]:
    own_columns = {new: sql_of(own) for new, own in columns.items()}
    chosen = {"account_id": _account_sql(file, way), **own_columns, **extra}
    source = _joined(file, way)
    flags = flags_of(file) if name == "events" else []
    word = kind_word(file, common)
    conditions = []
    if file.columns[way.column].filled < file.rows:
        conditions.append(f"{chosen['account_id']} is not null")
    quantity = columns.get("quantity")
    if name == "events" and quantity and quantity.low is not None and quantity.low < 0:
        conditions.append(f"try_cast({chosen['quantity']} as double) > 0")
    kinds = TABLES[name].column("feature") or TABLES[name].column("kind")
    if kinds and several and not flags:
        own = columns.get(kinds.name)
        chosen[kinds.name] = f"{literal(word + ' ')} || {sql_of(own)}" if own else literal(word)
    if not flags:
        yield _select(chosen, source, conditions)
    for flag in flags:
        suffix = re.sub(r"^[a-z]+[_ ]", "", flag.name.lower())
        yield _select(
            chosen | {"feature": literal(suffix)}, source, [*conditions, f"{identifier(flag.name)} = '1'"]
        )


def _select(chosen: Mapping[str, str], source: str, conditions: Sequence[str]) -> str:
    values = ", ".join(f"{value} as {new}" for new, value in chosen.items())
    where = f" where {' and '.join(conditions)}" if conditions else ""
    return f"select {values}\nfrom {source}{where}"


def _account_sql(file: FileProfile, way: Way) -> str:
    if not way.hops:
        value = sql_of(file.columns[way.column])
        return normal_id(value, way.ids) if way.ids else value
    return f"v{len(way.hops)}.{identifier(way.hops[-1]['account'])}"


def _joined(file: FileProfile, way: Way) -> str:
    source, key = reader(file), identifier(way.column)
    for number, hop in enumerate(way.hops, 1):
        other = f"read_{file_kind(hop['path'])}({literal(hop['path'])}"
        other += ", all_varchar = true)" if file_kind(hop["path"]) == "csv" else ")"
        left = f"{'t' if number == 1 else f'v{number - 1}'}.{key}"
        source += f"{' t' if number == 1 else ''} join {other} v{number} on v{number}.{identifier(hop['key'])} = {left}"
        key = identifier(hop["account"])
    return source


def term_ends(column: ColumnProfile, started: str) -> str | None:
    """Return the SQL of a term's end that follows from its kind, if every kind is named after its length."""
    lengths = {
        text: next((long for word, long in _TERMS.items() if word in text.lower()), None)
        for text in column.common
    }
    if not lengths or None in lengths.values() or column.distinct > len(column.common):
        return None
    cases = " ".join(
        f"when {literal(text)} then interval {literal(str(long))}" for text, long in lengths.items()
    )
    return f"cast({started} as timestamp) + case {sql_of(column)} {cases} end"


def from_periods(
    file: FileProfile, key: ColumnProfile, columns: Columns, *, taken: Container[str]
) -> dict[str, MappedTable]:
    """Map files of one period each: attributes as of its end, and terms from the first to the last of them."""
    day = (
        f"strptime(regexp_extract(parse_filename(filename), {literal(_look_of(str(file.reading['file_date'])))}), "
        f"{literal(str(file.reading['file_date']))})"
    )
    account, kept = sql_of(key), [one for one in ("name", "plan", "mrr", "seats") if one in columns]
    values = "".join(f", {sql_of(columns[one])} as {one}" for one in kept)
    months = (
        f"with months as (select {account} as account_id, {day} as day{values}\n"
        f"  from {reader(file)} where {account} is not null)"
    )
    name = ", arg_max(name, day) as name" if "name" in kept else ""
    accounts = (
        f"{months}\nselect account_id, nullif(min(day), (select min(day) from months)) as signed_up_at{name}\n"
        "from months group by account_id"
    )
    kept = [one for one in kept if one != "name"]
    firsts = "".join(f", arg_min({one}, n) as {one}" for one in kept)
    terms = (
        f"{months},\ndays as (select day, row_number() over (order by day) as n\n"
        "  from (select distinct day from months)),\n"
        "runs as (select *, n - row_number() over (partition by account_id order by n) as run\n"
        "  from months join days using (day))\n"
        f"select r.account_id, r.started_at, e.day as ended_at{''.join(f', r.{one}' for one in kept)}\nfrom ("
        f"select account_id, min(day) as started_at, max(n) as last{firsts}\n  from runs group by account_id, run) r\n"
        "left join days e on e.n = r.last + 1"
    )
    source = file.path
    return {
        "accounts": MappedTable(
            {"sql": accounts},
            source,
            ["one file per period; whoever is in the first may have been there longer"],
        ),
        "attributes": MappedTable(
            {
                "path": file.path,
                **file.reading,
                "columns": {"account_id": key.name, "valid_from": "file_until"}
                | renamed(set(file.columns) - {key.name}, taken),
            },
            source,
            ["what a file says was true on the last day of its period"],
        ),
        "subscriptions": MappedTable(
            {"sql": terms},
            source,
            ["a term runs while an account is in every file; whoever is missing from one has left"],
        ),
    }


def _look_of(format_: str) -> str:
    return re.sub(r"%[md]", r"\\d{2}", format_.replace("%Y", r"\d{4}"))
