"""A project's tables, opened and checked: what training and scoring read.

The check of the events is cached: it reads new files only, as long as the rest of its inputs stays the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, runtime_checkable

from churnrisk.contract import (
    FUTURE,
    TABLES,
    ContractRule,
    Days,
    Findings,
    Reach,
    TablePart,
    blocking,
    complete_events,
    days_with_rows,
    distrust,
    find,
    ids_of,
    literal,
    reaches,
    rules_of,
    shares,
    sign_ups,
    timestamp_literal,
    validate,
)
from churnrisk.errors import ChurnRiskError, ContractError
from churnrisk.features import clashing_columns
from churnrisk.files import digest_of, read_sealed, write_sealed
from churnrisk.records import Violation
from churnrisk.settings import Project
from churnrisk.snapshots import Horizon, data_span
from churnrisk.sources import (
    CacheConfig,
    EventFiles,
    Fingerprint,
    Stamp,
    Tables,
    open_engine,
    open_tables,
)

#: Folder inside the project folder that caches the roll-up and the check of the events between runs.
EVENT_CACHE = ".churnrisk/events"
#: Format of the cached check. Raise it when the same rules begin to find something else.
FORMAT = 3
_FOLDER, _NAME = "checked", "checked.json"

Progress = Callable[[str], None]


@runtime_checkable
class Counting(Protocol):
    """A progress report that also counts within a stage."""

    def advance(self, done: int, of: int) -> None:
        """Show how many of all are done."""


def advance(progress: Progress, done: int, of: int) -> None:
    """Report how much of the current stage is done, if the progress counts."""
    if isinstance(progress, Counting):
        progress.advance(done, of)


@dataclass(frozen=True)
class CheckedTables:
    """Opened tables that meet the contract, with its warnings."""

    tables: Tables
    violations: Sequence[Violation]
    span: Horizon


@contextmanager
def opened_tables(
    project: Project, *, now: datetime, progress: Progress, cached: bool = False
) -> Iterator[tuple[Tables, list[Violation], dict[str, Reach]]]:
    """Open the project's tables, with its cache if ``cached``; yield them, all violations, and how far they reach."""
    with open_engine(project.engine, base=project.data) as engine:
        progress("reading tables")
        tables = open_tables(engine, project.tables)
        if cached and project.engine.cache:
            tables = replace(tables, cache=CacheConfig(project.directory / EVENT_CACHE, progress))
        progress("checking the contract")
        violations, reach = check_tables(tables, now=now, data_until=project.snapshots.data_until)
        yield tables, clashing_columns(project.features, tables.available) + violations, reach


@contextmanager
def checked_tables(
    project: Project,
    *,
    now: datetime,
    progress: Progress,
    looking_back: bool = False,
    cached: bool = False,
) -> Iterator[CheckedTables]:
    """Open the project's tables if they meet the contract; rows dated after ``now`` are set aside.

    With ``looking_back``, ``now`` is past, so any number of rows may be dated later.
    """
    with opened_tables(project, now=now, progress=progress, cached=cached) as (tables, violations, reach):
        refuse([item for item in violations if not (looking_back and item.rule == FUTURE)])
        span = data_span(tables, project.snapshots, now=now, reach=reach)
        yield CheckedTables(tables, violations, span)


def latest_date(project: Project, *, now: datetime) -> datetime:
    """Return the latest as-of date that the data allow."""
    with open_engine(project.engine, base=project.data) as engine:
        return data_span(open_tables(engine, project.tables), project.snapshots, now=now).end


def check_tables(
    tables: Tables, *, now: datetime, data_until: date | None = None
) -> tuple[list[Violation], dict[str, Reach]]:
    """Return all violations of contract and trust, blocking ones first, and the reach; the events' are cached."""
    engine, available, readings = tables.engine, tables.available, tables.readings
    events = _check_events(tables, now=now)
    known = {"events": events[0]} if events else {}
    days = {"events": events[1]} if events else {}
    found = validate(engine, available, native=tables.native, readings=readings, now=now, known=known)
    reach = reaches(engine.rows, available, now=now, known=days)
    doubts = distrust(
        engine.rows, available, readings=readings, reach=reach, found=found, now=now, data_until=data_until
    )
    return sorted([*doubts, *found], key=lambda one: one.level != "error"), reach


