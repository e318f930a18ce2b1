"""What the kept roll-up of the events consists of, and what it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from churnrisk.features.blocks.rollup import BITS
from churnrisk.sources import Seen

#: Raise it when files that older versions have written would be read wrongly.
FORMAT = 1
NAME = "manifest.json"


class KeptError(Exception):
    """What was kept cannot be used; the message says why. All of it has to be made anew."""


@dataclass(frozen=True)
class KeptFile:
    """A Parquet file of the roll-up and how to recognise it."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class KeptPart(Seen):
    """A part of the events as it was read: per day the number of rows and the sum of their hashes."""

    days: dict[date, tuple[int, str]]


@dataclass(frozen=True)
class KeptDay:
    """One day: a row per account, person and, where rows say so, day of recording.

    Attributes
    ----------
    files : tuple of KeptFile
        Usually one.
    seen : dict of int to date
        Since when the use of a product feature on this day was known, by the feature's place.
    """

    files: tuple[KeptFile, ...]
    seen: dict[int, date]


@dataclass(frozen=True)
class KeptBlock:
    """The days of a block added up per account, with the digest of what they were made of."""

    made_from: str
    files: tuple[KeptFile, ...]


@dataclass(frozen=True)
class Manifest:
    """The kept roll-up.

    Attributes
    ----------
    made_from : str
        Digest of how rows are read; files are listed as parts.
    features : tuple of str
        All product features ever seen: a feature's place is its bit in the masks.
    accounts : int
        How many accounts have a number.
    names : tuple of KeptFile
        Account ids with their numbers.
    """

    made_from: str
    features: tuple[str, ...] = ()
    accounts: int = 0
    names: tuple[KeptFile, ...] = ()
    parts: dict[str, KeptPart] = field(default_factory=dict)
    days: dict[date, KeptDay] = field(default_factory=dict)
    blocks: dict[date, KeptBlock] = field(default_factory=dict)

    @property
    def words(self) -> int:
        """Mask words of the rows."""
        return -(-len(self.features) // BITS)

    def files(self) -> Iterator[KeptFile]:
        """Yield every file."""
        yield from self.names
        for day in self.days.values():
            yield from day.files
        for block in self.blocks.values():
            yield from block.files
