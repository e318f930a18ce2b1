"""When snapshots are taken, and which of them are mature."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import ContractError, UsageError
from churnrisk.snapshots import (
    ChurnConfig,
    Horizon,
    SnapshotConfig,
    data_span,
    labelled_dates,
    scoring_date,
    training_dates,
)
from tests.world import Row, World, at, on, opened, row

CHURN = ChurnConfig(definition="inactivity", horizon_days=30)
YEAR = Horizon(on("2025-01-01"), on("2026-01-01"))
NOW = on("2027-01-01")


def dates(config: SnapshotConfig, *, span: Horizon = YEAR, churn: ChurnConfig = CHURN) -> list[str]:
    return [f"{moment:%Y-%m-%d}" for moment in training_dates(span, config, churn)]


def span_of(config: SnapshotConfig | None = None, *, now: datetime = NOW, **tables: list[Row]) -> Horizon:
    accounts = [row("accounts", account_id="A", signed_up_at=on("2020-01-01"))]
    with opened(World({"accounts": accounts, **tables})) as opened_tables:
        return data_span(opened_tables, config or SnapshotConfig(), now=now)


def test_snapshots_are_counted_back_from_the_last_mature_day() -> None:
    assert dates(SnapshotConfig(every_days=90)) == ["2025-06-05", "2025-09-03", "2025-12-02"]


def test_the_last_snapshot_is_mature_on_the_day_the_data_end() -> None:
    (*_, last) = training_dates(YEAR, SnapshotConfig(), CHURN)
    assert last + CHURN.outcome_delay == YEAR.end
    day_short = Horizon(YEAR.start, YEAR.end - timedelta(days=1))
    assert training_dates(day_short, SnapshotConfig(), CHURN)[-1] == last - timedelta(days=1)


def test_with_first_snapshots_are_counted_from_it_and_a_hit_on_the_last_day_counts() -> None:
    config = SnapshotConfig(every_days=14, first=date(2025, 11, 4))
    assert dates(config) == ["2025-11-04", "2025-11-18", "2025-12-02"]
    assert dates(SnapshotConfig(every_days=14, first=date(2025, 11, 5))) == ["2025-11-05", "2025-11-19"]


def test_last_cuts_the_snapshots_off_and_is_included() -> None:
    config = SnapshotConfig(every_days=30, first=date(2025, 4, 1), last=date(2025, 5, 31))
    assert dates(config) == ["2025-04-01", "2025-05-01", "2025-05-31"]


def test_last_never_admits_an_immature_snapshot() -> None:
    assert dates(SnapshotConfig(last=date(2030, 1, 1))) == dates(SnapshotConfig())


def test_months_keep_their_day_and_end_with_short_months() -> None:
    config = SnapshotConfig(every_months=1, first=date(2025, 1, 31), last=date(2025, 5, 31))
    assert dates(config) == ["2025-01-31", "2025-02-28", "2025-03-31", "2025-04-30", "2025-05-31"]
    assert dates(SnapshotConfig(every_months=3)) == ["2025-06-02", "2025-09-02", "2025-12-02"]


def test_the_first_snapshots_leave_history_before_them() -> None:
    first = training_dates(YEAR, SnapshotConfig(every_days=1), CHURN)[0]
    assert first == YEAR.start + timedelta(days=90)


def test_without_a_mature_snapshot_the_error_says_what_is_missing() -> None:
    short = Horizon(on("2025-01-01"), on("2025-01-20"))
    with pytest.raises(
        ContractError, match=r"2025-01-01 to 2025-01-20, and a label is known 30 days after.*longer history"
    ):
        dates(SnapshotConfig(), span=short)


def test_a_first_snapshot_after_the_last_mature_day_is_no_snapshot() -> None:
    with pytest.raises(ContractError, match="no snapshot is mature"):
        dates(SnapshotConfig(first=date(2025, 12, 3)))


@given(
    days=st.integers(1, 1500),
    every=st.integers(1, 200),
    churn=st.builds(
        ChurnConfig,
        definition=st.just("contractual"),
        horizon_days=st.integers(1, 90),
        gap_days=st.integers(0, 30),
    ),
)
def test_every_training_date_is_mature_at_midnight_and_evenly_spaced(
    days: int, every: int, churn: ChurnConfig
) -> None:
    span = Horizon(at(0), at(days))
    try:
        found = training_dates(span, SnapshotConfig(every_days=every), churn)
    except ContractError:
        assert at(0) + churn.outcome_delay > at(days) or days < 2
        return
    assert all(moment + churn.outcome_delay <= span.end and moment >= span.start for moment in found)
    assert {later - earlier for earlier, later in pairwise(found)} <= {timedelta(days=every)}
    assert all(moment == datetime(moment.year, moment.month, moment.day) for moment in found)


@pytest.mark.parametrize(
    "settings",
    [
        {"every_days": 0},
        {"every_months": 0},
        {"every_months": 13},
        {"first": date(2025, 2, 1), "last": date(2025, 1, 1)},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"\[snapshots\]"):
        SnapshotConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"horizon_days": 0},
        {"gap_days": -1},
        {"grace_days": -1},
        {"lookback_days": 0},
        {"min_tenure_days": -1},
    ],
)
def test_impossible_churn_definitions_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"\[churn\] .* must be at least"):
        ChurnConfig(**settings)  # type: ignore[arg-type]


def test_the_span_ends_after_the_last_day_with_a_row() -> None:
    events = [
        row("events", account_id="A", occurred_at=on(text))
        for text in ("2025-03-01 10:00", "2025-06-30 00:00")
    ]
    assert span_of(events=events) == Horizon(on("2025-03-01"), on("2025-07-01"))


def test_the_span_reaches_over_all_that_happened_but_not_over_ends_and_plans() -> None:
    terms = [
        row(
            "subscriptions",
            account_id="A",
            started_at=on("2025-02-01"),
            ended_at=on("2025-09-30"),
            renewal_at=on("2026-06-01"),
        )
    ]
    surveys = [row("surveys", account_id="A", answered_at=on("2025-01-15"), score=5.0)]
    assert span_of(subscriptions=terms, surveys=surveys) == Horizon(on("2025-01-15"), on("2025-02-02"))


def test_rows_dated_in_the_future_do_not_stretch_the_span() -> None:
    events = [row("events", account_id="A", occurred_at=on(text)) for text in ("2025-03-01", "2062-01-01")]
    assert span_of(events=events).end == on("2025-03-02")
    with pytest.raises(ContractError, match="no table holds a row dated before 2020-01-01"):
        span_of(events=events, now=on("2020-01-01"))


def test_data_until_ends_the_span() -> None:
    events = [row("events", account_id="A", occurred_at=on("2025-03-01"))]
    assert span_of(SnapshotConfig(data_until=date(2025, 12, 1)), events=events).end == on("2025-12-01")


def test_flat_tables_end_with_the_date_of_their_labels() -> None:
    labels = [row("labels", account_id="A", as_of=on("2025-05-01"), churned=True)]
    attributes = [row("attributes", account_id="A", valid_from=on("2024-01-01"))]
    assert span_of(attributes=attributes, labels=labels) == Horizon(on("2025-05-01"), on("2025-05-01"))
    assert span_of(attributes=attributes).end == on("2024-01-01")


def labels_at(*texts: str, config: SnapshotConfig | None = None) -> list[datetime]:
    labels = [row("labels", account_id="A", as_of=on(text), churned=True) for text in texts]
    accounts = [row("accounts", account_id="A")]
    with opened(World({"accounts": accounts, "labels": labels})) as tables:
        return labelled_dates(tables, config or SnapshotConfig())


def test_labelled_dates_are_distinct_days_within_the_bounds() -> None:
    texts = ("2025-05-01 10:00", "2025-05-01 23:00", "2025-04-01", "2025-06-01")
    assert labels_at(*texts) == [on("2025-04-01"), on("2025-05-01"), on("2025-06-01")]
    bounds = SnapshotConfig(first=date(2025, 5, 1), last=date(2025, 5, 31))
    assert labels_at(*texts, config=bounds) == [on("2025-05-01")]


def test_labels_outside_the_bounds_are_one_clear_error() -> None:
    with pytest.raises(ContractError, match=r"no label lies between .* first 2026-01-01 .* from 2025-05-01"):
        labels_at("2025-05-01", config=SnapshotConfig(first=date(2026, 1, 1)))


def test_scoring_takes_the_latest_date_by_default() -> None:
    assert scoring_date(YEAR, None) == on("2026-01-01")
    assert scoring_date(YEAR, date(2025, 3, 1)) == on("2025-03-01")
    assert scoring_date(YEAR, date(2026, 1, 1)) == on("2026-01-01")


@pytest.mark.parametrize("requested", [date(2025, 1, 1), date(2026, 1, 2)])
def test_scoring_outside_the_data_is_refused(requested: date) -> None:
    with pytest.raises(UsageError, match="lies outside the data, which cover 2025-01-01 to 2026-01-01"):
        scoring_date(YEAR, requested)
