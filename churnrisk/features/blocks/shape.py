"""The roll-up of the events: what it can hold, how far its dates reach, and who is in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from churnrisk.contract import Available
from churnrisk.contract.casts import tidy
from churnrisk.sources import literal

#: Window edges in days before ``as_of``; the account's usual rhythm is read from HISTORY_DAYS.
EDGES = (0, 7, 30, 60, 90, 180)
#: Features and users count in windows of at most so many days.
DETAIL_DAYS = 90
HISTORY_DAYS = 365
BITS = 63  # a mask word is a signed 64-bit integer
_LONGEST_SEGMENT = 60  # days; must fit into one mask word
#: Days before the detail are also kept in blocks of so many; segments end with blocks where they may.
BLOCK_DAYS = 28


def words_for(features: int) -> int:
    """Return how many mask words hold a bit for each feature."""
    return -(-features // BITS)


def block_of(day: date) -> date:
    """Return the first day of the block that a day lies in."""
    return date.fromordinal((day.toordinal() - 1) // BLOCK_DAYS * BLOCK_DAYS + 1)


@dataclass(frozen=True)
class Shape:
    """What of the roll-up this project's tables can feed.

    Attributes
    ----------
    words : int
        Mask words that hold a bit for every product feature.
    late : bool
        Rows say when they were recorded, and so may be known later than they happened.
    quantity : bool
        Rows have a quantity.
    key_features : tuple of str
        Product features whose own last day is kept.
    coded : bool
        Accounts are numbers, which ``event_accounts`` explains, and users the contract's; else both stand as the
        source spells them.
    """

    words: int
    late: bool
    quantity: bool
    key_features: tuple[str, ...]
    coded: bool = False

    @classmethod
    def of(
        cls, available: Available, features: int, key_features: tuple[str, ...], *, coded: bool = False
    ) -> Shape:
        """Return the shape for so many product features."""
        return cls(
            words=words_for(features),
            late=available.has("events.recorded_at"),
            quantity=available.has("events.quantity"),
            key_features=key_features if available.has("events.feature") else (),
            coded=coded,
        )

    def tidied(self, column: str) -> str:
        """Return an id of the roll-up as the contract has it, or the number that stands for it."""
        return column if self.coded else tidy(column)

    def masks(self, template: str) -> str:
        """Repeat a comma-led column template for every mask word."""
        return "".join(f", {template.format(i=i)}" for i in range(self.words))

    def keys(self, template: str) -> str:
        """Repeat a comma-led column template for every key feature."""
        return "".join(
            f", {template.format(i=i, name=literal(name))}" for i, name in enumerate(self.key_features)
        )

    def bits(self, template: str) -> str:
        """Add up the bits that a mask expression sets over all words."""
        return (
            " + ".join(f"coalesce(bit_count({template.format(i=i)})::int, 0)" for i in range(self.words))
            or "0"
        )

    def amount(self, sum_: str) -> str:
        """Return a sum of quantities, or a null of its type where rows have none."""
        return sum_ if self.quantity else "null::decimal(38, 4)"


@dataclass(frozen=True)
class Reach:
    """The as-of dates and how far they look back: full detail from ``near``, days only from ``far``."""

    dates: tuple[datetime, ...]

    @property
    def near(self) -> datetime:
        """From here on every column counts."""
        return self.dates[0] - timedelta(days=DETAIL_DAYS)

    @property
    def far(self) -> datetime:
        """From here on days count."""
        return self.dates[0] - timedelta(days=HISTORY_DAYS)

    @property
    def end(self) -> datetime:
        """The last date: nothing from there on is known."""
        return self.dates[-1]

    @property
    def edges(self) -> list[datetime]:
        """All window edges, with more between them where a segment would outgrow a mask word."""
        days = (*EDGES, HISTORY_DAYS)
        edges = sorted({moment - timedelta(days=edge) for moment in self.dates for edge in days})
        filled = [edges[0]]
        for edge in edges[1:]:
            while (edge - filled[-1]).days > _LONGEST_SEGMENT:
                filled.append(_midnight(block_of(filled[-1].date() + timedelta(days=_LONGEST_SEGMENT))))
            filled.append(edge)
        return filled


def instant(moment: datetime) -> str:
    """Return a day's 00:00 as SQL."""
    return f"timestamp '{moment:%Y-%m-%d}'"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def active(shape: Shape, reach: Reach) -> str:
    """Accounts, as the roll-up has them, whose last days at the first date are in it."""
    keys = " and ".join(f"count(last_key_{i}) > 0" for i in range(len(shape.key_features)))
    columns = "account_id, known_as_of" + shape.keys("last_key_{i}")
    return (
        f"select account_id from (select {columns} from event_rollup union all select {columns} "
        f"from event_history) where known_as_of = {instant(reach.dates[0])} group by account_id"
        + (f" having {keys}" if keys else "")
    )
