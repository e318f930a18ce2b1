"""Simulate a company's customers, and return what happened as tables in the contract's column names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.sample import behaviour
from churnrisk.sample.customers import (
    CAUSES,
    FEATURES,
    INDUSTRIES,
    PERIOD_DAYS,
    SEGMENTS,
    Bools,
    Customers,
    Floats,
    Ints,
    Situation,
    churn_probability,
    contributions,
    draw_customers,
    main_cause,
)

# The simulation starts before the first day, so that no window starts empty.
_WARM_UP_PERIODS = 3
_ENDS_AT_RENEWAL_SHARE = 0.85
_COMES_BACK_SHARE = 0.08
_COMES_BACK_AFTER_DAYS = (60, 150)
_NOT_YET = behaviour.OPEN
_FIRST_ACCOUNT_NUMBER = 10_000
_FIRST_USER_NUMBER = 100_000
_LATE_SHARE = 0.03
_LATE_DAYS = 1.5


@dataclass(frozen=True)
class World:
    """The tables of one company in ``[start, end)``, in the contract's column names and without defects.

    One row per account, session, complaint, term (a renewal starts a new row on the day the former ends), survey
    answer, and change of owner. ``truth`` has one row per (account_id, as_of) of customers, every 30 days from
    ``start`` to ``end``: the ``churn_probability`` from which churn in ``[as_of, as_of + 30 days)`` was drawn, so a
    ``contractual`` label with a horizon of 30 days and no gap is a draw from it; one ``log_odds_<cause>`` column per
    cause, whose sum plus ``INTERCEPT`` is its logit; ``main_cause``; and ``churned``, the draw, missing at ``end``.
    """

    seed: int
    start: pd.Timestamp
    end: pd.Timestamp
    accounts: pd.DataFrame
    events: pd.DataFrame
    complaints: pd.DataFrame
    subscriptions: pd.DataFrame
    surveys: pd.DataFrame
    attributes: pd.DataFrame
    truth: pd.DataFrame


def make_world(*, seed: int = 7, accounts: int = 2000, months: int = 18, end: str = "2026-07-01") -> World:
    """Simulate a company's customers; the same arguments give the same world.

    Some of the ``accounts`` sign up before the world starts, some during it. ``months`` are periods of 30 days, so that
    every label window has the same length; ``end`` is the day after the last one.
    """
    for name, value, least, most in (
        ("seed", seed, 0, 2**63),
        ("accounts", accounts, 1, 10_000_000),
        ("months", months, 1, 120),
    ):
        if not least <= value <= most:
            raise UsageError(
                f"expected {name} between {least} and {most}, found {value}; choose one in that range"
            )
    last = _parse_day(end)
    start = last - pd.Timedelta(days=PERIOD_DAYS * months)
    simulation = _Simulation(seed, accounts=accounts, months=months, first_weekday=start.weekday())
    simulation.run()
    clock = _Clock(start, last)
    return World(
        seed=seed,
        start=start,
        end=last,
        accounts=_accounts(clock, simulation.customers, simulation.owners),
        events=_events(simulation.rng, clock, simulation.usage),
        complaints=_complaints(simulation.rng, clock, simulation.support),
        subscriptions=_subscriptions(clock, simulation.terms.table(simulation.live)),
        surveys=_surveys(clock, simulation.support),
        attributes=_attributes(clock, simulation.customers, simulation.owners),
        truth=_truth(clock, simulation.truth),
    )


def _parse_day(text: str) -> pd.Timestamp:
    try:
        return pd.Timestamp(text).normalize().tz_localize(None)
    except ValueError as error:
        raise UsageError(f"expected end as a date like 2026-07-01, found {text!r}; write it so") from error


class _Simulation:
    """Period by period, all accounts at once: look back, draw who churns, then live the period."""

    def __init__(self, seed: int, *, accounts: int, months: int, first_weekday: int) -> None:
        self.rng = np.random.default_rng(seed)
        self._months = months
        self.customers: Customers = draw_customers(self.rng, accounts=accounts, days=months * PERIOD_DAYS)
        self.usage = behaviour.Usage(self.rng, self.customers, first_weekday=first_weekday)
        self.support = behaviour.Support(self.rng, self.customers)
        self.owners = behaviour.Owners(self.rng, self.customers)
        self.terms = behaviour.SubscriptionTerms(self.rng, self.customers)
        self.truth: list[pd.DataFrame] = []
        self.live = self.customers.sign_up_day < -_WARM_UP_PERIODS * PERIOD_DAYS
        self._start_day = self.customers.sign_up_day.copy()

    def run(self) -> None:
        while (due := self.terms.renews < -_WARM_UP_PERIODS * PERIOD_DAYS).any():
            self.terms.renew(due)
        for period in range(-_WARM_UP_PERIODS, self._months):
            self._live_through(period * PERIOD_DAYS, may_churn=period >= 0)
        end = self._months * PERIOD_DAYS
        self._write_truth(end, contributions(self._situation(end)), churned=None)

    def _live_through(self, day: int, *, may_churn: bool) -> None:
        parts = contributions(self._situation(day))
        draw = self.rng.random(len(self.customers)) < churn_probability(parts)
        churns = self.live & draw & may_churn
        if may_churn:
            self._write_truth(day, parts, churned=churns)
        leave_day = self._leave_days(day, churns)
        self._update_terms(day, churns, leave_day)
        arrives = (self._start_day >= day) & (self._start_day < day + PERIOD_DAYS)
        first = np.where(self.live, 0, np.where(arrives, self._start_day - day, PERIOD_DAYS))
        end = np.where(churns, leave_day - day, PERIOD_DAYS)
        self.usage.change_habits(trouble=parts["complaints"] + parts["satisfaction"] + parts["owner_change"])
        self.usage.use(day, first=first, end=end)
        self.support.survey(day, first=first, end=end, level=self.usage.level)
        self.support.complain(day, first=first, end=end)
        self.owners.hand_over(day, who=self.live & ~churns)
        self.live = (self.live & ~churns) | arrives

    def _leave_days(self, day: int, churns: Bools) -> Ints:
        """Draw the day on which each leaves, mostly the renewal, and whether it comes back later."""
        size = len(churns)
        renews = self.terms.renews
        at_renewal = (renews > day) & (renews < day + PERIOD_DAYS)
        at_renewal &= self.rng.random(size) < _ENDS_AT_RENEWAL_SHARE
        any_day = day + self.rng.integers(1, PERIOD_DAYS, size)
        leave_day = np.where(at_renewal, renews, any_day)
        back = churns & (self.rng.random(size) < _COMES_BACK_SHARE)
        return_day = leave_day + self.rng.integers(*_COMES_BACK_AFTER_DAYS, size)
        self._start_day = np.where(churns, np.where(back, return_day, _NOT_YET), self._start_day)
        return leave_day

    def _update_terms(self, day: int, churns: Bools, leave_day: Ints) -> None:
        renews = self.terms.renews
        due = self.live & (renews >= day) & (renews < day + PERIOD_DAYS)
        self.terms.renew(due & (~churns | (leave_day > renews)))
        self.terms.end(churns, leave_day)
        returns = (self._start_day >= day) & (self._start_day < day + PERIOD_DAYS)
        returns &= self._start_day > self.customers.sign_up_day
        self.terms.start(returns, self._start_day)
        self.usage.restart(returns)

    def _write_truth(self, day: int, parts: dict[str, Floats], *, churned: Bools | None) -> None:
        rows = pd.DataFrame(
            {
                "account": np.arange(len(self.customers)),
                "day": day,
                "churn_probability": churn_probability(parts),
                **{f"log_odds_{cause}": parts[cause] for cause in CAUSES},
                "main_cause": main_cause(parts),
                "churned": pd.array([None] * len(self.live) if churned is None else churned, dtype="boolean"),
            }
        )
        self.truth.append(rows[self.live])

    def _situation(self, day: int) -> Situation:
        sessions_30, sessions_31_90 = self.usage.sessions()
        renews = self.terms.renews
        return Situation(
            days_since_last=self.usage.days_since_last(day),
            sessions_30=sessions_30,
            sessions_31_90=sessions_31_90,
            features_30=self.usage.distinct_features(day, window_days=30),
            features_90=self.usage.distinct_features(day, window_days=90),
            users_30=self.usage.users_30,
            open_complaints=self.support.open_weight(day),
            owner_changed_60=self.owners.changed_within_60(day),
            contacts=self.customers.contacts,
            renews_in_30=(renews >= day) & (renews < day + PERIOD_DAYS),
            annual=self.terms.annual,
            price_rise_90=self.terms.price_rise(day),
            last_score=self.support.last_score(day),
            tenure_days=(day - self.customers.sign_up_day).astype(float),
        )


class _Clock:
    """Converts days and minutes since the world's start to timestamps."""

    def __init__(self, start: pd.Timestamp, end: pd.Timestamp) -> None:
        self._start = np.datetime64(start, "us")
        self.end_day = (end - start).days

    def day(self, day: Ints) -> pd.Series[Any]:
        return pd.Series(self._start + day * np.timedelta64(1, "D"))

    def minute(self, minute: Ints) -> pd.Series[Any]:
        return pd.Series(self._start + minute * np.timedelta64(1, "m"))

    def minute_if_past(self, minute: Ints) -> pd.Series[Any]:
        return self.minute(minute).where(minute < self.end_day * behaviour.MINUTES_PER_DAY)


