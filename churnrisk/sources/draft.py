"""What `init` says about the tables: settings of [tables.*], and SQL over ``{files}`` where one path is not enough."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from churnrisk.contract import TABLES, TableSpec, identifier, literal
from churnrisk.sources.account_ids import Ask, Question, Way
from churnrisk.sources.profile import NAMES, ColumnProfile, FileProfile

_LEAVE_OUT = "leave out"
#: Severities in numbers: 1, P1, Sev 2.
_NUMBERED = re.compile(r"[A-Za-z]*[\s_-]*\d$")
#: Settings without which a file cannot be read.
_READING = ("encoding", "file_date")
#: Microseconds in a unit of an epoch.
_EPOCHS = {"epoch_s": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0, "epoch_ns": 1e-3}


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
class MappedFile:
    """A file as (a part of) a table: its columns by contract name, and how its rows lead to accounts."""

    file: FileProfile
    columns: Mapping[str, ColumnProfile]
    way: Way

    @property
    def key(self) -> ColumnProfile:
        """The column that leads to accounts."""
        return self.file.columns[self.way.column]

    @property
    def flags(self) -> list[ColumnProfile]:
        """The columns that say with 0 and 1 which kinds of event a row is, if there are several."""
        stems = [word for word in re.split(r"[^a-z]", self.file.words) if len(word) > 3]
        flags = [
            one
            for one in self.file.columns.values()
            if one.kind == "flag" and one.name.lower().startswith(tuple(stems))
        ]
        return flags if len(flags) > 1 else []

    @property
    def account(self) -> str:
        """The SQL of the account's id, in :attr:`rows`."""
        if self.way.hops:
            return f"v{len(self.way.hops)}.{identifier(self.way.hops[-1]['account'])}"
        return sql_of(self.key)

    @property
    def rows(self) -> str:
        """The SQL of its rows, with the tables that lead to accounts."""
        source, key = f"{{{self.file.path}}} t", f"t.{identifier(self.way.column)}"
        for number, hop in enumerate(self.way.hops, 1):
            source += f" join {{{hop['path']}}} v{number} on v{number}.{identifier(hop['key'])} = {key}"
            key = f"v{number}.{identifier(hop['account'])}"
        return source if self.way.hops else source.removesuffix(" t")


def sql_of(column: ColumnProfile) -> str:
    """Return a column as SQL."""
    return column.value if "." in column.name else identifier(column.name)


def time_of(column: ColumnProfile) -> str:
    """Return the SQL of a column of dates as timestamps."""
    text = sql_of(column)
    if column.odd:
        text = f"case when {text} not in ({', '.join(map(literal, column.odd))}) then {text} end"
    if column.date_format is None:
        return f"cast({text} as timestamp)"
    if column.date_format == "excel":
        return f"timestamp '1899-12-30' + to_seconds(86400 * cast({text} as double))"
    if column.date_format in _EPOCHS:
        micros = f"cast({text} as double) * {_EPOCHS[column.date_format]:g}"
        return f"make_timestamp(cast({micros} as bigint))"
    return f"strptime({text}, {literal(column.date_format)})"


def outcome_of(label: ColumnProfile, lost: Sequence[str]) -> str:
    """Return the SQL of whether a label means lost."""
    return f"{label.value} in ({', '.join(map(literal, lost))})"


def by_sql(sql: str, files: Sequence[FileProfile], *notes: str) -> MappedTable:
    """Map files by SQL, with the settings that read them."""
    settings = {name: file.reading[name] for file in files for name in _READING if name in file.reading}
    source = ", ".join(dict.fromkeys(file.path for file in files))
    return MappedTable({"sql": sql, **settings}, source, list(notes))


