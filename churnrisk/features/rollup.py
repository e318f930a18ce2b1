"""From raw events to windows: every raw row is read once, whatever the number of dates.

All window edges of all as-of dates cut time into segments, so a window is a set of whole segments. What is read of a
row depends on how long ago it happened before the first date: within 90 days every column, within a year no user and no
feature, earlier only the days of accounts that are silent since. Times are compared with literals, so that whole row
groups of Parquet files are skipped. Ids are grouped as the source spells them (``bare_events``) and trimmed afterwards,
on far fewer rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from churnrisk.contract import EARLIEST, Available, literal, tidy, timestamp_literal
from churnrisk.features.block import BlockInputs

#: Window edges in days before ``as_of``; the account's usual rhythm is read from HISTORY_DAYS.
EDGES = (0, 7, 30, 60, 90, 180)
#: Features and users count in windows of at most so many days.
DETAIL_DAYS = 90
HISTORY_DAYS = 365
#: Users are counted over the last half of so many days and the half before.
PEOPLE_DAYS = 60
BITS = 63  # a mask word is a signed 64-bit integer
_LONGEST_SEGMENT = 60  # days; must fit into one mask word
#: Windows as ages in days: above the first, up to the second.
_SPANS = {"7": (0, 7), "30": (0, 30), "90": (0, 90), "prev_30": (30, 60)}


@dataclass(frozen=True)
class RollupShape:
    """Which columns the roll-up has in this project."""

    #: Mask words that hold a bit for every product feature.
    words: int
    #: Rows say when they were recorded, and so may be known later than they happened.
    late: bool
    quantity: bool
    #: Product features whose last day of use is computed.
    key_features: tuple[str, ...]

    @classmethod
    def of(cls, available: Available, features: int, key_features: tuple[str, ...]) -> RollupShape:
        """Return the shape for so many product features."""
        return cls(
            words=-(-features // BITS),
            late=available.has("events.recorded_at"),
            quantity=available.has("events.quantity"),
            key_features=key_features if available.has("events.feature") else (),
        )

    def masks(self, template: str) -> str:
        """Repeat a comma-led column template for every mask word."""
        return "".join(f", {template.format(i=i)}" for i in range(self.words))

    def keys(self, template: str) -> str:
        """Repeat a comma-led column template for every key feature."""
        names = enumerate(map(literal, self.key_features))
        return "".join(f", {template.format(i=i, name=name)}" for i, name in names)

    def bits(self, template: str) -> str:
        """Add up the bits that a mask expression sets over all words."""
        counts = (f"coalesce(bit_count({template.format(i=i)})::int, 0)" for i in range(self.words))
        return " + ".join(counts) or "0"

    def amount(self, sum_: str) -> str:
        """Return a sum of quantities, or a null where rows have none."""
        return sum_ if self.quantity else "null::integer"


@dataclass(frozen=True)
class _Reach:
    """The as-of dates and how far they look back: in full detail from ``near``, by days only from ``far``."""

    dates: tuple[datetime, ...]

    @property
    def near(self) -> datetime:
        return self.dates[0] - timedelta(days=DETAIL_DAYS)

    @property
    def far(self) -> datetime:
        return self.dates[0] - timedelta(days=HISTORY_DAYS)

    @property
    def end(self) -> datetime:
        return self.dates[-1]

    @property
    def edges(self) -> list[datetime]:
        """All window edges, with more between them where a segment would outgrow a mask word."""
        days = (*EDGES, HISTORY_DAYS)
        edges = sorted({moment - timedelta(days=edge) for moment in self.dates for edge in days})
        filled = [edges[0]]
        for edge in edges[1:]:
            while (edge - filled[-1]).days > _LONGEST_SEGMENT:
                filled.append(filled[-1] + timedelta(days=_LONGEST_SEGMENT))
            filled.append(edge)
        return filled


@dataclass(frozen=True)
class EventRelations:
    """Names of what the events block joins, whether computed from raw rows or from the cache."""

    #: Per (account_key, as_of): every window, the users, and the last days of accounts without any in the windows.
    windows: str = "event_windows"
    users: str = "event_users"
    before: str = "event_before"
    #: (feature, known_as_of): from which date on each product feature was known to be used by anybody.
    sightings: str = "feature_sightings"


@dataclass(frozen=True)
class RollUp:
    """The roll-up of the raw events. Each row says from which as-of date on it is known: ``known_as_of``."""

    shape: RollupShape
    #: By account of the panel and user and segment, and by account and segment.
    people: str = "event_people"
    segments: str = "event_segments"
    #: The last days of accounts that have been silent for a year.
    lookback: str = "event_lookback"
    #: (segment, as_of, age) of the segments that each date looks back on.
    windows: str = "segment_windows"


def roll_up(inputs: BlockInputs) -> RollUp:
    """Create the roll-up of the events, and the sightings of :class:`EventRelations`."""
    engine = inputs.engine
    dates = engine.rows(f"select as_of from {inputs.dates} order by as_of")
    reach = _Reach(tuple(date for (date,) in dates))
    inputs.create("feature_bits", _feature_bits(inputs.available.optional("events.feature", "e", "varchar")))
    features = engine.value("select count(distinct feature) from feature_bits")
    shape = RollupShape.of(inputs.available, features, inputs.key_features)
    rolled, sightings = RollUp(shape), EventRelations().sightings
    _create_segments(inputs, reach, rolled.windows)
    raw = _RawEvents(inputs, shape, reach)
    inputs.create("event_rollup", raw.detail())
    inputs.create("event_history", raw.history())
    inputs.create("event_spellings", _spellings(inputs.keys))
    inputs.create(rolled.people, _people(rolled.windows))
    inputs.create(rolled.segments, _by_account(shape))
    inputs.create("feature_masks", _feature_masks(shape))
    engine.drop("event_rollup", "event_history", "event_spellings")
    inputs.create("silent_accounts", raw.silent(rolled.segments))
    inputs.create(rolled.lookback, raw.lookback())
    inputs.create(sightings, _recent_sightings(shape))
    engine.run(f"insert into {sightings} {raw.earlier_sightings(sightings)}")
    return rolled


def _feature_bits(feature: str) -> str:
    """Give every product feature a bit of a mask word, the same for all its spellings."""
    return (
        f"select spelled, feature, (place // {BITS})::int as word, 1::bigint << (place % {BITS})::int as bit from ("
        "select *, dense_rank() over (order by feature) - 1 as place from ("
        f"select spelled, {tidy('spelled')} as feature from (select distinct {feature} as spelled from bare_events e)) "
        "where feature is not null)"
    )


def _create_segments(inputs: BlockInputs, reach: _Reach, windows: str) -> None:
    """Create ``event_days`` (day to its segment) and the windows (segment to as-of dates)."""
    values = ", ".join(f"(date '{edge:%Y-%m-%d}')" for edge in reach.edges)
    inputs.create("segment_edges", f"select * from (values {values}) e(segment)")
    inputs.create(
        "event_days",
        "select d.day, s.segment, a.as_of as first_as_of, 1::bigint << (d.day - s.segment)::int as day_bit from ("
        f"select cast(unnest(generate_series({timestamp_literal(reach.far)}, "
        f"{timestamp_literal(reach.end)} - interval 1 day, interval 1 day)) as date) as day) d "
        "asof join segment_edges s on s.segment <= d.day "
        f"asof join {inputs.dates} a on a.as_of > d.day",
    )
    inputs.create(
        windows,
        "select s.segment, d.as_of, date_diff('day', s.segment, d.as_of) as age "
        f"from segment_edges s join {inputs.dates} d on s.segment < d.as_of "
        f"and s.segment >= d.as_of - interval {HISTORY_DAYS} day",
    )


@dataclass(frozen=True)
class _RawEvents:
    """The statements that touch raw rows."""

    inputs: BlockInputs
    shape: RollupShape
    reach: _Reach

    def detail(self) -> str:
        """(account, user, segment, first date that knows the row) of the days within all windows."""
        user = self.inputs.available.optional("events.user_id", "e", "varchar")
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

    def silent(self, segments: str) -> str:
        """Find the accounts of the panel whose last days at the first date are not in the roll-up."""
        keys = " and ".join(f"count(last_key_{i}) > 0" for i in range(len(self.shape.key_features)))
        return (
            f"select k.account_id, k.account_key from {self.inputs.keys} k "
            f"anti join (select account_key from {segments} "
            f"where known_as_of = {timestamp_literal(self.reach.dates[0])} group by account_key"
            f"{f' having {keys}' if keys else ''}) a on a.account_key = k.account_key"
        )

    def lookback(self) -> str:
        """Find the last days of silent accounts before all windows."""
        day = "cast(e.occurred_at as date)"
        return (
            f"select s.account_key, {self._known_as_of('a')} as known_as_of, "
            f"max({day}) as last_day{self._last_keys(day)} from bare_events e "
            f"join silent_accounts s on s.account_id = {tidy('e.account_id')} {self._dated('a')}"
            f"where {self._before(self.reach.far)} group by 1, 2"
        )

    def earlier_sightings(self, sightings: str) -> str:
        """Find when features were first known that nobody used in the days that the first date sees in detail."""
        seen = f"select feature from {sightings} where known_as_of = {timestamp_literal(self.reach.dates[0])}"
        return (
            f"select b.feature, min({self._known_as_of('a')}) as known_as_of from bare_events e "
            f"join (select * from feature_bits where feature not in ({seen})) b on b.spelled = {self._feature} "
            f"{self._dated('a')}where {self._before(self.reach.near)} and {tidy('e.account_id')} is not null "
            "group by b.feature"
        )

    @property
    def _feature(self) -> str:
        return self.inputs.available.optional("events.feature", "e", "varchar")

    @property
    def _known(self) -> str:
        return self.inputs.available.known_at("events", "e")

    def _sums(self) -> str:
        quantity = self.inputs.available.optional("events.quantity", "e", "double")
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
        return f"e.occurred_at >= {timestamp_literal(low)} and e.occurred_at < {timestamp_literal(high)}"

    def _before(self, high: datetime) -> str:
        return f"e.occurred_at >= {EARLIEST} and e.occurred_at < {timestamp_literal(high)}"

    def _known_as_of(self, dates: str) -> str:
        return f"{dates}.as_of" if self.shape.late else timestamp_literal(self.reach.dates[0])

    def _dated(self, dates: str) -> str:
        """Join the first date that knows a row; rows from before all windows are known to all unless late."""
        if not self.shape.late:
            return ""
        return f"asof join {self.inputs.dates} {dates} on {dates}.as_of > {self._known} "


def _spellings(keys: str) -> str:
    """Map each spelling of an account's id in the events to its key."""
    return (
        "select s.spelled, k.account_key from (select account_id as spelled from event_rollup union "
        f"select account_id from event_history) s join {keys} k on k.account_id = {tidy('s.spelled')}"
    )


