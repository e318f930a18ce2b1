"""Guess which contract table each file of a folder is, by its ids, dates and values; names break ties."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from churnrisk.contract import TABLES, TableSpec, identifier, literal
from churnrisk.errors import ChurnRiskError
from churnrisk.sources.account_ids import BILLING, AccountIds, named_like
from churnrisk.sources.config import EngineConfig
from churnrisk.sources.connectors import table_configs
from churnrisk.sources.draft import (
    Ask,
    Columns,
    MappedTable,
    Question,
    Way,
    by_path,
    flags_of,
    from_files,
    from_periods,
    readable_by_sql,
    reader,
    sql_of,
    term_ends,
)
from churnrisk.sources.engine import Engine
from churnrisk.sources.flat import flag_of, flat_label, flat_tables, leaks_of, side_facts
from churnrisk.sources.periods import period_in
from churnrisk.sources.profile import (
    ColumnProfile,
    FileProfile,
    find_links,
    is_date,
    match_column,
    profile_folder,
    profile_relation,
)
from churnrisk.sources.recognition import Recognition, recognise
from churnrisk.sources.tables import open_tables

_OUTCOMES = "churn cancellation attrition loss"
#: Facts about an account that do not change, by their names.
_STATIC = re.compile(
    r"(country|region|gender|^sex$|industry|channel|referral|acquisition|language|senior|partner|dependent)",
    re.I,
)
#: Names of consequences of a loss.
_AFTERWARDS = re.compile(r"(churn|attrition|cancel|terminat|exited|win.?back)", re.I)


@dataclass
class Guess:
    """What the files of a folder were taken for.

    ``left`` are files that nothing uses, each with why; ``choices`` what was decided; ``label`` is the
    label column of a flat table; ``static``, ``key_features`` and ``rules_off`` go into the settings of those names.
    """

    tables: dict[str, MappedTable] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    label: str = ""
    static: tuple[str, ...] = ()
    key_features: tuple[str, ...] = ()
    rules_off: tuple[str, ...] = ()
    #: A column of accounts that says who was lost, without a date, and SQL for labels from it as of ``{as_of}``.
    flag: tuple[str, str] | None = None
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
        self.mapped: dict[str, Sequence[tuple[FileProfile, Columns, Way]]] = {}
        self.ways: dict[str, Way] = {}

    def guess(self, known: Recognition, *, now: datetime) -> Guess:
        """Choose the accounts, then what every other file is to them."""
        self._take(known)
        found = (
            self._known_accounts(now)
            if "accounts" in known.tables
            else bool(self.files) and self.ids.choose()
        )
        self.result.choices += self.ids.choices
        self.result.left |= self.ids.left
        if found:
            self._map_all()
        self._leave_all()
        self.result.left = {path: why for path, why in self.result.left.items() if path not in self.used}
        order = {name: position for position, name in enumerate(TABLES)}
        self.result.tables = dict(sorted(self.result.tables.items(), key=lambda item: order[item[0]]))
        return self.result

    def _map_all(self) -> None:
        self.accounts, self.key, listed = self.ids.file, self.ids.key, self.ids.listed
        self.ways = {file.path: way for file in self.files if (way := self.ids.way(file))}
        roles = self._roles(listed=listed)
        if "accounts" in self.result.tables:
            pass
        elif "file_date" in self.accounts.reading:
            self._periods()
        elif listed:
            self._flat(roles)
            if not self.result.label:
                self._map("accounts", [self.accounts])
        for name in TABLES:
            if (
                name != "accounts"
                and name not in self.result.tables
                and (files := [file for file, role in roles if role == name])
            ):
                self._map(name, files)
        if not listed and "accounts" not in self.result.tables:
            self._derive_accounts()
        self._side_facts(roles)
        for form in {way.ids for way in self.ways.values() if way.both}:
            for table in self.result.tables.values():
                table.settings.setdefault("ids", form)

    def _take(self, known: Recognition) -> None:
        """Map what a connector recognises."""
        self.used |= set(known.files)
        self.result.choices += [f"the files are read as: {known.title}"] if known.tables else []
        self.result.choices += [note for note in known.notes if " has no " not in note]
        for name, settings in known.tables.items():
            text = json.dumps(settings, default=str)
            files = [path for path in known.files if path in text]
            self.result.tables[name] = MappedTable(
                dict(settings), ", ".join(files), [f"read as: {known.title}"]
            )

    def _known_accounts(self, now: datetime) -> bool:
        """Take the accounts as a connector maps them; False if it cannot read them."""
        configs = table_configs({name: table.settings for name, table in self.result.tables.items()})
        try:
            open_tables(self.engine, configs)
        except ChurnRiskError as error:  # the check says so again
            self.result.choices.append(f"the other files are not looked at: {error}")
            return False
        rows = int(self.engine.value("select count(*) from accounts"))
        listed = FileProfile("accounts", "accounts", rows, {}, {}, ())
        listed = profile_relation(self.engine, listed, now)
        self.ids.use(listed, listed.columns["account_id"])
        return True

    # what they are

    def _roles(self, *, listed: bool) -> list[tuple[FileProfile, str]]:
        """Return what each file that leads to accounts is: a table of the contract, or "" for facts without a date."""
        roles: list[tuple[FileProfile, str]] = []
        billing: list[FileProfile] = []
        for file in self.files:
            way = self.ways.get(file.path)
            if (listed and file is self.accounts) or way is None or file.path in self.used:
                continue
            role = self._role(file, way)
            if role == "events" and named_like(file, BILLING):
                billing.append(file)
            elif role is not None:
                roles.append((file, role))
        held = {role for _, role in roles} | set(self.result.tables)
        for file in billing:
            if held & {"events", "subscriptions"}:
                self.result.left.setdefault(
                    file.path, "holds payments, which say neither what is used nor who is a customer"
                )
            else:
                roles.append((file, "events"))
        if (
            "accounts" not in held
            and listed
            and "subscriptions" not in held
            and self._has_terms(self.accounts)
        ):
            roles.append((self.accounts, "subscriptions"))
        return roles

    def _has_terms(self, file: FileProfile) -> bool:
        found = self._columns(TABLES["subscriptions"], file, self.key.name)
        return "started_at" in found and "ended_at" in found

    def _role(self, file: FileProfile, way: Way) -> str | None:
        if named_like(file, "label outcome churn") and self._fit(TABLES["labels"], file, way) > 0:
            return "labels"
        if named_like(file, _OUTCOMES):
            self.result.left[file.path] = (
                "is about losses: what is known only afterwards would leak the outcome"
            )
            return None
        fits = {
            spec.name: score
            for spec in TABLES.values()
            if spec.name not in ("accounts", "labels") and (score := self._fit(spec, file, way)) > 0
        }
        if fits:
            return max(fits, key=lambda name: fits[name])
        if not file.dates and file.is_unique(way.column, share=0.98) and not way.hops:
            return ""
        return None

    def _fit(self, spec: TableSpec, file: FileProfile, way: Way) -> float:
        """Score how well a file fits a table; 0 if it cannot be it."""
        found = self._columns(spec, file, way.column)
        if any(name not in found for name in spec.required if name != "account_id"):
            return 0.0
        named = named_like(file, spec.words)
        optional = [name for name in found if name not in spec.required and found[name].kind != "empty"]
        typical = {
            "events": ["feature", "user_id"],
            "complaints": ["resolved_at", "severity", "first_response_at"],
            "subscriptions": ["ended_at", "trial_ends_at", "auto_renew", "renewal_at", "cancelled_at"],
            "surveys": ["score"],
        }
        shown = [name for name in typical.get(spec.name, ()) if name in found]
        if spec.name == "events":
            # a list of things with a date each, such as users, is no log
            listed = any(link.key_file is file for link in self.links) or file.is_unique(way.column)
            if listed and not named:
                return 0.0
            return 1.0 + 2 * named + 0.5 * len(shown)
        if spec.name == "labels":
            return 4.0 if found["churned"].kind == "flag" else 0.0
        # other logs without a typical name or column are events
        if not named and (spec.name not in typical or not shown):
            return 0.0
        return 3.0 * named + len(shown) + 0.1 * len(optional)

    def _columns(self, spec: TableSpec, file: FileProfile, account: str) -> dict[str, ColumnProfile]:
        """Return the columns of a file by contract name; dates and numbers only where the values are some."""
        free = {name: column for name, column in file.columns.items() if name != account}
        found: dict[str, ColumnProfile] = {}
        strip = [*spec.words.split(), *(TABLES["accounts"].words.split() if spec.name == "accounts" else ())]
        for wanted in spec.columns:
            if wanted.name == "account_id":
                continue
            own = match_column(wanted, [one for one in free.values() if one not in found.values()], strip)
            if own is None and wanted.required and wanted.type == "timestamp":
                dates = [
                    one
                    for one in free.values()
                    if is_date(one) and one not in found.values() and one.filled > 0.9 * file.rows
                ]
                own = dates[0] if len(dates) == 1 else None
            if own:
                found[wanted.name] = own
        return found

    # what is written

    def _map(self, name: str, files: Sequence[FileProfile]) -> None:
        """Map the files of one table: one by its path, several by SQL."""
        spec = TABLES[name]
        mapped = [
            (file, self._columns(spec, file, self.ways[file.path].column), self.ways[file.path])
            for file in files
        ]
        self.mapped[name] = mapped
        self.used |= {file.path for file in files}
        self.used |= {hop["path"] for _, _, way in mapped for hop in way.hops}
        (file, columns, way), *more = mapped
        extra = self._term_ends(file, columns) if name == "subscriptions" and not more else {}
        if more or extra or (name == "events" and flags_of(file)):
            table = from_files(name, mapped, ask=self.ask, extra=extra)
            self.result.choices.append(f"{name} are the rows of {table.source}")
        else:
            table = by_path(name, file, columns, way, self.ask, taken=self.taken)
        self.result.tables[name] = table
        if name == "accounts":
            self._keep_flag(file)
            named = {own.name: new for new, own in columns.items()}
            self.result.static = tuple(
                named.get(one.name, one.name) for one in file.columns.values()
                if _STATIC.search(one.name) and one.kind in ("text", "flag") and 1 < one.distinct <= 200
            )  # fmt: skip
        if name == "surveys":
            self._rated(mapped)

    def _keep_flag(self, file: FileProfile) -> None:
        """Remember a column that says who was lost."""
        found = flag_of(file)
        if found and readable_by_sql(file):
            outcome = f"{sql_of(found[0])} in ({', '.join(map(literal, found[1]))})"
            self.result.flag = (
                f"{found[0].name} of {file.path}",
                f"select {sql_of(self.key)} as account_id, date '{{as_of}}' as as_of, {outcome} as churned\n"
                f"from {reader(file)}",
            )

    def _term_ends(self, file: FileProfile, columns: Columns) -> dict[str, str]:
        """Return SQL for when terms end, where their kind says how long they last."""
        if "ended_at" in columns or "plan" not in columns:
            return {}
        ends = term_ends(columns["plan"], sql_of(columns["started_at"]))
        if ends is None:
            return {}
        self.result.choices.append(f"{file.path} has no end dates: terms end as {columns['plan'].name} says")
        return {"ended_at": ends, "renewal_at": ends}

    def _rated(self, mapped: Sequence[tuple[FileProfile, Columns, Way]]) -> None:
        """Say so where people rate something else than the company."""
        for file, _, way in mapped:
            for link in self.links:
                if link.file is file and link.column != way.column and link.key_file is not self.accounts:
                    self.result.rules_off = ("stated dissatisfaction",)
                    self.result.choices.append(
                        f"{file.path} rates what {link.column} names, so a low score is no stated wish to leave"
                    )
                    return

    def _periods(self) -> None:
        """Map files of one period each."""
        file = self.accounts
        columns = self._columns(TABLES["accounts"], file, self.key.name)
        self.result.tables |= from_periods(file, self.key, columns, taken=self.taken)
        self.used.add(file.path)
        periods = [period_in(name, str(file.reading["file_date"])) for name in file.files]
        self.result.data_until = max(one.last for one in periods if one) + timedelta(days=1)
        self.result.choices.append(
            f"{file.path}: {len(file.files)} files of one shape; the date in their names says when a row was true, and "
            "whoever is missing from one has left"
        )

    def _derive_accounts(self) -> None:
        """Take the accounts from the ids of another table."""
        file, account = self.accounts, sql_of(self.key)
        where = [f"{account} is not null"] if self.key.filled < file.rows else []
        events = self.result.tables.get("events")
        if events and "where" in events.settings and self.mapped["events"][0][0] is file:
            where = [str(events.settings["where"])]
        facts = [
            one
            for one in file.columns.values()
            if one.kind == "text" and one.distinct <= 200 and self._is_fact(one)
        ]
        shown = "".join(f", any_value({identifier(one.name)}) as {identifier(one.name)}" for one in facts)
        condition = f"\nwhere {' and '.join(where)}" if where else ""
        query = f"select {account} as account_id{shown}\nfrom {reader(file)}{condition} group by 1"
        others = [
            f"union all select {sql_of(other.columns[way.column])} from {reader(other)}"
            for other in self.files
            if other is not file and other.path in self.used
            if (way := self.ways.get(other.path)) and not way.hops
        ]
        if others and not facts:
            union = "\n".join([f"select {account} as account_id from {reader(file)}", *others])
            query = f"select distinct account_id from (\n{union}\n) where account_id is not null"
        self.result.tables["accounts"] = MappedTable(
            {"sql": query}, file.path, ["no file lists the accounts one row each"]
        )
        self.result.static = tuple(one.name for one in facts)

    def _is_fact(self, column: ColumnProfile) -> bool:
        """Say whether a column has one value per account, but for a few."""
        return bool(
            self.engine.value(
                f"select avg(cast(moves as integer)) < 0.01 from (select count(distinct {column.value}) > 1 as moves "
                f"from {self.accounts.relation} group by {self.key.value})"
            )
        )

    def _flat(self, roles: Sequence[tuple[FileProfile, str]]) -> None:
        """Map one table of customers with a label, if that is all there is."""
        file = self.accounts
        if {role for _, role in roles} & {"events", "subscriptions", "labels"}:
            return
        found = flat_label(file, self.ask)
        if found is None:
            return
        label, lost = found
        outcome = f"{sql_of(label)} in ({', '.join(map(literal, lost))})"
        leaks = leaks_of(self.engine, file, label, lost, but=self.key.name)
        self.result.choices += [f"{name} is left out: it {why}" for name, why in leaks.items()]
        sides = [(other, self.ways[other.path]) for other, role in roles if not role]
        self.result.tables |= flat_tables(file, self.key, label, outcome, leaks, sides, names=self.taken)
        self.used |= {file.path, *(other.path for other, _ in sides)}
        self.result.label = label.name
        self.result.choices.append(
            f"{label.name} was taken for the label, {' or '.join(lost)} for lost; if your table has a date of "
            "observation, use it in [tables.labels]"
        )

    def _side_facts(self, roles: Sequence[tuple[FileProfile, str]]) -> None:
        """Map facts without a date, known from the start of an account on."""
        sides = [
            (file, self.ways[file.path])
            for file, role in roles
            if not role and file.path not in self.used and readable_by_sql(file)
        ]
        if "attributes" in self.result.tables or self.result.label:
            return
        dated = next(
            ((name, one) for name in ("subscriptions", "events") for one in self.mapped.get(name, [])), None
        )
        if dated is None:
            return
        name, (file, columns, way) = dated
        own = []
        if name == "subscriptions" and file.is_unique(way.column):
            taken = {way.column, *(one.name for one in columns.values())}
            own = [one for one in file.columns.values() if one.name not in taken]
        facts = [(file, way, one) for one in own] + [
            (side, side_way, one)
            for side, side_way in sides
            for one in side.columns.values()
            if one.name != side_way.column
        ]
        chosen = [(one, way_, column) for one, way_, column in facts if _is_category(column)]
        numbers = [
            f"{one.path}: {column.name}"
            for one, _, column in facts
            if not _is_category(column) and column.kind != "empty"
        ]
        if not chosen or way.hops or not readable_by_sql(file):
            return
        start = columns["started_at" if name == "subscriptions" else "occurred_at"]
        self.result.tables["attributes"] = side_facts(file, way, start, chosen, names=self.taken)
        self.used |= {one.path for one, _, _ in chosen}
        self.result.choices.append(
            f"{self.result.tables['attributes'].source}: facts without a date count as known from an account's start; "
            "take out of [tables.attributes] what changes"
        )
        if numbers:
            self.result.choices.append(
                f"today's numbers would tell the outcome, so they are left out: {', '.join(numbers)}"
            )

    def _leave_all(self) -> None:
        """Say why a file is not used."""
        for file in self.files:
            if file.path in self.used or file.path in self.result.left:
                continue
            refer = [link for link in self.links if link.key_file is file]
            if refer:
                why = f"lists what {refer[0].column} in {refer[0].file.path} names"
            elif file.path in self.ways:
                why = "fits no table of the contract"
            else:
                why = "no column holds ids of accounts"
            self.result.left[file.path] = f"{why}; it has {', '.join(file.columns) or 'no columns'}"


def _is_category(column: ColumnProfile) -> bool:
    return (
        column.kind in ("text", "flag") and 1 < column.distinct <= 40 and not _AFTERWARDS.search(column.name)
    )