def refuse(violations: Sequence[Violation]) -> None:
    """Raise one ContractError that names every blocking violation, if there is any."""
    errors = blocking(violations)
    if not errors:
        return
    lines = [
        f"  {item.table}{'.' + item.column if item.column else ''}: {item.rule}"
        f"{f' ({item.count:,} rows, such as {item.examples[0]})' if item.examples else ''}. {item.fix}"
        for item in errors
    ]
    raise ContractError("the tables break the contract:\n" + "\n".join(lines))


@dataclass(frozen=True)
class CachedCheck:
    """The findings of an earlier check, with digests of what they depend on: engine and rules, files, accounts.

    ``days`` are those with events, and how many each has.
    """

    made_from: str
    parts: dict[str, Fingerprint]
    findings: Findings
    days: list[tuple[date, int]]
    accounts: str
    now: str


def _check_events(tables: Tables, *, now: datetime) -> tuple[Findings, Days] | None:
    """Return what breaks the contract in the events, and their days, by the cache; None if they cannot be cached."""
    cache, parts = tables.cache, tables.event_parts
    if cache is None or parts is None:
        return None
    native, reading = tables.native["events"], tables.readings["events"]
    # rules about the present are compared as of a fixed time
    by_relation = rules_of(
        TABLES["events"], tables.available, native=native, reading=reading, now=datetime.min
    )
    rules = list(chain(*by_relation))
    if any(rule.only_among != "false" for rule in rules):
        return None
    return _EventCheck(tables, parts, cache, rules, now).findings()