def map_table(
    name: str, parts: Sequence[MappedFile], *, ask: Ask, taken: Container[str], extra: Mapping[str, str]
) -> MappedTable:
    """Map one file by its path; several, or one with ``extra`` columns or flags, by SQL.

    Own columns of attributes with a ``taken`` name get another one.
    """
    said = MappedTable({}, "")
    parts = [_asked(name, part, said, ask) for part in parts]
    first, *more = parts
    seen: dict[str, set[str | None]] = {}
    for new, own in (pair for part in parts for pair in part.columns.items() if pair[1].is_date):
        seen.setdefault(new, set()).add(own.date_format)
    mixed = {new for new, formats in seen.items() if len(formats) > 1}
    if more or extra or (name == "events" and first.flags):
        # letters, not folders
        common = os.path.commonprefix([part.file.words for part in parts]) if more else None  # noqa: RUF071
        selects = [one for part in parts for one in _selects(name, part, mixed, extra, common)]
        table = by_sql("\nunion all by name\n".join(selects), [part.file for part in parts])
    else:
        table = _by_path(TABLES[name], first, taken)
    for part in parts if name != "accounts" else ():
        whose = f"{part.way.share:.0%} of the ids in {part.way.column} are those of accounts"
        table.notes.append(f"{part.file.path}: {whose}" if more else whose)
    table.notes += said.notes
    table.unanswered += said.unanswered
    table.settings |= said.settings
    _set_formats(TABLES[name], parts, mixed, table)
    return table


def _by_path(spec: TableSpec, part: MappedFile, taken: Container[str]) -> MappedTable:
    file, way = part.file, part.way
    columns = {"account_id": part.key, **part.columns}
    table = MappedTable({"path": file.path, **file.reading}, file.path)
    if way.hops:
        table.settings["via"] = list(way.hops) if len(way.hops) > 1 else way.hops[0]
        over = " and ".join(hop["path"] for hop in way.hops)
        table.notes.append(f"{way.column} leads to accounts over {over}")
    used = {own.name for own in columns.values()}
    unused = [one for one in file.columns if one not in used]
    table.settings["columns"] = {new: own.name for new, own in columns.items() if new != own.name}
    if spec.name == "attributes":
        table.settings["columns"] |= renamed(unused, taken)
    elif unused and not spec.open:
        table.notes.append(f"not used: {', '.join(unused)}")
    if conditions := row_conditions(spec.name, part):
        table.settings["where"] = " and ".join(conditions)
        table.notes.append(f"only rows count where {table.settings['where']}")
    return table


def row_conditions(name: str, part: MappedFile) -> list[str]:
    """Leave out rows of nobody and, among events, those that take something back."""
    conditions: list[str] = []
    if name != "accounts" and part.key.filled < 0.95 * part.file.rows:
        conditions.append(f"{sql_of(part.key)} is not null")
    quantity = part.columns.get("quantity")
    low = quantity.low if name == "events" and quantity else None
    if quantity and low is not None and (low < 0 or "unpivot" in part.file.reading):
        conditions.append(f"try_cast({sql_of(quantity)} as double) > 0")
    return conditions


def _selects(
    name: str, part: MappedFile, mixed: set[str], extra: Mapping[str, str], common: str | None
) -> Iterable[str]:
    """Yield the rows of a file as SQL: of several files with the kind of each, of flags those of each.

    Dates in ``mixed`` formats are converted; ``common`` is what the names of several files begin with.
    """
    own_columns = {new: time_of(own) if new in mixed else sql_of(own) for new, own in part.columns.items()}
    chosen = {"account_id": part.account, **own_columns, **extra}
    conditions = row_conditions(name, part)
    flags = part.flags if name == "events" else []
    kinds = TABLES[name].column("feature") or TABLES[name].column("kind")
    if kinds and common is not None and not flags:
        whose = TABLES["accounts"].words.split()
        words = re.split(r"[_\W]+", part.file.words.removeprefix(common))
        word = " ".join(word for word in words if word and word not in whose) or part.file.words
        own = chosen.get(kinds.name)
        chosen[kinds.name] = f"{literal(word + ' ')} || {own}" if own else literal(word)
    if not flags:
        yield _select(chosen, part, conditions)
    for flag in flags:
        word = literal(re.sub(r"^[a-z]+[_ ]", "", flag.name.lower()))
        yield _select(
            {**chosen, "feature": word}, part, [*conditions, f"try_cast({sql_of(flag)} as double) = 1"]
        )


def _select(chosen: Mapping[str, str], part: MappedFile, conditions: Sequence[str]) -> str:
    values = ", ".join(f"{value} as {new}" for new, value in chosen.items())
    where = f" where {' and '.join(conditions)}" if conditions else ""
    return f"select {values}\nfrom {part.rows}{where}"


