"""Bring the kept roll-up up to date: new and changed days are read, all others stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from churnrisk.contract.casts import tidy
from churnrisk.features.blocks.columns import known_at, optional
from churnrisk.features.blocks.kept.changes import Changes, within
from churnrisk.features.blocks.kept.files import KeptFiles
from churnrisk.features.blocks.kept.manifest import KeptDay, KeptError, KeptFile, Manifest
from churnrisk.features.blocks.rollup import BITS, Shape
from churnrisk.sources import Parts, Tables

#: So many files with names of new accounts are made one.
_NAME_FILES = 30


class Update:
    """One update; the engine holds ``event_accounts`` afterwards.

    Parameters
    ----------
    files : KeptFiles
        The folder.
    manifest : Manifest
        What is kept so far.
    """

    def __init__(self, tables: Tables, parts: Parts, files: KeptFiles, manifest: Manifest) -> None:
        self._tables, self._parts, self._files, self._manifest = tables, parts, files, manifest
        self._engine = tables.engine

    def made(self, changes: Changes) -> Manifest:
        """Return what is kept from now on.

        Raises
        ------
        KeptError
            If a file is damaged, or masks have not enough words for the features.
        """
        manifest = self._manifest
        self._open_accounts()
        if not changes.wanted:
            days = {day: entry for day, entry in manifest.days.items() if day not in changes.rebuilt}
            return replace(manifest, parts=changes.parts, days=days)
        raw = self._raw(changes)
        features = self._with_features(raw)
        shape = Shape.of(self._tables.available, len(features), ())
        self._engine.run(f"create or replace temp table kept_spelled as {self._spelled(raw, shape)}")
        manifest = self._with_accounts(replace(manifest, parts=changes.parts, features=features))
        kept = [file for day in changes.merged & manifest.days.keys() for file in manifest.days[day].files]
        self._engine.run(f"create or replace temp table kept_rows as {self._rows(shape, kept)}")
        written = self._files.write("select * from kept_rows order by day, account_id", by="day")
        return replace(manifest, days=self._days(changes, written, shape))

    def _open_accounts(self) -> None:
        names = self._manifest.names
        source = (
            self._files.rows(names)
            if names
            else "(select null::varchar as account_id, null::int as code limit 0)"
        )
        self._engine.run(
            f"create or replace temp table event_accounts as select account_id, code from {source}"
        )

    def _raw(self, changes: Changes) -> str:
        """Return the relation of the rows that must be read."""
        import pyarrow as pa

        names = sorted({name for name, _ in changes.wanted})
        days = [day for _, day in changes.wanted]
        rows = f"from {self._parts.rows(names)} where {within(min(days), f'{max(days)} 23:59:59.999999')}"
        if all((name, day) in changes.wanted for name in names for day in changes.parts[name].days):
            return f"(select * {rows})"
        pairs = sorted(changes.wanted)
        files = [self._parts.parts[name].file for name, _ in pairs]
        self._engine.table_from("kept_wanted", pa.table({"file": files, "day": [day for _, day in pairs]}))
        return (
            f"(select * from (select *, cast(occurred_at as date) as day {rows}) r "
            "semi join kept_wanted w on w.file = r.file and w.day = r.day)"
        )

    def _with_features(self, raw: str) -> tuple[str, ...]:
        """Return all features, new ones last, and create ``kept_bits`` with a bit for each spelling."""
        import pyarrow as pa

        feature = optional(self._tables.available, "events", "feature", "e", "varchar")
        self._engine.run(
            f"create or replace temp table kept_spellings as select spelled, {tidy('spelled')} as feature "
            f"from (select distinct {feature} as spelled from {raw} e)"
        )
        there = self._engine.rows(
            "select distinct feature from kept_spellings where feature is not null order by 1"
        )
        features = tuple(dict.fromkeys((*self._manifest.features, *(name for (name,) in there))))
        if self._manifest.days and replace(self._manifest, features=features).words != self._manifest.words:
            raise KeptError("more product features than it has room for")
        numbered = pa.table({"feature": pa.array(features, pa.string()), "place": range(len(features))})
        self._engine.table_from("kept_features", numbered)
        self._engine.run(
            f"create or replace temp table kept_bits as select spelled, (place // {BITS})::int as word, "
            f"1::bigint << (place % {BITS})::int as bit from kept_spellings join kept_features using (feature)"
        )
        return features

    def _spelled(self, raw: str, shape: Shape) -> str:
        """Group the rows by ids as they are spelled."""
        available = self._tables.available
        user, feature, quantity = (
            optional(available, "events", name, "e", type_)
            for name, type_ in (("user_id", "varchar"), ("feature", "varchar"), ("quantity", "double"))
        )
        known = (
            f", cast({known_at(available, 'events', 'e', 'occurred_at')} as date) as known"
            if shape.late
            else ""
        )
        amount = f", sum(cast({quantity} as decimal(18, 4))) as quantity" if shape.quantity else ""
        return (
            f"select e.account_id, {user} as user_id, cast(e.occurred_at as date) as day{known}, count(*) as n{amount}"
            f"{shape.masks('bit_or(case when b.word = {i} then b.bit end) as mask_{i}')} "
            f"from {raw} e left join kept_bits b on b.spelled = {feature} group by all"
        )

    def _with_accounts(self, manifest: Manifest) -> Manifest:
        """Give new accounts a number."""
        new = (
            f"select account_id, ({manifest.accounts} + row_number() over (order by account_id))::int as code from "
            f"(select distinct {tidy('account_id')} as account_id from kept_spelled) n "
            "anti join event_accounts a using (account_id) where account_id is not null"
        )
        self._engine.run(f"create or replace temp table kept_names as {new}")
        accounts = manifest.accounts + self._engine.value("select count(*) from kept_names")
        if accounts == manifest.accounts:
            return manifest
        self._engine.run("insert into event_accounts select account_id, code from kept_names")
        all_anew = len(manifest.names) >= _NAME_FILES
        source = "event_accounts" if all_anew else "kept_names"
        (written,) = self._files.write(f"select *, {accounts} as names from {source}", by="names").values()
        return replace(
            manifest, accounts=accounts, names=written if all_anew else (*manifest.names, *written)
        )

    def _rows(self, shape: Shape, kept: Iterable[KeptFile]) -> str:
        """Group what was read by the contract's ids, together with what is kept of the same days."""
        extra = ("known",) if shape.late else ()
        amount = ("quantity",) if shape.quantity else ()
        names = ", ".join(("day", *extra, "n", *amount)) + shape.masks("mask_{i}")
        kept = list(kept)
        former = (
            f" union all select account_id, user_id, {names} from {self._files.rows(kept)}" if kept else ""
        )
        return (
            f"select account_id, user_id, {', '.join(('day', *extra))}, sum(n)::bigint as n"
            f"{', sum(quantity) as quantity' if amount else ''}{shape.masks('bit_or(mask_{i}) as mask_{i}')} "
            f"from (select a.code as account_id, {tidy('s.user_id')} as user_id, {names} from kept_spelled s "
            f"join event_accounts a on a.account_id = {tidy('s.account_id')}{former}) group by all"
        )

    def _days(
        self, changes: Changes, written: Mapping[str, tuple[KeptFile, ...]], shape: Shape
    ) -> dict[date, KeptDay]:
        """Return all days, those that were written with the features that were used on them."""
        known = "known" if shape.late else "day"
        masks = self._engine.rows(
            f"select day, {known}{shape.masks('bit_or(mask_{i})')} from kept_rows group by 1, 2 order by 1, 2"
        )
        seen: dict[date, dict[int, date]] = {}
        for day, first, *words in masks:
            for place in _places(words):
                seen.setdefault(day, {}).setdefault(place, first)
        days = {day: entry for day, entry in self._manifest.days.items() if day not in changes.rebuilt}
        for text, files in written.items():
            day = date.fromisoformat(text)
            days[day] = KeptDay(files, seen.get(day, {}))
        return days


def _places(words: Iterable[int | None]) -> Iterable[int]:
    """Yield the places of the bits that are set."""
    for number, word in enumerate(words):
        for bit in range((word or 0).bit_length()):
            if (word or 0) >> bit & 1:
                yield number * BITS + bit
