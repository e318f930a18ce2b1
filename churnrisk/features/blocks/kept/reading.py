"""What the windows of one date read of kept rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from churnrisk.features.blocks.kept.blocks import BLOCK_DAYS, block_of, last_keys, whole_blocks
from churnrisk.features.blocks.kept.files import KeptFiles
from churnrisk.features.blocks.kept.manifest import Manifest
from churnrisk.features.blocks.rollup import HISTORY_DAYS, PEOPLE_DAYS, Shape
from churnrisk.features.blocks.windows import complete, user_columns, window_columns

#: Days in a word of active days: whole blocks, so that none is in two words.
_WORD_DAYS = 2 * BLOCK_DAYS


@dataclass(frozen=True)
class AtDate:
    """The queries of one as-of date. Kept rows have numbers in the place of accounts; ``kept_keys`` has their keys."""

    as_of: date
    shape: Shape
    files: KeptFiles
    manifest: Manifest

    def windows(self) -> str:
        """(account) with every window."""
        low = self._ago(HISTORY_DAYS)
        columns = window_columns(self.shape, self._active_days)
        quantity = self.shape.amount("e.quantity")
        days = (
            f"select e.account_id as code, date '{self.as_of}' - e.day as age, e.n, {quantity} as quantity"
            f"{self.shape.masks('e.mask_{i}')}, {self._word('e.day')} as word, "
            f"1::bigint << {self._bit('e.day')} as days, e.day as first_day, e.day as last_day{self._keys()} "
            f"from {self._days(low, self.as_of)}"
        )
        blocks = (
            f"select e.account_id, date '{self.as_of}' - e.block, e.n, {quantity}"
            f"{self.shape.masks('null::bigint')}, {self._word('e.block')}, e.days << {self._bit('e.block')}, "
            f"e.first_day, e.last_day{self.shape.keys('e.last_key_{i}')} from {self._blocks(low, self.as_of)}"
        )
        return (
            f"select k.account_key, {self._instant} as as_of, w.* exclude (code) from "
            f"(select code, {columns} from ({days} union all {blocks}) group by code) w join kept_keys k using (code)"
        )

    def users(self) -> str:
        """(account) with the columns of its users."""
        rows = (
            f"select e.account_id as code, e.user_id, date '{self.as_of}' - e.day as age, e.n "
            f"from {self._days(self._ago(PEOPLE_DAYS), self.as_of)}"
        )
        return user_columns(
            f"(select k.account_key, {self._instant} as as_of, u.user_id, u.age, u.n "
            f"from ({rows}) u join kept_keys k using (code))"
        )

    def before(self) -> str:
        """(account) with its last days before the windows, of accounts that have none in them."""
        far = self._ago(HISTORY_DAYS)
        there = f"as_of = {self._instant} and {complete(self.shape)}"
        return (
            f"select s.account_key, {self._instant} as as_of, max(last_day) as last_day"
            f"{self.shape.keys('max(last_key_{i}) as last_key_{i}')} from ("
            f"select e.account_id as code, e.day as last_day{self._keys()} from {self._days(date.min, far)} union all "
            f"select e.account_id, e.last_day{self.shape.keys('e.last_key_{i}')} "
            f"from {self._blocks(date.min, far)}) e join (select k.code, k.account_key from kept_keys k "
            f"anti join (select account_key from event_windows where {there}) w on w.account_key = k.account_key) s "
            "using (code) group by s.account_key"
        )

    @property
    def _instant(self) -> str:
        return f"timestamp '{self.as_of}'"

    @property
    def _origin(self) -> date:
        """The first day of the first word."""
        return block_of(self._ago(HISTORY_DAYS))

    def _ago(self, days: int) -> date:
        return self.as_of - timedelta(days=days)

    def _word(self, day: str) -> str:
        return f"({day} - date '{self._origin}') // {_WORD_DAYS}"

    def _bit(self, day: str) -> str:
        return f"(({day} - date '{self._origin}') % {_WORD_DAYS})::int"

    def _active_days(self, low: int, high: int) -> str:
        """Count the days of some ages by their bits: those of several people, or recordings, count once."""
        first, last = ((self._ago(age) - self._origin).days for age in (high, low))
        counts = []
        for word in range(first // _WORD_DAYS, (last - 1) // _WORD_DAYS + 1):
            start = word * _WORD_DAYS
            wanted = (1 << min(last - start, _WORD_DAYS)) - (1 << max(first - start, 0))
            counts.append(
                f"coalesce(bit_count(bit_or(days) filter (where word = {word}) & {wanted}), 0)::integer"
            )
        return f"nullif({' + '.join(counts)}, 0)"

    def _keys(self) -> str:
        days = last_keys(self.shape, self.manifest.features)
        return "".join(f", {day} as last_key_{i}" for i, day in enumerate(days))

    def _days(self, low: date, high: date) -> str:
        """Return the rows ``e`` of the days in [low, high) that no whole block holds, as far as they were known."""
        blocks = whole_blocks(self.manifest, self.as_of)
        found = [
            file
            for day, entry in self.manifest.days.items()
            if low <= day < high and block_of(day) not in blocks
            for file in entry.files
        ]
        columns = {"account_id": "int", "user_id": "varchar", "day": "date"} | _COUNTED
        masks = {f"mask_{i}": "bigint" for i in range(self.shape.words)}
        return self._known(self.files.rows(found) if found else _no_rows(columns | masks))

    def _blocks(self, low: date, high: date) -> str:
        """Return the rows ``e`` of the whole blocks in [low, high), as far as they were known."""
        found = [
            file
            for first in whole_blocks(self.manifest, self.as_of)
            if low <= first < high
            for file in self.manifest.blocks[first].files
        ]
        columns = {"account_id": "int", "block": "date", "days": "bigint"} | _COUNTED
        keys = [f"last_key_{i}" for i in range(len(self.shape.key_features))]
        last = dict.fromkeys(("first_day", "last_day", *keys), "date")
        return self._known(self.files.rows(found) if found else _no_rows(columns | last))

    def _known(self, rows: str) -> str:
        return f"{rows} e" + (f" where e.known < date '{self.as_of}'" if self.shape.late else "")


_COUNTED = {"known": "date", "n": "bigint", "quantity": "decimal(38, 4)"}


def _no_rows(columns: dict[str, str]) -> str:
    return f"(select {', '.join(f'null::{type_} as {name}' for name, type_ in columns.items())} limit 0)"