def _people(windows: str) -> str:
    """Select the days on which windows count users."""
    return (
        f"select k.account_key, {tidy('r.user_id')} as user_id, r.segment, r.known_as_of, r.n "
        "from event_rollup r join event_spellings k on k.spelled = r.account_id "
        f"where r.segment in (select segment from {windows} where age <= {PEOPLE_DAYS}) order by 1"
    )


def _by_account(shape: RollupShape) -> str:
    """Add up users."""
    sums = "segment, known_as_of, n, quantity, days, first_day, last_day"
    keys = shape.keys("last_key_{i}")
    return (
        "select k.account_key, segment, known_as_of, sum(n)::bigint as n, "
        f"{shape.amount('sum(quantity)')} as quantity, bit_or(days) as days, "
        "min(first_day) as first_day, max(last_day) as last_day"
        + shape.masks("bit_or(mask_{i}) as mask_{i}")
        + shape.keys("max(last_key_{i}) as last_key_{i}")
        + f" from (select account_id, {sums}{shape.masks('mask_{i}')}{keys} from event_rollup union all "
        f"select account_id, {sums}{shape.masks('null::bigint as mask_{i}')}{keys} from event_history) r "
        "join event_spellings k on k.spelled = r.account_id group by 1, 2, 3 order by 1"
    )


