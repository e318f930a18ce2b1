"""The statements that read raw rows of events for their roll-up.

What is read of a row depends on how long ago it happened before the first date: within the 90 days every column,
within the year no user and no feature, earlier than that only the days of accounts that are silent since.
Times are compared with literals, so that whole row groups of Parquet files are skipped. Ids are grouped as
the source spells them (``bare_events``) and made the contract's afterwards, on far fewer rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from churnrisk.contract.casts import EARLIEST, tidy
from churnrisk.features.blocks.columns import known_at, optional
from churnrisk.features.blocks.shape import BITS, Reach, Shape, active, instant
from churnrisk.sources import Tables


@dataclass(frozen=True)
class RawEvents:
    """The roll-up as it is made from raw rows."""

    tables: Tables
    shape: Shape
    reach: Reach

    @classmethod
    def opened(cls, tables: Tables, key_features: tuple[str, ...], reach: Reach) -> RawEvents:
        """Create ``feature_bits``, from all product features that there are."""
        engine, available = tables.engine, tables.available
        feature = optional(available, "events", "feature", "e", "varchar")
        engine.run(f"create or replace temp table feature_bits as {_feature_bits(feature)}")
        features = engine.value("select count(distinct feature) from feature_bits")
        return cls(tables, Shape.of(available, features, key_features), reach)

    def detail(self) -> str:
        """(account, user, segment, first date that knows the row) of the days within all windows."""
        user = optional(self.tables.available, "events", "user_id", "e", "varchar")
        masks = self.shape.masks("bit_or(case when b.word = {i} then b.bit end) as mask_{i}")
        return (
            f"select e.account_id, {user} as user_id, {self._sums()}{masks}{self._last_keys('d.day')} "
            f"from {self._with_days()} left join feature_bits b on b.spelled = {self._feature} "
            f"where {self._between(self.reach.near, self.reach.end)} group by e.account_id, 2, d.segment, known_as_of"
        )

    def history(self) -> str:
        """(account, segment, first date that knows the row) of the days within the year's windows only."""
        return (
            f"select e.account_id, {self._sums()}{self._last_keys('d.day')} from {self._with_days()} "
            f"where {self._between(self.reach.far, self.reach.near)} "
            "group by e.account_id, d.segment, known_as_of"
        )

    def lookback(self) -> str:
        """Find the last days, before all windows, of accounts that have none in what the first date sees."""
        day = "cast(e.occurred_at as date)"
        return (
            f"select {tidy('e.account_id')} as account_id, {self._known_as_of('a')} as known_as_of, "
            f"max({day}) as last_day{self._last_keys(day)} "
            f"from (select e.* from bare_events e anti join ({active(self.shape, self.reach)}) f "
            f"on f.account_id = e.account_id where {self._before(self.reach.far)}) e {self._dated('a')}group by 1, 2"
        )

    def create_sightings(self) -> None:
        """Create ``feature_sightings`` from the masks of the roll-up, and from raw rows where those do not reach."""
        engine = self.tables.engine
        engine.run(f"create or replace temp table feature_masks as {_feature_masks(self.shape)}")
        engine.run(f"create or replace temp table feature_sightings as {_recent_sightings(self.shape)}")
        engine.run(f"insert into feature_sightings {self._earlier_sightings()}")

    def _earlier_sightings(self) -> str:
        """Find when features were first known that nobody used in the days that the first date sees in detail."""
        seen = f"select feature from feature_sightings where known_as_of = {instant(self.reach.dates[0])}"
        return (
            f"select b.feature, min({self._known_as_of('a')}) as known_as_of from bare_events e "
            f"join (select * from feature_bits where feature not in ({seen})) b on b.spelled = {self._feature} "
            f"{self._dated('a')}where {self._before(self.reach.near)} and {tidy('e.account_id')} is not null "
            "group by b.feature"
        )

    @property
    def _feature(self) -> str:
        return optional(self.tables.available, "events", "feature", "e", "varchar")

    @property
    def _known(self) -> str:
        return known_at(self.tables.available, "events", "e", "occurred_at")

    def _sums(self) -> str:
        quantity = optional(self.tables.available, "events", "quantity", "e", "double")
        return (
            f"d.segment, {'k' if self.shape.late else 'd'}.first_as_of as known_as_of, count(*) as n, "
            f"{self.shape.amount(f'sum(cast({quantity} as decimal(18, 4)))')} as quantity, "
            "bit_or(d.day_bit) as days, min(d.day) as first_day, max(d.day) as last_day"
        )

    def _last_keys(self, day: str) -> str:
        return self.shape.keys(
            f"max({day}) filter (where {tidy(self._feature)} = {{name}}) as last_key_{{i}}"
        )

    def _with_days(self) -> str:
        known = f" join event_days k on k.day = cast({self._known} as date)" if self.shape.late else ""
        return f"bare_events e join event_days d on d.day = cast(e.occurred_at as date){known}"

    def _between(self, low: datetime, high: datetime) -> str:
        return f"e.occurred_at >= {instant(low)} and e.occurred_at < {instant(high)}"

    def _before(self, high: datetime) -> str:
        return self._between(datetime.fromisoformat(EARLIEST), high)

    def _known_as_of(self, dates: str) -> str:
        return f"{dates}.as_of" if self.shape.late else instant(self.reach.dates[0])

    def _dated(self, dates: str) -> str:
        """Join the first date that knows a row; rows from before all windows are known to all unless late."""
        return f"asof join as_of_dates {dates} on {dates}.as_of > {self._known} " if self.shape.late else ""


def _feature_bits(feature: str) -> str:
    """Give every product feature a bit of a mask word, the same for all its spellings."""
    return (
        f"select spelled, feature, (place // {BITS})::int as word, 1::bigint << (place % {BITS})::int as bit from ("
        "select *, dense_rank() over (order by feature) - 1 as place from ("
        f"select spelled, {tidy('spelled')} as feature from (select distinct {feature} as spelled from bare_events e)) "
        "where feature is not null)"
    )


def _feature_masks(shape: Shape) -> str:
    return (
        f"select known_as_of{shape.masks('bit_or(mask_{i}) as mask_{i}')} from event_rollup "
        f"where {tidy('account_id')} is not null group by known_as_of"
    )


def _recent_sightings(shape: Shape) -> str:
    """Find when each feature was first known to be used, of those that the masks hold."""
    used = " or ".join(f"b.word = {i} and m.mask_{i} & b.bit <> 0" for i in range(shape.words)) or "false"
    return (
        "select b.feature, min(m.known_as_of) as known_as_of "
        f"from feature_masks m join feature_bits b on {used} group by b.feature"
    )
