"""From raw events to the roll-up: one pass to (account, user, slot), which windows.py turns into every window.

What is read of a row depends on how long ago it happened before the first date: within 90 days every column, within a
year no user and no feature, earlier only the days of accounts that are silent since. Times are compared with literals,
so that whole row groups of Parquet files are skipped. Ids are grouped as the source spells them (``bare_events``) and
trimmed afterwards, on far fewer rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from churnrisk.contract import EARLIEST, literal, tidy, timestamp_literal
from churnrisk.features.block import BlockInputs
from churnrisk.features.windows import BITS, DETAIL_DAYS, HISTORY_DAYS, WindowSpec

ROLLUP = "event_rollup"
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class RollUp:
    """The roll-up in the engine, and since which date (by its position) anybody used each product feature."""

    spec: WindowSpec
    since: dict[int, int]

    def known_features(self) -> list[int]:
        """Return how many product features had been seen by each date."""
        return [sum(first <= place for first in self.since.values()) for place in range(len(self.spec.dates))]


def roll_up(inputs: BlockInputs) -> RollUp:
    """Create the roll-up of the events."""
    return (_OneScan if inputs.engine.distributed else RawPass)(inputs).run()


@dataclass(frozen=True)
class LookBack:
    """The as-of dates and how far they look back: in full detail from ``near``, by days only from ``far``."""

    dates: tuple[datetime, ...]

    @property
    def near(self) -> datetime:
        """Where the windows with every column begin."""
        return self.dates[0] - timedelta(days=DETAIL_DAYS)

    @property
    def far(self) -> datetime:
        """Where the longest windows begin."""
        return self.dates[0] - timedelta(days=HISTORY_DAYS)

    @property
    def end(self) -> datetime:
        """Where the last windows end."""
        return self.dates[-1]


class RawPass:
    """The statements of the roll-up over raw rows."""

    #: With columns of ``bare_events``, and how its rows are counted and added up.
    rows, n, quantities, measured = (
        "bare_events",
        "count(*)",
        "cast(e.quantity as decimal(18, 4))",
        "count(e.quantity)",
    )

    def __init__(self, inputs: BlockInputs) -> None:
        self.inputs, self.engine, available = inputs, inputs.engine, inputs.available
        self.reach = LookBack(inputs.as_of)
        self.keys = inputs.key_features if available.has("events.feature") else ()
        self.spec = WindowSpec(
            tuple((moment.date() - EPOCH).days for moment in self.reach.dates),
            keys=len(self.keys),
            late=available.has("events.recorded_at"),
        )
        self.quantity = available.has("events.quantity")
        self.known_slot = " + k.known_slot" if self.spec.late else ""

    def run(self) -> RollUp:
        """Create the roll-up."""
        features = self.features()
        self._create_days()
        # apart from the next statement, whose conditions the planner would check on every raw row
        grouped = self.inputs.create("event_groups", f"{self.detail()} union all {self.history()}")
        self.inputs.create(ROLLUP, self._keyed(grouped))
        self.engine.drop(grouped)
        self.inputs.create("silent_accounts", self._silent())
        if self.engine.value("select count(*) from silent_accounts"):
            for query in self.last_days():
                self.engine.run(f"insert into {ROLLUP} {query}")
        spec = replace(self.spec, words=max(-(-features // BITS), 1))
        return RollUp(spec, self.since(features))

    def features(self) -> int:
        """Give the product features numbers, and return how many there are."""
        bits = self.inputs.create("feature_bits", self._feature_bits())
        return int(self.engine.value(f"select coalesce(max(place), -1) + 1 from {bits}"))

    def _feature_bits(self) -> str:
        """Give every product feature a bit of a mask word, the same for all its spellings."""
        spec = self.spec
        numbers = " ".join(f"when {literal(name)} then {i}" for i, name in enumerate(self.keys, start=1))
        key = f"case feature {numbers} else 0 end * {spec.key_step}" if numbers else "0"
        return (
            f"select spelled, feature, place, ({key})::int as key_slot, "
            f"({key} + place // {BITS} * {spec.word_step})::int as slot, 1::bigint << (place % {BITS})::int as bit "
            "from (select *, (dense_rank() over (order by feature) - 1)::int as place from ("
            f"select spelled, {tidy('spelled')} as feature "
            f"from (select distinct {self._feature} as spelled from {self.rows} e)) where feature is not null)"
        )

    def _create_days(self) -> None:
        """Create the days of all windows with their segment, and the first date that knows what was recorded then."""
        edges = enumerate(self.spec.edges)
        values = ", ".join(f"(date '{EPOCH + timedelta(days=day)}', {i})" for i, day in edges)
        self.inputs.create("segment_edges", f"select * from (values {values}) e(day, segment)")
        numbered = (
            f"(select as_of, (row_number() over (order by as_of) - 1)::int as place from {self.inputs.dates})"
        )
        self.inputs.create(
            "numbered_dates", f"select *, place * {self.spec.known_step} as slot from {numbered}"
        )
        self.inputs.create(
            "event_days",
            "select d.day, s.segment, a.slot as known_slot, 1::bigint << (d.day - s.day)::int as bit from ("
            f"select cast(unnest(generate_series({timestamp_literal(self.reach.far)}, "
            f"{timestamp_literal(self.reach.end)} - interval 1 day, interval 1 day)) as date) as day) d "
            "asof join segment_edges s on s.day <= d.day "
            "asof join numbered_dates a on a.as_of > d.day",
        )

    def detail(self) -> str:
        """(account, user, slot) of the days within all windows."""
        slot = f"d.segment + coalesce(b.slot, 0){self.known_slot}"
        user = self.inputs.available.optional("events.user_id", "e", "varchar")
        return (
            f"select e.account_id, {user} as user_id, {slot} as slot, "
            f"{self._sums}, bit_or(b.bit) as mask from {self._with_days} "
            f"left join feature_bits b on b.spelled = {self._feature} "
            f"where {self._between(self.reach.near, self.reach.end)} group by e.account_id, 2, 3"
        )

    def history(self) -> str:
        """(account, slot) of the days within the year's windows only."""
        return (
            f"select e.account_id, null::varchar as user_id, d.segment + {self._key_slot}{self.known_slot} as slot, "
            f"{self._sums}, null::bigint as mask from {self._with_days}{self._with_keys}"
            f"where {self._between(self.reach.far, self.reach.near)} group by e.account_id, 3"
        )

    def _silent(self) -> str:
        """Find the accounts of the panel whose last days the first date would not know from the windows."""
        spec, keys = self.spec, self.inputs.keys
        first = spec.edges.index(spec.dates[0])
        known = (
            f"slot // {spec.known_step} % {len(spec.dates)} = 0"
            if spec.late
            else f"slot % {spec.key_step} < {first}"
        )
        key = f"slot // {spec.key_step} % {spec.keys + 1}"
        complete = f" having count(distinct nullif({key}, 0)) = {spec.keys}" if spec.keys else ""
        return (
            f"select k.account_id, k.account_key from {keys} k anti join (select account_key from {ROLLUP} "
            f"where {known} group by account_key{complete}) a on a.account_key = k.account_key"
        )

    def last_days(self) -> list[str]:
        """Return queries of the last days of silent accounts before all windows."""
        spec, amounts = self.spec, ", 0, 0" if self.quantity else ""
        dated = f"asof join numbered_dates a on a.as_of > {self._known} " if spec.late else ""
        slot = f"{spec.segments} + {self._key_slot}{' + a.slot' if spec.late else ''}"
        return [
            f"select s.account_key, 0, {slot}, 0{amounts}, "
            f"date_diff('day', date '{EPOCH}', max(cast(e.occurred_at as date))), 0 from {self.rows} e "
            f"join silent_accounts s on s.account_id = {tidy('e.account_id')} {dated}{self._with_keys}"
            f"where {self._before(self.reach.far)} group by s.account_key, {slot}"
        ]

    def _keyed(self, grouped: str) -> str:
        """Put keys in the place of accounts, none for those that the panel does not have, and numbers for users."""
        account, user = tidy("spelled"), tidy("r.user_id")
        amounts = "coalesce(r.quantity, 0) as quantity, r.measured, " if self.quantity else ""
        number = self.engine.hashed("s.account_id", user)
        return (
            f"select s.account_key, case when {user} is null then 0 else {number} end as user, r.slot, r.n, "
            f"{amounts}r.days, coalesce(r.mask, 0) as mask from {grouped} r join ("
            f"select n.spelled, {account} as account_id, k.account_key "
            f"from (select distinct account_id as spelled from {grouped}) n "
            f"left join {self.inputs.keys} k on k.account_id = {account} where {account} is not null) s "
            "on s.spelled = r.account_id"
        )

    def since(self, features: int) -> dict[int, int]:
        """Return the first date that knew each product feature to be used by anybody."""
        spec, since = self.spec, dict[int, int]()

        def learn(place: int, known: int) -> None:
            since[place] = min(known, since.get(place, known))

        used = self.engine.arrow(
            f"select slot, bit_or(mask) as mask from {ROLLUP} where mask <> 0 group by slot"
        )
        slots = used["slot"].to_numpy()
        words, dates = spec.word(slots).tolist(), spec.known(slots).tolist()
        for word, known, mask in zip(words, dates, used["mask"].to_pylist(), strict=True):
            for bit in range(mask.bit_length()):
                if mask >> bit & 1:
                    learn(word * BITS + bit, known)
        unseen = [place for place in range(features) if since.get(place) != 0]
        if unseen:
            for place, known in self.engine.rows(self._earlier(unseen)):
                learn(place, known)
        return since

    def _earlier(self, unseen: Sequence[int]) -> str:
        """Find when features were first known that nobody used in the days that the first date sees in detail."""
        known, dated = "0", ""
        if self.spec.late:
            known, dated = "min(a.place)", f"asof join numbered_dates a on a.as_of > {self._known} "
        return (
            f"select b.place, {known} from {self.rows} e join (select * from feature_bits where place in "
            f"({', '.join(map(str, unseen))})) b on b.spelled = {self._feature} {dated}"
            f"where {self._before(self.reach.near)} and {tidy('e.account_id')} is not null group by b.place"
        )

    @property
    def _feature(self) -> str:
        return self.inputs.available.optional("events.feature", "e", "varchar")

    @property
    def _known(self) -> str:
        return self.inputs.available.known_at("events", "e")

    @property
    def _sums(self) -> str:
        amounts = f"sum({self.quantities}) as quantity, {self.measured} as measured, "
        return f"{self.n} as n, {amounts if self.quantity else ''}bit_or(d.bit) as days"

    @property
    def _with_days(self) -> str:
        known = f" join event_days k on k.day = cast({self._known} as date)" if self.spec.late else ""
        return f"{self.rows} e join event_days d on d.day = cast(e.occurred_at as date){known} "

    @property
    def _with_keys(self) -> str:
        return f"left join feature_bits b on b.spelled = {self._feature} " if self.spec.keys else ""

    @property
    def _key_slot(self) -> str:
        return "coalesce(b.key_slot, 0)" if self.spec.keys else "0"

    def _between(self, low: datetime, high: datetime) -> str:
        return f"e.occurred_at >= {timestamp_literal(low)} and e.occurred_at < {timestamp_literal(high)} "

    def _before(self, high: datetime) -> str:
        return f"e.occurred_at >= {EARLIEST} and e.occurred_at < {timestamp_literal(high)} "


class _OneScan(RawPass):
    """The same over days, which one scan of the events adds up: where a scan costs more than what it leaves."""

    rows, n, quantities, measured = "event_totals", "sum(e.n)", "e.quantity", "sum(e.measured)"

    def run(self) -> RollUp:
        """Create the roll-up."""
        optional = self.inputs.available.optional
        names = {"user_id": "varchar", "feature": "varchar"}
        there = "".join(
            f", {optional(f'events.{name}', 'e', type_)} as {name}" for name, type_ in names.items()
        )
        known = f", cast(cast({self._known} as date) as timestamp) as recorded_at" if self.spec.late else ""
        amounts = (
            f", sum({RawPass.quantities}) as quantity, {RawPass.measured} as measured"
            if self.quantity
            else ""
        )
        self.inputs.create(
            self.rows,
            f"select e.account_id{there}, cast(cast(e.occurred_at as date) as timestamp) as occurred_at{known}, "
            f"{RawPass.n} as n{amounts} from {RawPass.rows} e where {self._before(self.reach.end)}"
            f"group by e.account_id, 2, 3, 4{', 5' if self.spec.late else ''}",
        )
        return super().run()