class _EventCheck:
    def __init__(
        self, tables: Tables, parts: EventFiles, cache: CacheConfig, rules: list[ContractRule], now: datetime
    ) -> None:
        self._tables, self._parts, self._cache, self._now = tables, parts, cache, now
        self._folder = cache.folder / _FOLDER
        self._time = f"{now:%Y-%m-%d %H:%M:%S}"
        self._engine = tables.engine
        version = self._engine.value("select version()")
        self._made_from = digest_of(f"{version} {parts.made_from} {rules!r}")

    def findings(self) -> tuple[Findings, Days]:
        stamps = self._parts.stamps()
        accounts = sign_ups(self._tables.available)
        self._engine.run(f"create or replace temp table checked_accounts as {accounts}")
        former = self._former()
        known = self._unchanged(former, stamps) if former else None
        found = self._of_new(former, stamps.keys() - known.keys()) if former and known else None
        if former is None or known is None or found is None:
            former, known, found = None, {}, (self._found(None), self._days())
        findings, days = found
        # rows that are in the future now will not be found later
        future = any(one.rule.problem == FUTURE for one in findings.found)
        if not future and not blocking(findings.violations("events")):
            try:
                self._write(findings, days, former, known, stamps)
            except (OSError, ChurnRiskError) as error:
                self._cache.say(f"the check of the events cannot be cached ({error})")
        return findings, days

    def _former(self) -> CachedCheck | None:
        """Return the cached check, if it is intact and of the same rules and accounts."""
        try:
            former = read_sealed(self._folder / _NAME, CachedCheck, form=FORMAT)
            intact = digest_of(self._accounts(former.accounts)) == former.accounts
        except (OSError, ValueError):
            return None
        return former if intact and former.made_from == self._made_from and self._holds(former) else None

    def _accounts(self, digest: str) -> Path:
        return self._folder / f"accounts.{digest[:16]}.parquet"

    def _holds(self, former: CachedCheck) -> bool:
        """Say whether the cached check still holds for today's time and accounts."""
        if self._time < former.now:
            return False
        file = literal(str(self._accounts(former.accounts)))
        other = (
            f"from read_parquet({file}) k left join checked_accounts a using (account_id) "
            "where k.is_unknown <> (a.account_id is null) or k.signed_up_at is distinct from a.signed_up_at"
        )
        return not self._engine.value(f"select count(*) {other}")

    def _unchanged(self, former: CachedCheck, stamps: dict[str, Stamp]) -> dict[str, Fingerprint] | None:
        """Return the files of the cached check as they are today; None if one has changed or gone."""
        known: dict[str, Fingerprint] = {}
        for name, seen in former.parts.items():
            if name not in stamps:
                return None
            known[name] = self._parts.parts[name].seen(stamps[name], seen)
            if known[name].digest != seen.digest:
                return None
        return known

    def _of_new(self, former: CachedCheck, names: AbstractSet[str]) -> tuple[Findings, Days] | None:
        """Add what new files hold; None if duplicates were searched among fewer accounts than now."""
        ids = f"select account_id from read_parquet({literal(str(self._accounts(former.accounts)))}) where has_events"
        if not names:
            self._engine.create(ids_of("events"), ids)
            return former.findings, former.days
        raw, rows = self._parts.raw(sorted(names)), self._parts.rows(sorted(names))
        self._engine.run(f"create or replace temp view new_raw_events as from {raw}")
        self._engine.run(f"create or replace temp view new_events as select * exclude (file) from {rows}")
        total = former.findings.total + int(self._engine.value("select count(*) from new_raw_events"))
        if shares(total) != shares(former.findings.total):
            return None
        complete = complete_events("new_events")
        # a duplicate is of the same instant
        low, high = self._engine.rows(f"select min(occurred_at), max(occurred_at) from {complete}")[0]
        near = (
            f"occurred_at between {timestamp_literal(low)} and {timestamp_literal(high)}" if low else "false"
        )
        others = (
            f"(select * exclude (file) from {self._parts.rows(former.parts)} "
            f"where account_id is not null and {near})"
        )
        part = TablePart("new_raw_events", complete, "ids_of_new_events", others, total)
        findings = former.findings + self._found(part)
        self._engine.create(ids_of("events"), f"{ids} union select account_id from {part.ids}")
        days = Counter(dict(former.days))
        days.update(dict(self._days("new_events")))
        return findings, sorted(days.items())

    def _days(self, relation: str = "") -> Days:
        return days_with_rows(
            self._engine.rows, self._tables.available, "events", now=self._now, relation=relation
        )

    def _found(self, part: TablePart | None) -> Findings:
        tables = self._tables
        return find(
            self._engine,
            "events",
            tables.available,
            native=tables.native["events"],
            reading=tables.readings["events"],
            now=self._now,
            part=part,
        )

    def _write(
        self,
        findings: Findings,
        days: Days,
        former: CachedCheck | None,
        known: dict[str, Fingerprint],
        stamps: dict[str, Stamp],
    ) -> None:
        parts = known | {
            name: self._parts.parts[name].seen(stamp, None)
            for name, stamp in stamps.items()
            if name not in known
        }
        if self._parts.stamps() != stamps or self._accounts_changed():
            return  # the findings may mix two states of the tables
        nothing_new = former is not None and parts.keys() == former.parts.keys()
        accounts = former.accounts if former and nothing_new else self._write_accounts()
        checked = CachedCheck(self._made_from, parts, findings, list(days), accounts, self._time)
        write_sealed(self._folder / _NAME, checked, form=FORMAT)
        for left in self._folder.glob("accounts.*.parquet"):
            if left != self._accounts(accounts):
                # a parallel run that needed it checks everything once more
                left.unlink(missing_ok=True)

    def _accounts_changed(self) -> bool:
        now, then = f"from ({sign_ups(self._tables.available)})", "from checked_accounts"
        changed = f"({now} except {then}) union all ({then} except {now})"
        return bool(self._engine.value(f"select count(*) from ({changed})"))

    def _write_accounts(self) -> str:
        """Write the accounts that the rows were compared with, and the ids of the rows; return the digest."""
        events = f"(select distinct account_id from {ids_of('events')} where account_id is not null)"
        accounts = (
            "select account_id, a.signed_up_at, a.known is null as is_unknown, e.seen is not null as has_events "
            "from (select *, true as known from checked_accounts) a "
            f"full join (select *, true as seen from {events}) e using (account_id)"
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / ".gitignore").write_text("*\n")
        with TemporaryDirectory(prefix=".new-", dir=self._folder) as scratch:
            written = Path(scratch) / "accounts.parquet"
            self._engine.run(
                f"copy (select * from ({accounts}) order by account_id) to {literal(str(written))} "
                "(format parquet, compression zstd)"
            )
            digest = digest_of(written)
            os.replace(written, self._accounts(digest))
        return digest