def _ids(account: Ints) -> pd.Series[str]:
    return ("C" + pd.Series(account + _FIRST_ACCOUNT_NUMBER).astype(str)).astype("str")


def _delays(rng: np.random.Generator, size: int) -> Ints:
    """Return minutes between an occurrence and its record: none, but for a few that come days late."""
    late = rng.random(size) < _LATE_SHARE
    minutes = (rng.exponential(_LATE_DAYS, size) * behaviour.MINUTES_PER_DAY).astype(int)
    return np.where(late, minutes, 0)


def _accounts(clock: _Clock, customers: Customers, owners: behaviour.Owners) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "account_id": _ids(np.arange(len(customers))),
            "name": customers.names,
            "signed_up_at": clock.day(customers.sign_up_day),
            "segment": np.array(SEGMENTS)[customers.segment],
            "industry": np.array(INDUSTRIES)[customers.industry],
            "owner": np.array(behaviour.OWNERS)[owners.owner],
        }
    )


def _events(rng: np.random.Generator, clock: _Clock, usage: behaviour.Usage) -> pd.DataFrame:
    rows = pd.concat(usage.rows, ignore_index=True)
    rows["recorded"] = rows["minute"] + _delays(rng, len(rows))
    rows = rows[(rows["minute"] >= 0) & (rows["recorded"] < clock.end_day * behaviour.MINUTES_PER_DAY)]
    order = np.lexsort((rows["feature"], rows["account"], rows["minute"]))
    account, minute, feature, user, recorded = (rows[name].to_numpy()[order] for name in rows)
    table = pd.DataFrame(
        {
            "account_id": _ids(account),
            "occurred_at": clock.minute(minute),
            "feature": np.array(FEATURES)[feature],
            "user_id": (user + _FIRST_USER_NUMBER).astype(str),
            "recorded_at": clock.minute(recorded),
        }
    )
    # two sessions in one minute would count as a defect: a duplicate row
    return table.drop_duplicates(ignore_index=True)