def _feature_masks(shape: RollupShape) -> str:
    return (
        f"select known_as_of{shape.masks('bit_or(mask_{i}) as mask_{i}')} from event_rollup "
        f"where {tidy('account_id')} is not null group by known_as_of"
    )


def _recent_sightings(shape: RollupShape) -> str:
    """Find when each feature was first known to be used, of those that the masks hold."""
    used = " or ".join(f"b.word = {i} and m.mask_{i} & b.bit <> 0" for i in range(shape.words)) or "false"
    return (
        "select b.feature, min(m.known_as_of) as known_as_of "
        f"from feature_masks m join feature_bits b on {used} group by b.feature"
    )


def window_columns(shape: RollupShape, active_days: Callable[[int, int], str]) -> str:
    """Return the select list of every window; ``active_days`` counts days above one age, up to another, or null."""
    spans = {name: ages(*span) for name, span in _SPANS.items()}
    columns = [f"(sum(n) filter (where {where}))::bigint as events_{name}" for name, where in spans.items()]
    columns += [
        f"{shape.amount(f'sum(quantity) filter (where {where})')} as quantity_{name}"
        for name, where in spans.items()
    ]
    columns += [f"{active_days(low, high)} as active_days_{name}" for name, (low, high) in _SPANS.items()]
    columns += [f"{active_days(0, days)} as active_days_{days}" for days in (180, HISTORY_DAYS)]
    columns += [
        "sum(n)::bigint as events_365",
        f"{shape.amount('sum(quantity)')} as quantity_365",
        "min(first_day) as first_day_365",
        "max(last_day) as last_day",
    ]
    columns += [
        f"{shape.bits(f'bit_or(mask_{{i}}) filter (where age <= {days})')} as features_{days}"
        for days in (7, 30, 90)
    ]
    recent = "coalesce(bit_or(mask_{i}) filter (where age <= 30), 0)"
    before = "coalesce(bit_or(mask_{i}) filter (where age > 30 and age <= 90), 0)"
    columns += [
        f"{shape.bits(f'{before} & ~{recent}')} as features_dropped",
        f"{shape.bits(f'{recent} & ~{before}')} as features_adopted",
    ]
    return ", ".join(columns) + shape.keys("max(last_key_{i}) as last_key_{i}")


def last_days(shape: RollupShape) -> tuple[str, ...]:
    """Return the columns that say when something was last seen."""
    return ("last_day", *(f"last_key_{i}" for i in range(len(shape.key_features))))


def complete(shape: RollupShape) -> str:
    """Return the condition that all was last seen within the windows, so that nothing before them matters."""
    return " and ".join(f"{name} is not null" for name in last_days(shape))


def ages(low: int, high: int) -> str:
    """Return the condition of an age above the first, up to the second."""
    return f"age > {low} and age <= {high}" if low else f"age <= {high}"


def user_columns(rows: str) -> str:
    """Return the query of the users, over rows of the last 60 days with account_key, as_of, user_id, age and n."""
    return (
        "select account_key, as_of, count(*) filter (where recent > 0) as users_30, "
        "count(*) filter (where before > 0) as users_prev_30, max(recent) as top_user_events_30, "
        "sum(recent)::bigint as user_events_30 from ("
        "select account_key, as_of, user_id, (sum(n) filter (where age <= 30))::bigint as recent, "
        f"(sum(n) filter (where age > 30))::bigint as before from {rows} where user_id is not null group by 1, 2, 3) "
        "group by account_key, as_of"
    )
