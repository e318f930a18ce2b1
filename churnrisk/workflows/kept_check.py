"""The contract check of events with a cache: files that an earlier run has checked are not read again.

What was found in unchanged files holds while the accounts that it was compared with are the same. New files are
checked by themselves and against the rows that they may repeat. After any other change everything is checked again.
"""

from __future__ import annotations

import os
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from churnrisk.contract import (
    FUTURE,
    TABLES,
    UNKNOWN,
    Findings,
    Part,
    Rule,
    blocking,
    complete_events,
    find,
    rules_of,
    shares,
    sign_ups,
    tidy,
)
from churnrisk.errors import ChurnRiskError
from churnrisk.files import digest_of, read_sealed, write_sealed
from churnrisk.sources import Cache, Parts, Seen, Stamp, Tables, literal, timestamp_literal

#: Raise it when the same rules begin to find something else.
FORMAT = 1
_FOLDER, _NAME = "checked", "checked.json"


@dataclass(frozen=True)
class CachedCheck:
    """What a run has found, with digests of what it depends on: how rows are read, the rules, files, accounts.

    What was not in the future at ``now`` is not later.
    """

    made_from: str
    parts: dict[str, Seen]
    findings: Findings
    accounts: str
    now: str


def check_events(tables: Tables, *, now: datetime) -> Findings | None:
    """Return what breaks the contract in the events, with the cache; None if they cannot be cached."""
    cache, parts = tables.cache, tables.event_parts
    if cache is None or parts is None:
        return None
    rules = _rules(tables)
    if any(rule.only_among != "false" for rule in rules):
        return None
    return _EventCheck(tables, parts, cache, rules, now).findings()


def _rules(tables: Tables) -> list[Rule]:
    """Return all rules over events; those about the present as of a fixed time."""
    native, date_format = tables.native["events"], tables.date_formats.get("events")
    rules = rules_of(
        TABLES["events"], tables.available, native=native, date_format=date_format, now=datetime.min
    )
    return [rule for of_relation in rules for rule in of_relation]


class _EventCheck:
    def __init__(self, tables: Tables, parts: Parts, cache: Cache, rules: list[Rule], now: datetime) -> None:
        self._tables, self._parts, self._cache, self._now = tables, parts, cache, now
        self._folder = cache.folder / _FOLDER
        self._time = f"{now:%Y-%m-%d %H:%M:%S}"
        self._engine = tables.engine
        version = self._engine.value("select version()")
        self._made_from = digest_of(f"{version} {parts.made_from} {rules!r}")

    def findings(self) -> Findings:
        stamps = self._parts.stamps()
        self._engine.run(
            f"create or replace temp table checked_accounts as {sign_ups(self._tables.available)}"
        )
        former = self._former()
        known = self._unchanged(former, stamps) if former else None
        findings = self._of_new(former, stamps.keys() - known.keys()) if former and known else None
        if former is None or known is None or findings is None:
            former, known, findings = None, {}, self._found(None)
        if not blocking(findings.violations("events")) and not _is_dated_later(findings):
            try:
                self._write(findings, former, known, stamps)
            except (OSError, ChurnRiskError) as error:
                self._cache.say(f"the check of the events cannot be cached ({error})")
        return findings

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

    def _unchanged(self, former: CachedCheck, stamps: dict[str, Stamp]) -> dict[str, Seen] | None:
        """Return the files of the cached check as they are today; None if one has changed or gone."""
        known: dict[str, Seen] = {}
        for name, seen in former.parts.items():
            if name not in stamps:
                return None
            known[name] = self._parts.parts[name].seen(stamps[name], seen)
            if known[name].digest != seen.digest:
                return None
        return known

    def _of_new(self, former: CachedCheck, names: AbstractSet[str]) -> Findings | None:
        """Add the findings of new files; None if duplicates were searched among fewer accounts than now."""
        if not names:
            return former.findings
        self._engine.run(
            f"create or replace temp view new_raw_events as from {self._parts.raw(sorted(names))}"
        )
        self._engine.run(
            f"create or replace temp view new_events as select * exclude (file) from {self._parts.rows(sorted(names))}"
        )
        total = former.findings.total + int(self._engine.value("select count(*) from new_raw_events"))
        if shares(total) != shares(former.findings.total):
            return None
        complete = complete_events("new_events")
        # a duplicate is of the same instant
        low, high = self._engine.rows(f"select min(occurred_at), max(occurred_at) from {complete}")[0]
        others = f"(select * exclude (file) from {self._parts.rows(former.parts)} where account_id is not null and "
        others += (
            f"occurred_at between {timestamp_literal(low)} and {timestamp_literal(high)})"
            if low
            else "false)"
        )
        return former.findings + self._found(Part("new_raw_events", complete, others, total))

    def _found(self, part: Part | None) -> Findings:
        tables = self._tables
        return find(
            self._engine.rows,
            "events",
            tables.available,
            native=tables.native["events"],
            date_format=tables.date_formats.get("events"),
            now=self._now,
            part=part,
        )

    def _write(
        self,
        findings: Findings,
        former: CachedCheck | None,
        known: dict[str, Seen],
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
        accounts = former.accounts if former and nothing_new else self._write_accounts(findings, former)
        checked = CachedCheck(self._made_from, parts, findings, accounts, self._time)
        write_sealed(self._folder / _NAME, checked, form=FORMAT)
        for left in self._folder.glob("accounts.*.parquet"):
            if left != self._accounts(accounts):
                # a parallel run that needed it checks everything once more
                left.unlink(missing_ok=True)

    def _accounts_changed(self) -> bool:
        now = f"({sign_ups(self._tables.available)})"
        apart = (
            f"(from {now} except from checked_accounts) union all (from checked_accounts except from {now})"
        )
        return bool(self._engine.value(f"select count(*) from ({apart})"))

    def _write_accounts(self, findings: Findings, former: CachedCheck | None) -> str:
        """Write the accounts that the rows were compared with, and the unknown ones; return the digest."""
        accounts = "select *, false as is_unknown from checked_accounts"
        if any(one.rule.says == UNKNOWN for one in findings.found):
            rows = complete_events("bare_events" if former is None else "new_events")
            accounts += (
                f" union select {tidy('e.account_id')}, null, true from (select distinct account_id from {rows}) e "
                f"where {tidy('e.account_id')} is not null "
                f"and {tidy('e.account_id')} not in (select account_id from checked_accounts)"
            )
            if former is not None:
                file = literal(str(self._accounts(former.accounts)))
                accounts += (
                    f" union select account_id, signed_up_at, true from read_parquet({file}) where is_unknown"
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


def _is_dated_later(findings: Findings) -> bool:
    """Say whether rows are dated in the future, which will not be found later."""
    return any(one.rule.says == FUTURE for one in findings.found)
