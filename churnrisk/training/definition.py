"""Argue for a definition of churn, its windows and the dates to learn from, from the tables themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from churnrisk.errors import ContractError
from churnrisk.snapshots import ChurnConfig, Horizon, SnapshotConfig, training_dates
from churnrisk.sources import Ask, Question, Tables

#: Spans in which people plan: a month, a quarter, half a year.
_HORIZONS = (30, 90, 180)
#: So many ends show how terms end.
_ENOUGH = 20
#: Fewer lost accounts are nothing to learn from.
_LEAST = 10
#: With fewer dates to learn from before the two that test a model, one date tests it.
_TESTING, _LEARNING = 2, 6


@dataclass
class Definition:
    """What goes into [churn], [snapshots] and [model], and why.

    ``definition`` is None where the tables do not say who was lost.
    """

    definition: str | None
    why: str
    churn: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, object] = field(default_factory=dict)
    model: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def argue(tables: Tables, *, label: str, flag: str, unread: Sequence[str], ask: Ask) -> Definition:
    """Choose the definition of churn.

    ``label`` is the label column of a flat table, ``flag`` one of accounts beside other tables, ``unread`` are files
    that nothing uses.
    """
    if label:
        found = Definition(
            "labels", f"{label} says who was lost", {"horizon_days": 30}, model={"split": "accounts"}
        )
        return found
    terms = _Terms.of(tables) if tables.available.has("subscriptions") else None
    events = tables.available.has("events")
    proposed, why = _proposed(tables, terms, unread)
    if flag and terms and proposed == "contractual" and terms.lost < _LEAST:
        few = f"only {terms.lost} accounts have lost all their subscriptions, but {flag} says who was lost"
        proposed, why = None, f"{why}: {few}, without a date"
    answer = ask(
        Question(
            "definition",
            f"who counts as lost? {why}",
            ("contractual", "inactivity", "labels"),
            proposed,
            close=bool(terms and events and proposed == "inactivity"),
        )
    )
    if answer not in (None, proposed):
        why = "as answered"
    if answer == "contractual" and terms:
        return _contractual(terms, why)
    if answer == "inactivity" and events:
        return _inactivity(tables, why, ask)
    if answer == "labels" and tables.available.has("labels"):
        return Definition("labels", why, {"horizon_days": 30})
    if answer == "labels" and flag:
        return Definition(
            "labels", f"{flag} says who was lost", {"horizon_days": 30}, model={"split": "accounts"}
        )
    return Definition(None, why)


def _proposed(tables: Tables, terms: _Terms | None, unread: Sequence[str]) -> tuple[str | None, str]:
    events = tables.available.has("events")
    if tables.available.has("labels"):
        return "labels", "you bring labels with a date"
    if terms and terms.ended and (terms.share >= 0.5 or not events):
        return (
            "contractual",
            f"subscriptions with end dates ({terms.ended:,}), for {terms.share:.0%} of the accounts",
        )
    if terms and events:
        lacking = "subscriptions found, but no end dates"
        if terms.has_ends:
            lacking = "subscriptions found, none of which has ended so far"
        if terms.ended:
            lacking = f"subscriptions found, but only for {terms.share:.0%} of the accounts"
        return "inactivity", f"{lacking}: a silent account counts as lost"
    if terms and terms.has_ends:
        return "contractual", "subscriptions found, none of which has ended so far"
    if events:
        named = ", ".join(unread)
        alone = f"{named} is not understood, so churn rests on events only" if named else "no subscriptions"
        return "inactivity", f"{alone}: a silent account counts as lost"
    return (
        None,
        "no table says who was lost or who is active: bring subscriptions with end dates, events or labels",
    )


@dataclass(frozen=True)
class _Terms:
    """Facts about the subscriptions."""

    share: float
    has_ends: bool
    ended: int
    first_end: datetime | None
    started_before: float
    by_month: bool
    renewed: int
    lost: int

    @classmethod
    def of(cls, tables: Tables) -> _Terms:
        has_ends = tables.available.has("subscriptions.ended_at")
        end = "ended_at" if has_ends else "null::timestamp"
        row = tables.engine.rows(
            f"with s as (select account_id, started_at, {end} as ended_at from subscriptions), "
            "first as (select min(ended_at) as day from s), "
            "n as (select ended_at, lead(started_at) over (partition by account_id order by started_at) as next "
            "from s) select (select count(distinct account_id) from s join accounts using (account_id)) / "
            "greatest((select count(*) from accounts), 1), count(ended_at), (select day from first), "
            "avg(cast(started_at < (select day from first) - interval 90 day as integer)), "
            "avg(cast(day(started_at) = 1 and coalesce(day(ended_at), 1) = 1 as integer)) filter (where "
            "(select count(distinct started_at) from s) > 3), "
            "(select count(*) from n where next >= ended_at), "
            "(select count(*) from (select account_id from s group by 1 having count(*) = count(ended_at))) from s"
        )[0]
        return cls(row[0], has_ends, row[1], row[2], row[3] or 0.0, (row[4] or 0.0) > 0.95, row[5], row[6])


def _contractual(terms: _Terms, why: str) -> Definition:
    found = Definition("contractual", why, {"horizon_days": 30, "grace_days": 7})
    if terms.ended >= _ENOUGH and not terms.renewed:
        found.churn["grace_days"] = 0
        found.notes.append("no account came back after an end, so a renewal may not be late: grace_days = 0")
    if terms.by_month:
        found.snapshots["every_months"] = 1
    if terms.first_end and terms.ended >= _ENOUGH and terms.started_before > 0.5:
        found.snapshots["first"] = terms.first_end.date()
        found.notes.append(
            f"no end is known before {terms.first_end:%Y-%m-%d}, though most terms are older: earlier losses are "
            "missing, so snapshots begin there"
        )
    return found


def _inactivity(tables: Tables, why: str, ask: Ask) -> Definition:
    """Choose the windows by the usual gap between two days with events of an account."""
    gap, span = tables.engine.rows(
        "with d as (select distinct account_id, cast(occurred_at as date) as day from events), "
        "g as (select date_diff('day', lag(day) over (partition by account_id order by day), day) as gap from d) "
        "select quantile_cont(gap, 0.75), (select date_diff('day', min(day), max(day)) from d) from g"
    )[0]
    usual = gap or 30
    fitting = [days for days in _HORIZONS if 4 * days <= (span or 0)] or [30]
    horizon = next((days for days in fitting if 1.1 * days >= usual), fitting[-1])
    lookback = horizon if horizon <= 30 else 2 * horizon
    answer = ask(Question("horizon_days", "how many days of silence make a loss?", default=str(horizon)))
    horizon = int(answer) if answer and answer.isdigit() else horizon
    note = f"three of four gaps between two active days of an account are at most {usual:.0f} days"
    return Definition("inactivity", why, {"horizon_days": horizon, "lookback_days": lookback}, notes=[note])


def plan_dates(found: Definition, span: Horizon) -> None:
    """Choose how often to look, and how many dates test and calibrate, by the length of the history."""
    if found.definition in (None, "labels"):
        return
    churn = ChurnConfig(definition=found.definition, **found.churn)  # type: ignore[arg-type]
    for every in (30, 14, 7):
        dates = _dates(found, span, churn, every)
        if len(dates) >= 8 or found.snapshots.get("every_months"):
            break
    if every != 30 and not found.snapshots.get("every_months"):
        found.snapshots["every_days"] = every
    delay = churn.outcome_delay
    enough = dates and dates[0] <= dates[-1] - delay
    if enough and sum(day <= dates[-_TESTING] - 2 * delay for day in dates) < _LEARNING:
        found.model |= {"test_snapshots": 1, "calibration_snapshots": 1}


def _dates(found: Definition, span: Horizon, churn: ChurnConfig, every: int) -> list[datetime]:
    settings = SnapshotConfig(**({"every_days": every} | found.snapshots))  # type: ignore[arg-type]
    try:
        return training_dates(span, settings, churn)
    except ContractError:
        return []
