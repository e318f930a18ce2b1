"""Which days of the events have changed since they were rolled up: known from their files where those are unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from churnrisk.contract.casts import EARLIEST, LATEST
from churnrisk.features.blocks.kept.manifest import KeptError, KeptPart, Manifest
from churnrisk.sources import Parts, Seen, Stamp, Tables


@dataclass(frozen=True)
class Changes:
    """What must be read to bring the roll-up up to date.

    Attributes
    ----------
    parts : dict of str to KeptPart
        All parts as they are now.
    stamps : dict of str to list
        What their files were like before anything was read.
    wanted : frozenset of (str, date)
        Parts and days whose rows are to be read.
    rebuilt : frozenset of date
        Days on which rows have changed or gone: all their rows are wanted, nothing kept of them holds.
    """

    parts: dict[str, KeptPart]
    stamps: dict[str, Stamp]
    read: frozenset[str]
    wanted: frozenset[tuple[str, date]]
    rebuilt: frozenset[date]

    @property
    def merged(self) -> frozenset[date]:
        """Days to which rows were only added: what is kept of them holds, new rows come to it."""
        return frozenset(day for _, day in self.wanted) - self.rebuilt

    def require_still(self, parts: Parts) -> None:
        """Refuse what was read of files that changed meanwhile: its days may be of two states.

        Raises
        ------
        KeptError
            If there is one.
        """
        for name in self.read:
            if parts.parts[name].stamp() != self.stamps[name]:
                raise KeptError(f"{name} changed while it was read")


def find_changes(tables: Tables, parts: Parts, manifest: Manifest) -> Changes:
    """Compare the parts with what was rolled up, reading rows of parts with other content only."""
    now: dict[str, KeptPart] = {}
    other: dict[str, Seen] = {}
    stamps = parts.stamps()
    for name, part in parts.parts.items():
        former = manifest.parts.get(name)
        seen = part.seen(stamps[name], former)
        if former and seen.digest == former.digest:
            now[name] = KeptPart(seen.stamp, seen.digest, former.days)
        else:
            other[name] = seen
    marks = _marks(tables, parts, other)
    now |= {
        name: KeptPart(seen.stamp, seen.digest, marks.get(parts.parts[name].file, {}))
        for name, seen in other.items()
    }
    rebuilt = frozenset(_changed_days(manifest.parts, now))
    added = {
        (name, day)
        for name in other
        for day in now[name].days
        if name not in manifest.parts or day not in manifest.parts[name].days
    }
    again = (
        {(name, day) for name, part in now.items() for day in part.days if day in rebuilt}
        if rebuilt
        else set()
    )
    read = frozenset(other) | {name for name, _ in again}
    return Changes(now, stamps, read, frozenset(added | again), rebuilt)


def _changed_days(before: dict[str, KeptPart], now: dict[str, KeptPart]) -> Iterable[date]:
    for name, former in before.items():
        days = now[name].days if name in now else {}
        yield from (day for day, mark in former.days.items() if days.get(day) != mark)


def _marks(tables: Tables, parts: Parts, names: Iterable[str]) -> dict[str, dict[date, tuple[int, str]]]:
    """Return per file and day what tells its rows from others: their number and the sum of their hashes."""
    names = list(names)
    if not names:
        return {}
    columns = ", ".join(tables.available.tables["events"])
    found: dict[str, dict[date, tuple[int, str]]] = {}
    # a sum and not an exclusive or: with that, two equal rows would vanish
    for file, day, count, total in tables.engine.rows(
        f"select file, cast(occurred_at as date), count(*), sum(hash({columns})) from {parts.rows(names)} "
        f"where {within(EARLIEST, LATEST)} group by 1, 2"
    ):
        found.setdefault(file, {})[day] = (count, str(total))
    return found


def within(first: date | str, last: date | str) -> str:
    """Return the condition that a row happened between two instants."""
    return f"occurred_at between timestamp '{first}' and timestamp '{last}'"
