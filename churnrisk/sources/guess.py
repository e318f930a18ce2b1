"""Guess which contract table each file of a folder is, by its ids, dates and values; names break ties."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from churnrisk.contract import TABLES, TableSpec, identifier
from churnrisk.errors import ChurnRiskError
from churnrisk.sources.account_ids import AccountIds, Ask, Question, Way
from churnrisk.sources.config import EngineConfig
from churnrisk.sources.connectors import table_configs
from churnrisk.sources.draft import (
    MappedFile,
    MappedTable,
    by_sql,
    facts_table,
    from_periods,
    map_table,
    outcome_of,
    row_conditions,
    term_ends,
    time_of,
    worth_of,
)
from churnrisk.sources.engine import Engine
from churnrisk.sources.periods import period_in
from churnrisk.sources.profile import (
    NAMES,
    ColumnProfile,
    FileProfile,
    find_links,
    match_column,
    profile_folder,
    profile_relation,
)
from churnrisk.sources.recognition import Recognition, recognise
from churnrisk.sources.tables import open_tables

#: Facts about an account that do not change, by their names.
_STATIC = re.compile(
    r"(country|region|gender|^sex$|industry|channel|referral|acquisition|language|senior|partner|dependent)",
    re.I,
)
#: Names of consequences of a loss.
_OF_LOSS = re.compile(r"(churn|attrit|cancel|terminat|exited|win.?back)", re.I)
#: Columns that are typical of a table.
_TYPICAL = {
    "events": {"feature", "user_id"},
    "complaints": {"resolved_at", "severity", "first_response_at"},
    "subscriptions": {"ended_at", "trial_ends_at", "auto_renew", "renewal_at", "cancelled_at"},
    "surveys": {"score"},
}
#: Where nobody says when a flat table was true: its facts, then its label.
_VALID_FROM, _AS_OF = "date '2000-01-01'", "date '2000-07-01'"
_LOST, _STAYED = (frozenset(NAMES["labels"][word].split()) for word in ("lost", "stayed"))


@dataclass
class Guess:
    """What the files of a folder were taken for.

    ``left`` are files that nothing uses, each with why; ``choices`` what was decided; ``label`` is the
    label column of a flat table; ``static`` and ``rules_off`` go into the settings of those names.
    """

    tables: dict[str, MappedTable] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    label: str = ""
    static: tuple[str, ...] = ()
    rules_off: tuple[str, ...] = ()
    #: A column of accounts that says who was lost, without a date, and labels from it as of ``{as_of}``.
    flag: tuple[str, MappedTable] | None = None
    #: The day after the last period of files of one period each.
    data_until: date | None = None


def default_answer(question: Question) -> str | None:
    """Answer a question as ``--yes`` does."""
    return question.default


def guess_tables(
    folder: Path, *, now: datetime, ask: Ask = default_answer, taken: Container[str] = frozenset()
) -> Guess:
    """Guess the mapping of the files in a folder; what a connector recognises is mapped as it says.

    Own columns of attributes must not have the ``taken`` names (in lower case).
    """
    known = recognise(folder)
    with Engine(EngineConfig(), base=folder) as engine:
        return _Guesser(engine, profile_folder(engine, folder, now=now), ask, taken).guess(known, now=now)


class _Guesser:
    """Decides file by file; what it decides is said in ``result``."""

    def __init__(self, engine: Engine, files: Sequence[FileProfile], ask: Ask, taken: Container[str]) -> None:
        self.engine, self.ask, self.taken, self.result = engine, ask, taken, Guess()
        self.result.left |= {file.path: f"cannot be read: {file.problem}" for file in files if file.problem}
        self.files = [file for file in files if not file.problem]
        self.links = find_links(engine, self.files)
        self.ids = AccountIds(engine, self.files, self.links, ask)
        self.used: set[str] = set()
        self.mapped: dict[str, Sequence[MappedFile]] = {}
        self.ways: dict[str, Way] = {}

    def guess(self, known: Recognition, *, now: datetime) -> Guess:
        """Choose the accounts, then what every other file is to them."""
        result = self.result
        self._take(known)
        found = self._known_accounts(now) if "accounts" in known.tables else self.ids.choose()
        result.choices += self.ids.choices
        result.left |= self.ids.left
        if found:
            self._map_all()
        for file in self.files:
            result.left.setdefault(file.path, self._why_left(file))
        result.left = {path: why for path, why in result.left.items() if path not in self.used}
        result.tables = {name: result.tables[name] for name in TABLES if name in result.tables}
        return result

    def _take(self, known: Recognition) -> None:
        """Map what a connector recognises."""
        self.used |= set(known.files)
        self.result.choices += [f"the files are read as: {known.title}"] if known.tables else []
        self.result.choices += [note for note in known.notes if " has no " not in note]
        for name, settings in known.tables.items():
            files = [path for path in known.files if path in json.dumps(settings, default=str)]
            notes = [f"read as: {known.title}"]
            self.result.tables[name] = MappedTable(dict(settings), ", ".join(files), notes)

    def _known_accounts(self, now: datetime) -> bool:
        """Take the accounts as a connector maps them; False if it cannot read them."""
        configs = table_configs({name: table.settings for name, table in self.result.tables.items()})
        try:
            open_tables(self.engine, configs)
        except ChurnRiskError as error:  # the check says so again
            self.result.choices.append(f"the other files are not looked at: {error}")
            return False
        rows = int(self.engine.value("select count(*) from accounts"))
        listed = profile_relation(self.engine, FileProfile("accounts", "accounts", rows, {}, {}, ()), now)
        self.ids.use(listed, listed.columns["account_id"])
        return True

    def _map_all(self) -> None:
        self.accounts, self.key, listed = self.ids.file, self.ids.key, self.ids.listed
        self.ways = {file.path: way for file in self.files if (way := self.ids.way(file))}
        roles = self._roles(listed=listed)
        sides = [self._part("", file) for file in roles.pop("", [])]
        if "accounts" in self.result.tables:
            pass
        elif "file_date" in self.accounts.reading:
            self._periods()
        elif listed:
            if not set(roles) & {"events", "subscriptions", "labels"}:
                self._flat(sides)
            if not self.result.label:
                self._map("accounts", [self.accounts])
        for name in TABLES:
            if name not in self.result.tables and name in roles:
                self._map(name, roles[name])
        if not listed and "accounts" not in self.result.tables:
            self._derive_accounts()
        if "attributes" not in self.result.tables:
            self._side_facts(sides)

    # what they are

    def _roles(self, *, listed: bool) -> dict[str, list[FileProfile]]:
        """Return the files that lead to accounts by what they are: a table, or "" for facts without a date."""
        roles: dict[str, list[FileProfile]] = {}
        billing: list[FileProfile] = []
        for file in self.files:
            way = self.ways.get(file.path)
            if (listed and file is self.accounts) or way is None or file.path in self.used:
                continue
            role = self._role(file, way)
            if role == "events" and file.is_named(NAMES["files"]["billing"]):
                billing.append(file)
            elif role is not None:
                roles.setdefault(role, []).append(file)
        held = set(roles) | set(self.result.tables)
        if billing and not held & {"events", "subscriptions"}:
            roles["events"] = billing
        why = "holds payments, which say neither what is used nor who is a customer"
        self.result.left |= {file.path: why for file in billing if file not in roles.get("events", [])}
        if listed and not held & {"accounts", "subscriptions"} and self._has_terms(self.accounts):
            roles["subscriptions"] = [self.accounts]
        return roles

    def _has_terms(self, file: FileProfile) -> bool:
        return {"started_at", "ended_at"} <= set(self._columns(TABLES["subscriptions"], file, self.key.name))

    def _role(self, file: FileProfile, way: Way) -> str | None:
        names = NAMES["files"]
        if file.is_named(names["labels"]) and self._fit(TABLES["labels"], file, way):
            return "labels"
        if file.is_named(names["outcomes"]):
            why = "is about losses: what is known only afterwards would leak the outcome"
            self.result.left[file.path] = why
            return None
        others = [spec for name, spec in TABLES.items() if name not in ("accounts", "labels")]
        fits = {spec.name: self._fit(spec, file, way) for spec in others}
        best = max(fits, key=lambda name: fits[name])
        if fits[best]:
            return best
        is_side = not file.dates and file.is_unique(way.column, share=0.98) and not way.hops
        return "" if is_side else None

    def _fit(self, spec: TableSpec, file: FileProfile, way: Way) -> float:
        """Score how well a file fits a table; 0 if it cannot be it."""
        found = self._columns(spec, file, way.column)
        if not {*spec.required} <= {"account_id", *found}:
            return 0.0
        if spec.name == "labels":
            return float(found["churned"].kind == "flag")
        named = file.is_named(spec.words)
        shown = len(_TYPICAL.get(spec.name, set()) & set(found))
        if spec.name == "events":
            # a list of things with a date each, such as users, is no log; other logs are events
            listed = any(link.key_file is file for link in self.links) or file.is_unique(way.column)
            return 0.0 if listed and not named else 1.0 + 2 * named + 0.5 * shown
        optional = [name for name in found if name not in spec.required and found[name].kind != "empty"]
        return 3.0 * named + shown + 0.1 * len(optional) if named or shown else 0.0

    def _columns(self, spec: TableSpec, file: FileProfile, account: str) -> dict[str, ColumnProfile]:
        """Return the columns of a file by contract name; dates and numbers only where the values are some."""
        found: dict[str, ColumnProfile] = {}
        strip = [*spec.words.split(), *(TABLES["accounts"].words.split() if spec.name == "accounts" else ())]
        for wanted in (one for one in spec.columns if one.name != "account_id"):
            free = [one for one in file.columns.values() if one.name != account and one not in found.values()]
            own = match_column(wanted, free, strip)
            if own is None and wanted.required and wanted.type == "timestamp":
                dates = [one for one in free if one.is_date and one.filled > 0.9 * file.rows]
                own = dates[0] if len(dates) == 1 else None
            if own:
                found[wanted.name] = own
        return found

    def _part(self, name: str, file: FileProfile) -> MappedFile:
        way = self.ways.get(file.path) or Way(self.key.name, 1.0)
        return MappedFile(file, self._columns(TABLES[name], file, way.column) if name else {}, way)

    # what is written

    def _map(self, name: str, files: Sequence[FileProfile]) -> None:
        """Map the files of one table."""
        united = [file for file in files if "unpivot" not in file.reading] or files[:1]
        why = "has a column per period, so it is no part of a table of several files"
        self.result.left |= {file.path: why for file in files if file not in united}
        parts = self.mapped[name] = [self._part(name, file) for file in united]
        self.used |= {file.path for file in united} | {hop["path"] for one in parts for hop in one.way.hops}
        columns, path = parts[0].columns, united[0].path
        ends = term_ends(parts[0]) if name == "subscriptions" and len(parts) == 1 else None
        worth = worth_of(parts[0]) if name == "events" and len(parts) == 1 else None
        extra = {"ended_at": ends, "renewal_at": ends} if ends else {"quantity": worth} if worth else {}
        if ends:
            self.result.choices.append(f"{path} has no end dates: terms end as {columns['plan'].name} says")
        self.result.tables[name] = map_table(name, parts, ask=self.ask, taken=self.taken, extra=extra)
        if worth:
            self.result.choices.append(f"{path}: a line is worth its quantity times its price")
        if len(parts) > 1:
            self.result.choices.append(f"{name} are the rows of {', '.join(file.path for file in united)}")
        if name == "accounts":
            self._keep_flag(parts[0])
            new = {own.name: name for name, own in columns.items()}
            static = [one for one in united[0].columns.values() if _STATIC.search(one.name)]
            self.result.static = tuple(
                new.get(one.name, one.name) for one in static
                if one.kind in ("text", "flag") and 1 < one.distinct <= 200
            )  # fmt: skip
        for part in parts if name == "surveys" else ():
            self._rated(part)

    def _keep_flag(self, part: MappedFile) -> None:
        """Remember a column of accounts that says who was lost, where the words for it are known."""
        for column in _labels(part.file):
            lost = [text for text in column.common if _says(text, _LOST, _STAYED)]
            if 0 < len(lost) < len(column.common):
                sql = (
                    f"select {part.account} as account_id, date '{{as_of}}' as as_of, "
                    f"{outcome_of(column, lost)} as churned\nfrom {part.rows}"
                )
                table = by_sql(sql, [part.file], "as of the day after the last row")
                self.result.flag = (f"{column.name} of {part.file.path}", table)
                return

    def _rated(self, part: MappedFile) -> None:
        """Say so where people rate something else than the company."""
        for link in self.links:
            others = link.file is part.file and link.column != part.key.name
            if others and link.key_file is not self.accounts and not self.result.rules_off:
                self.result.rules_off = ("stated dissatisfaction",)
                self.result.choices.append(
                    f"{part.file.path} rates what {link.column} names, so a low score is no stated wish to leave"
                )

    def _periods(self) -> None:
        """Map files of one period each."""
        file = self.accounts
        self.result.tables |= from_periods(self._part("accounts", file), self.taken)
        self.used.add(file.path)
        periods = [period_in(name, str(file.reading["file_date"])) for name in file.files]
        self.result.data_until = max(one.last for one in periods if one) + timedelta(days=1)
        self.result.choices.append(
            f"{file.path}: {len(file.files)} files of one shape; the date in their names says when a row was true, and "
            "whoever is missing from one has left"
        )

    def _derive_accounts(self) -> None:
        """Take the accounts from the ids of another table."""
        part = self._part("", self.accounts)
        where = {f"{part.account} is not null": None}
        for one in self.mapped.get("events", [])[:1]:
            if one.file is part.file and "unpivot" not in part.file.reading:
                where |= dict.fromkeys(row_conditions("events", one))
        facts = tuple(
            one.name
            for one in part.file.columns.values()
            if one.kind == "text" and one.distinct <= 200 and self._is_fact(one)
        )
        shown = "".join(f", any_value({identifier(name)}) as {identifier(name)}" for name in facts)
        sql = f"select {part.account} as account_id{shown}\nfrom {part.rows} where {' and '.join(where)} group by 1"
        others = [
            MappedFile(file, {}, way)
            for file in self.files
            if file is not part.file and file.path in self.used
            if (way := self.ways.get(file.path)) and not way.hops
        ]
        if others and not facts:
            ids = [f"select {one.account} as account_id from {one.rows}" for one in (part, *others)]
            union = "\nunion all ".join(ids)
            sql = f"select distinct account_id from (\n{union}\n) where account_id is not null"
        files = [part.file, *([] if facts else [one.file for one in others])]
        self.result.tables["accounts"] = by_sql(sql, files, "no file lists the accounts one row each")
        self.result.static = facts

    def _is_fact(self, column: ColumnProfile) -> bool:
        """Say whether a column has one value per account, but for a few."""
        return bool(
            self.engine.value(
                f"select avg(cast(moves as integer)) < 0.01 from (select count(distinct {column.value}) > 1 as moves "
                f"from {self.accounts.relation} group by {self.key.value})"
            )
        )

    def _flat(self, sides: Sequence[MappedFile]) -> None:
        """Map one table of customers with a label, if that is all there is."""
        part, choices = self._part("", self.accounts), self.result.choices
        found = self._label(part.file)
        if found is None:
            return
        label, lost = found
        told = [
            own
            for one in (part, *sides)
            for own in _others(one)
            if _OF_LOSS.search(own.name) and own != label
        ]
        facts = [(one, [own for own in _others(one) if own not in (label, *told)]) for one in (part, *sides)]
        account, known = f"select {part.account} as account_id", ""
        if label.filled < part.file.rows:
            known = f" where {label.value} is not null"
        labels = f"{account}, {_AS_OF} as as_of, {outcome_of(label, lost)} as churned from {part.rows}{known}"
        self.result.tables |= {
            "accounts": by_sql(f"{account} from {part.rows}", [part.file]),
            "attributes": facts_table(part, _VALID_FROM, facts, self.taken),
            "labels": by_sql(labels, [part.file]),
        }
        self.used |= {one.file.path for one in (part, *sides)}
        self.result.label = label.name
        choices += [f"{one.name} is left out: it is named like a consequence of the loss" for one in told]
        choices.append(
            f"{label.name} was taken for the label, {' or '.join(lost)} for lost; if your table has a date of "
            "observation, use it in [tables.labels]"
        )

    def _label(self, file: FileProfile) -> tuple[ColumnProfile, list[str]] | None:
        """Return the label column of a file and its values that mean lost."""
        named = _labels(file)
        text = f"which column of {file.path} says who was lost?"
        two = tuple(one.name for one in _two_valued(file))
        answer = self.ask(Question("label", text, two, named[0].name if named else ""))
        if not answer or answer not in file.columns:
            return None
        label = file.columns[answer]
        lost = [one for one in label.common if _says(one, _LOST, _STAYED)]
        sure = lost and all(one in lost or _says(one, _STAYED, frozenset()) for one in label.common)
        text, default = f"which value of {label.name} means lost?", ",".join(lost) if sure else None
        words = self.ask(Question("lost", text, label.common, default, free=True))
        return (label, [one.strip() for one in words.split(",")]) if words else None

    def _side_facts(self, sides: Sequence[MappedFile]) -> None:
        """Map facts without a date, known from the start of an account on."""
        dated = next(
            (self.mapped[name][0] for name in ("subscriptions", "events") if name in self.mapped), None
        )
        if dated is None or dated.way.hops or self.result.label or "unpivot" in dated.file.reading:
            return
        facts = [(one, _others(one)) for one in sides if one.file.path not in self.used]
        if "subscriptions" in self.mapped and dated.file.is_unique(dated.key.name):
            facts.insert(0, (dated, _others(dated)))
        chosen = [
            (part, own) for part, columns in facts if (own := [one for one in columns if _is_category(one)])
        ]
        if not chosen:
            return
        start = dated.columns["started_at" if "subscriptions" in self.mapped else "occurred_at"]
        table = facts_table(dated, time_of(start), chosen, self.taken)
        self.result.tables["attributes"] = table
        self.used |= {part.file.path for part, _ in chosen}
        self.result.choices.append(
            f"{table.source}: facts without a date count as known from an account's start; "
            "take out of [tables.attributes] what changes"
        )
        numbers = [
            f"{part.file.path}: {one.name}"
            for part, columns in facts for one in columns if not _is_category(one) and one.kind != "empty"
        ]  # fmt: skip
        if numbers:
            self.result.choices.append(
                f"today's numbers would tell the outcome, so they are left out: {', '.join(numbers)}"
            )

    def _why_left(self, file: FileProfile) -> str:
        """Say why a file is not used."""
        why = "fits no table of the contract" if file.path in self.ways else "no column holds ids of accounts"
        for link in self.links:
            if link.key_file is file:
                why = f"lists what {link.column} in {link.file.path} names"
                break
        return f"{why}; it has {', '.join(file.columns) or 'no columns'}"


def _two_valued(file: FileProfile) -> list[ColumnProfile]:
    return [one for one in file.columns.values() if 2 <= one.distinct <= 3 and one.filled > 0.5 * file.rows]


def _labels(file: FileProfile) -> list[ColumnProfile]:
    """Return the columns of two values that are named like a label, best first."""
    order, two = NAMES["labels"]["columns"].split(), _two_valued(file)
    named = sorted((one for one in two if one.plain in order), key=lambda one: order.index(one.plain))
    return named + [one for one in two if one not in named and _OF_LOSS.search(one.name)]


def _says(text: str, words: frozenset[str], but: frozenset[str]) -> bool:
    found = set(re.findall(r"[a-z0-9.]+", text.lower()))
    return bool(found & words) and not found & but


def _others(part: MappedFile) -> list[ColumnProfile]:
    """Return the columns of a file that are nothing else."""
    taken = (part.key, *part.columns.values())
    return [one for one in part.file.columns.values() if one not in taken]


def _is_category(column: ColumnProfile) -> bool:
    return column.kind in ("text", "flag") and 1 < column.distinct <= 40 and not _OF_LOSS.search(column.name)
