"""The settings of ``[churn]`` and ``[snapshots]``, the as-of dates that follow from them, and who was lost when."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Literal

from churnrisk.contract import EARLIEST, TABLES, Reach, reaches, timestamp_literal
from churnrisk.errors import ContractError, TooYoungError, UsageError
from churnrisk.sources import Tables

if TYPE_CHECKING:
    import pandas as pd


#: The longest default feature window; the first snapshot leaves this much history before it if it can.
WARM_UP = timedelta(days=90)
_MONTH = timedelta(days=30)


@dataclass(frozen=True)
class ChurnConfig:
    """The settings of ``[churn]``: the definition of churn and its windows, in days."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    #: ``contractual``: a subscription ends inside the label window, or up to ``grace_days`` before it, and none covers
    #: the account within ``grace_days`` of that end.
    #: ``inactivity``: active in the look-back, silent through the label window. ``labels``: brought by the user.
    definition: Literal["contractual", "inactivity", "labels"] = "inactivity"
    #: The label window is ``[as_of + gap, as_of + gap + horizon)``.
    horizon_days: int = 30
    gap_days: int = 0
    #: How late a renewal may come (``contractual``).
    grace_days: int = 7
    #: How recent the last event must be to count as active (``inactivity``).
    lookback_days: int = 30
    #: Younger accounts are not scored.
    min_tenure_days: int = 0

    def __post_init__(self) -> None:
        least = {"horizon_days": 1, "gap_days": 0, "grace_days": 0, "lookback_days": 1, "min_tenure_days": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise UsageError(f"[churn] {name} must be at least {minimum}; found {getattr(self, name)}.")

    @property
    def outcome_delay(self) -> timedelta:
        """From ``as_of`` until the label is known."""
        grace = self.grace_days if self.definition == "contractual" else 0
        return timedelta(days=self.gap_days + self.horizon_days + grace)

    @property
    def needs(self) -> str:
        """The table that the definition reads."""
        return {"contractual": "subscriptions", "inactivity": "events", "labels": "labels"}[self.definition]


@dataclass(frozen=True)
class SnapshotConfig:
    """The settings of ``[snapshots]``."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    #: Days between training snapshots.
    every_days: int = 30
    #: Calendar months between them instead, for businesses that bill by the month.
    every_months: int | None = None
    #: Bounds of the training snapshots, counted from ``first`` if it is given, else back from the last mature day.
    first: date | None = None
    last: date | None = None
    #: The tables are complete before this day; default: the day after their last row.
    data_until: date | None = None

    def __post_init__(self) -> None:
        if self.every_days < 1:
            raise UsageError(f"[snapshots] every_days must be at least 1; found {self.every_days}.")
        if self.every_months is not None and not 1 <= self.every_months <= 12:
            raise UsageError(f"[snapshots] every_months must be 1 to 12; found {self.every_months}.")
        if self.first and self.last and self.last < self.first:
            raise UsageError(f"[snapshots] last {self.last} lies before first {self.first}.")


@dataclass(frozen=True, slots=True)
class Horizon:
    """The span that the data cover: ``[start, end)``, both at 00:00; ``usage`` is what the events cover of it."""

    start: datetime
    end: datetime
    usage: Reach | None = field(default=None, compare=False)


def data_span(
    tables: Tables, config: SnapshotConfig, *, now: datetime, reach: Mapping[str, Reach] | None = None
) -> Horizon:
    """Return the span of days that the tables cover; rows dated after ``now`` do not count.

    It ends after the last thing that happened in any table, and begins with the usage, if there is any: without it an
    earlier snapshot would see silence only.
    """
    if reach is None:
        reach = reaches(tables.engine.rows, tables.available, now=now)
    usage = reach.get("events")
    starts = [usage.first] if usage else [one.first for one in reach.values()]
    ends = [one.last + timedelta(days=1) for one in reach.values()]
    if _is_flat(tables):
        # a flat table's snapshot is its label's date
        starts, ends = _flat_span(tables, now)
    if not starts:
        raise ContractError(
            f"no table holds a row dated before {now:%Y-%m-%d}, so there is nothing to learn from. "
            "Check the date columns in churnrisk.toml."
        )
    return Horizon(_midnight(min(starts)), _midnight(config.data_until or max(ends)), usage)


def _flat_span(tables: Tables, now: datetime) -> tuple[list[date], list[date]]:
    table, column = ("labels", "as_of") if tables.available.has("labels") else ("attributes", "valid_from")
    if not tables.available.has(table):
        return [], []
    first, last = tables.engine.rows(
        f"select min({column}), max({column}) from {table} "
        f"where {column} between {EARLIEST} and {timestamp_literal(now)}"
    )[0]
    return ([first], [last]) if first else ([], [])


def training_dates(span: Horizon, config: SnapshotConfig, churn: ChurnConfig) -> list[datetime]:
    """Return the as-of dates whose label window lies within the data, oldest first."""
    last_mature = span.end - churn.outcome_delay
    last = min(last_mature, _midnight(config.last)) if config.last else last_mature
    if config.first:
        first = _midnight(config.first)
        dates = list(_steps(first, last, config, forward=True))
    else:
        earliest = span.start + min(WARM_UP, (last_mature - span.start) / 3)
        dates = sorted(_steps(last, earliest, config, forward=False))
    dates = [as_of for as_of in dates if _sees_usage(as_of, span, churn)]
    if not dates:
        raise TooYoungError(
            f"no snapshot is mature: the data cover {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}, and a label "
            f"is known {churn.outcome_delay.days} days after its as-of date. Bring a longer history, or lower "
            "horizon_days under [churn] in churnrisk.toml."
        )
    return dates


def _sees_usage(as_of: datetime, span: Horizon, churn: ChurnConfig) -> bool:
    """Say whether a snapshot lies in no hole of the events: there everybody would look silent."""
    if span.usage is None:
        return True
    silent = churn.definition == "inactivity"
    before = max(_MONTH, timedelta(days=churn.lookback_days if silent else 0))
    after = churn.outcome_delay if silent else timedelta(0)
    return span.usage.sees((as_of - before).date(), (as_of + after).date())


def _steps(start: datetime, stop: datetime, config: SnapshotConfig, *, forward: bool) -> Iterator[datetime]:
    """Yield dates from ``start`` towards ``stop``, included if hit."""
    sign = 1 if forward else -1
    for number in count():
        moment = (
            _months_later(start, sign * number * config.every_months)
            if config.every_months
            else start + timedelta(days=sign * number * config.every_days)
        )
        if moment > stop if forward else moment < stop:
            return
        yield moment


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return datetime(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def labelled_dates(tables: Tables, config: SnapshotConfig) -> list[datetime]:
    """Return the as-of dates of the user's own labels, within the configured bounds."""
    days = tables.engine.rows("select distinct cast(as_of as date) as day from labels order by day")
    dates = [
        _midnight(day)
        for (day,) in days
        if (not config.first or config.first <= day) and (not config.last or day <= config.last)
    ]
    if not dates:
        found = f"they reach from {days[0][0]} to {days[-1][0]}" if days else "it has no usable row"
        raise ContractError(
            f"no label lies between [snapshots] first {config.first} and last {config.last} in churnrisk.toml: "
            f"{found}. Correct the bounds or labels.as_of."
        )
    return dates


def scoring_date(span: Horizon, requested: date | None) -> datetime:
    """Return the as-of date to score: the requested one, or the latest the data allow."""
    if requested is None:
        return span.end
    as_of = _midnight(requested)
    if not span.start < as_of <= span.end:
        raise UsageError(
            f"as-of date {as_of:%Y-%m-%d} lies outside the data, which cover {span.start:%Y-%m-%d} to "
            f"{span.end:%Y-%m-%d}. Choose a date in between, or bring newer data."
        )
    if span.usage and not span.usage.sees((as_of - _MONTH).date(), as_of.date()):
        raise ContractError(
            f"the events have a hole in the {_MONTH.days} days before {as_of:%Y-%m-%d}: everybody would look silent. "
            "Choose another date, or export that time again."
        )
    return as_of


def _is_flat(tables: Tables) -> bool:
    return not any(spec.is_log and tables.available.has(name) for name, spec in TABLES.items())


def _midnight(moment: date | datetime) -> datetime:
    return datetime(moment.year, moment.month, moment.day)


def churn_dates(tables: Tables, churn: ChurnConfig, *, data_end: datetime) -> pd.DataFrame:
    """Return when each lost account was last lost: account_id, churned_at (at 00:00), earliest first.

    ``contractual``: the end of the last subscription, once the grace days have passed. ``inactivity``: the first day
    of a silence of at least ``horizon_days``. ``labels``: the end of the label window, as labels carry no date.
    """
    require_source(tables, churn)
    when = "min" if churn.definition == "labels" else "max"
    return tables.engine.frame(
        f"select account_id, date_trunc('day', {when}(churned_at))::timestamp as churned_at "
        f"from ({known_losses(churn, data_end)}) l join accounts a using (account_id) "
        "group by account_id order by churned_at, account_id"
    )


def require_source(tables: Tables, churn: ChurnConfig) -> None:
    """Raise ContractError if the tables lack what the definition of churn reads."""
    if not tables.available.has(churn.needs) or (
        churn.definition == "contractual" and not tables.available.has("subscriptions.ended_at")
    ):
        column = ".ended_at" if churn.definition == "contractual" else ""
        raise ContractError(
            f"[churn] definition {churn.definition!r} needs {churn.needs}{column}, which churnrisk.toml does not "
            f"map; it maps {', '.join(tables.available.tables)}. Map it, or choose another definition."
        )


def known_losses(churn: ChurnConfig, data_end: datetime) -> str:
    """Return SQL for (account_id, churned_at): losses that no later row can undo."""
    if churn.definition == "labels":
        days = churn.gap_days + churn.horizon_days
        return f"select account_id, as_of + interval {days} day as churned_at from labels where churned"
    if churn.definition == "inactivity":
        return _silences(churn, data_end)
    grace = f"{timestamp_literal(data_end)} - interval {churn.grace_days} day"
    return f"select * from ({lost_terms(churn)}) where churned_at <= {grace}"


def lost_terms(churn: ChurnConfig) -> str:
    """Return SQL for (account_id, churned_at): ends of subscriptions that none followed within the grace days."""
    return f"select account_id, churned_at from ({last_terms(churn)}) where not completed"


def last_terms(churn: ChurnConfig) -> str:
    """Return SQL for (account_id, churned_at, completed): ends that none followed; a ``completed`` one is no loss."""
    end = "greatest(s.ended_at, s.started_at)"
    return (
        f"select distinct s.account_id, {end} as churned_at, s.completed from subscriptions s "
        f"left join subscriptions n on n.account_id = s.account_id "
        f"and n.started_at <= {end} + interval {churn.grace_days} day "
        f"and (n.ended_at is null or greatest(n.ended_at, n.started_at) > {end}) "
        "where s.ended_at is not null and n.account_id is null"
    )


def _silences(churn: ChurnConfig, data_end: datetime) -> str:
    """First days of silences as long as the horizon."""
    end = timestamp_literal(data_end)
    return (
        "select account_id, day + interval 1 day as churned_at from ("
        "select account_id, day, lead(day) over (partition by account_id order by day) as next_day from ("
        f"select distinct account_id, cast(occurred_at as date) as day from events where occurred_at < {end})) "
        f"where coalesce(next_day, {end}) >= day + interval {churn.horizon_days + 1} day"
    )