def _complaints(rng: np.random.Generator, clock: _Clock, support: behaviour.Support) -> pd.DataFrame:
    rows = pd.concat(support.complaints, ignore_index=True)
    account, opened, answered, resolved, severity, category, csat = (rows[name].to_numpy() for name in rows)
    recorded = np.minimum(opened + _delays(rng, len(opened)), resolved)
    table = pd.DataFrame(
        {
            "account_id": _ids(account),
            "opened_at": clock.minute(opened),
            "first_response_at": clock.minute_if_past(answered),
            "resolved_at": clock.minute_if_past(resolved),
            "severity": severity,
            "category": np.array(behaviour.CATEGORIES)[category],
            "recorded_at": clock.minute(recorded),
        }
    )
    # only some customers rate, and none before the complaint is resolved
    answers = (rng.random(len(table)) < 0.6) & table["resolved_at"].notna().to_numpy()
    table.insert(6, "csat", pd.Series(csat).astype("Int64").where(answers))
    known: pd.DataFrame = table.loc[recorded < clock.end_day * behaviour.MINUTES_PER_DAY]
    return known.sort_values(["opened_at", "account_id"], ignore_index=True, kind="stable")


def _subscriptions(clock: _Clock, terms: pd.DataFrame) -> pd.DataFrame:
    ended = terms["ended"].to_numpy()
    closed = ended != behaviour.OPEN
    return pd.DataFrame(
        {
            "account_id": _ids(terms["account"].to_numpy()),
            "started_at": clock.day(terms["started"].to_numpy()),
            "ended_at": clock.day(np.where(closed, ended, 0)).where(closed),
            "plan": terms["plan"],
            "mrr": terms["mrr"],
            "seats": terms["seats"],
            "renewal_at": clock.day(terms["renews"].to_numpy()),
        }
    )


def _surveys(clock: _Clock, support: behaviour.Support) -> pd.DataFrame:
    rows = pd.concat(support.surveys, ignore_index=True)
    account, minute = rows["account"].to_numpy(), rows["minute"].to_numpy()
    columns = {"account_id": _ids(account), "answered_at": clock.minute(minute), "score": rows["score"]}
    table = pd.DataFrame({**columns, "kind": "nps"})
    return table.sort_values(["answered_at", "account_id"], ignore_index=True, kind="stable")


def _attributes(clock: _Clock, customers: Customers, owners: behaviour.Owners) -> pd.DataFrame:
    changes = owners.table()
    account = changes["account"].to_numpy()
    return pd.DataFrame(
        {
            "account_id": _ids(account),
            "valid_from": clock.day(changes["valid_from"].to_numpy()),
            "owner": changes["owner"],
            "contacts": customers.contacts[account],
        }
    )


def _truth(clock: _Clock, blocks: list[pd.DataFrame]) -> pd.DataFrame:
    rows = pd.concat(blocks, ignore_index=True)
    keys = {"account_id": _ids(rows["account"].to_numpy()), "as_of": clock.day(rows["day"].to_numpy())}
    return pd.DataFrame(keys).join(rows.drop(columns=["account", "day"]))