def renamed(names: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """Return other names for columns whose own are taken: new to own name."""
    return {f"my_{name}": name for name in sorted(names) if name.strip().lower() in taken}


def _set_formats(spec: TableSpec, parts: Sequence[MappedFile], mixed: set[str], table: MappedTable) -> None:
    """Say how dates, numbers and unknown values are written."""
    types = {column.name: column.type for column in spec.columns}
    columns = [pair for part in parts for pair in part.columns.items()]
    times = {new: own for new, own in columns if own.is_date and types[new] == "timestamp"}
    formats = {new: own.date_format for new, own in times.items() if own.date_format and new not in mixed}
    if formats:
        same = len(set(formats.values())) == 1 and set(formats) == set(times) - mixed
        table.settings["date_format"] = next(iter(formats.values())) if same else formats
    numbers = [own for new, own in columns if own.kind == "number" and types[new] != "timestamp"]
    read = [own for _, own in columns]
    if spec.open:
        read = [own for part in parts for own in part.file.columns.values()]
        numbers += [own for own in read if own.kind == "number"]
    typed = [own for new, own in columns if new in times and new not in mixed]
    set_numbers([*typed, *numbers], read, table)


def set_numbers(typed: Sequence[ColumnProfile], columns: Iterable[ColumnProfile], table: MappedTable) -> None:
    """Say how numbers are written, and which texts among them are unknown unless they are categories elsewhere."""
    others = [own for own in columns if own not in typed and not own.is_date and own.kind != "number"]
    words = {word for own in typed for word in own.odd} - {text for own in others for text in own.common}
    if words:
        table.settings["nulls"] = sorted(words)
    for own in reversed(typed):
        table.settings |= own.separators


def _asked(name: str, part: MappedFile, said: MappedTable, ask: Ask) -> MappedFile:
    """Ask what has two readings, and return the part as it is to be read; what is ``said`` goes into its table."""
    path, columns = part.file.path, dict(part.columns)
    for new, own in part.columns.items():
        if own.rival_format:
            text = f"are the dates in {own.name} of {path} written day first or month first?"
            choices = (str(own.date_format), own.rival_format)
            answer = ask(Question(f"{name}.date_format", text, choices, free=True))
            columns[new] = replace(own, date_format=answer)
            if answer is None:
                said.unanswered.append(f'date_format = "{own.date_format}"   # or "{own.rival_format}"')
    severity = part.columns.get("severity")
    if severity and (severity.low is not None or any(_NUMBERED.match(text) for text in severity.common)):
        text = f"{severity.name} in {path} is {', '.join(sorted(severity.common)[:6])}: which end is worst?"
        answer = ask(Question(f"{name}.severity_order", text, ("1 is worst", "1 is least")))
        _set(said, "severity_order", answer, '"1 is worst"   # or "1 is least"')
    score = part.columns.get("score" if name == "surveys" else "csat")
    if score and score.high is not None and not 7 < score.high <= 10:
        tops: list[float] = [top for top in (5, 7, 10, 100) if score.high <= top] or [score.high]
        first = f"{0 if score.low == 0 else 1}-{tops[0]:g}"
        scales = [first, *(f"0-{top:g}" for top in tops[1:] if top in (10, 100))]
        text = f"{score.name} in {path} runs from {score.low:g} to {score.high:g}: on which scale is it?"
        # a satisfaction that came along may stay away, answers of a survey may not
        spare = () if name == "surveys" else (_LEAVE_OUT,)
        answer = ask(Question(f"{name}.scale", text, (*scales, *spare), next(iter(spare), None), free=True))
        if answer == _LEAVE_OUT:
            said.notes.append(f'{score.name} is left out until its scale is known: scale = "{first}"')
            del columns["csat"]
        else:
            _set(said, "scale", answer, f'"{first}"   # or {" or ".join(scales[1:]) or "another"}')
    return replace(part, columns=columns)


def _set(table: MappedTable, setting: str, answer: str | None, proposal: str) -> None:
    if answer is None:
        table.unanswered.append(f"{setting} = {proposal}")
    else:
        table.settings[setting] = answer


# tables that follow from several files, or from none that is dated


def term_ends(part: MappedFile) -> str | None:
    """Return the SQL of a term's end that follows from its plan, if there is no end and each plan names its length."""
    column = part.columns.get("plan")
    if column is None or "ended_at" in part.columns:
        return None
    lengths = {
        text: next((long for word, long in NAMES["terms"].items() if word in text.lower()), None)
        for text in column.common
    }
    if not lengths or None in lengths.values() or column.distinct > len(column.common):
        return None
    cases = " ".join(f"when {literal(text)} then interval '{long}'" for text, long in lengths.items())
    return f"{time_of(part.columns['started_at'])} + case {sql_of(column)} {cases} end"


def worth_of(part: MappedFile) -> str | None:
    """Return the SQL of what a line of a sale is worth, if it has a quantity and the price of one."""
    quantity = part.columns.get("quantity")
    prices = [one for one in part.file.columns.values() if one.plain in NAMES["sales"]["price"].split()]
    if not quantity or quantity.plain not in NAMES["sales"]["quantity"].split() or len(prices) != 1:
        return None
    plain = all(one.low is not None for one in (quantity, prices[0]))
    return (
        " * ".join(f"try_cast({sql_of(one)} as double)" for one in (quantity, prices[0])) if plain else None
    )


def from_periods(part: MappedFile, taken: Container[str]) -> dict[str, MappedTable]:
    """Map files of one period each: attributes as of its end, and terms from the first to the last of them."""
    file, account = part.file, part.account
    facts = {
        new: sql_of(part.columns[new]) for new in ("name", "plan", "mrr", "seats") if new in part.columns
    }
    name = f", arg_max({facts.pop('name')}, file_from) as name" if "name" in facts else ""
    accounts = (
        f"select {account} as account_id,\n"
        f"  nullif(min(file_from), (select min(file_from) from {part.rows})) as signed_up_at{name}\n"
        f"from {part.rows} where {account} is not null group by 1"
    )
    terms = (
        f"with months as (select {account} as account_id, file_from as day"
        f"{''.join(f', {sql} as {new}' for new, sql in facts.items())}\n"
        f"  from {part.rows} where {account} is not null),\n"
        "days as (select day, row_number() over (order by day) as n from (select distinct day from months)),\n"
        "runs as (select *, n - row_number() over (partition by account_id order by n) as run\n"
        "  from months join days using (day))\n"
        f"select r.account_id, r.started_at, e.day as ended_at{''.join(f', r.{new}' for new in facts)}\nfrom ("
        "select account_id, min(day) as started_at, max(n) as last"
        f"{''.join(f', arg_min({new}, n) as {new}' for new in facts)}\n  from runs group by account_id, run) r\n"
        "left join days e on e.n = r.last + 1"
    )
    own = renamed(set(file.columns) - {part.key.name}, taken)
    columns = {"account_id": part.key.name, "valid_from": "file_until"} | own
    first = "one file per period; whoever is in the first may have been there longer"
    term = "a term runs while an account is in every file; whoever is missing from one has left"
    attributes = {"path": file.path, **file.reading, "columns": columns}
    return {
        "accounts": by_sql(accounts, [file], first),
        "attributes": MappedTable(
            attributes, file.path, ["what a file says was true on the last day of its period"]
        ),
        "subscriptions": by_sql(terms, [file], term),
    }


def facts_table(
    base: MappedFile,
    start: str,
    facts: Sequence[tuple[MappedFile, Sequence[ColumnProfile]]],
    taken: Container[str],
) -> MappedTable:
    """Map facts without a date as attributes, each from the ``start`` of its account in the ``base`` on."""
    rows = f"{base.account} as account_id, {start} as valid_from, * from {base.rows}"
    if not base.file.is_unique(base.key.name, share=0.98):
        rows = f"{base.account} as account_id, min({start}) as valid_from from {base.rows} group by 1"
    source = f"(select {rows}) b"
    shown, names = "", {"account_id", "valid_from"}
    for number, (part, columns) in enumerate(facts, 1):
        alias = "b"
        if part.file is not base.file:
            alias = f"s{number}"
            source += f"\nleft join {{{part.file.path}}} {alias} on {alias}.{sql_of(part.key)} = b.account_id"
        for column in (one for one in columns if one.name.lower() not in names and "." not in one.name):
            names.add(column.name.lower())
            new = f" as {identifier('my_' + column.name)}" if column.name.strip().lower() in taken else ""
            shown += f", {alias}.{identifier(column.name)}{new}"
    sql = f"select b.account_id, b.valid_from{shown}\nfrom {source}"
    table = by_sql(sql, [base.file, *(part.file for part, _ in facts)])
    every = [column for _, columns in facts for column in columns]
    set_numbers([one for one in every if one.kind == "number"], every, table)
    return table
