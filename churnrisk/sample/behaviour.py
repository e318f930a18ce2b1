"""What customers do period by period: usage, complaints and surveys, subscription terms, and changes of owner."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnrisk.sample.customers import (
    FEATURES,
    PERIOD_DAYS,
    PLANS,
    Bools,
    Customers,
    Floats,
    Ints,
    complaint_weight,
)

MINUTES_PER_DAY = 1440
_NEVER = -10_000
_MOST_USERS = 32
_WEEKEND_SHARE = 0.25
_FADE_PER_PERIOD = np.array([0.02, 0.3, 0.55])
_FADE_SHARES = (0.35, 0.4, 0.25)
_FADE_ENDS = 0.15
_NARROWING_STARTS, _NARROWING_ENDS, _NARROWING_FACTOR = 0.04, 0.12, 0.5

CATEGORIES = ("Billing", "Bug", "How-to", "Performance", "Integration", "Access")
_SEVERITY_SHARES = (0.38, 0.36, 0.19, 0.07)
_STUCK_SHARE = 0.25
_SURVEY_EVERY_PERIODS = 3
_ANSWER_SHARE = 0.5
_SCORE_COUNTS_FOR_DAYS = 180

OPEN = np.iinfo(np.int64).max
_PRICE_REVIEW_DAYS = 360
_RISE_SHARES = (0.60, 0.25, 0.15)
_SEATS_CHANGE_SHARE = 0.05

_NAMES = """Ana Castillo, Bernd Vogel, Chloé Martin, Dmitri Orlov, Ewa Nowak, Farid Haddad, Grace Okafor,
Hiro Tanaka, Ines Duarte, Jonas Lind, Karla Weiss, Liam Byrne, Mina Park, Nils Berg, Olga Petrova,
Paul Mercier, Quinn Adler, Rosa Bianchi, Samir Aziz, Tess Jansen, Umar Farouk, Vera Kovács, Wout Peeters,
Yara Costa"""
OWNERS = tuple(name.strip() for name in _NAMES.split(","))
_FIRST_TEAM = 14
_LEAVES_SHARE = 0.02
_REASSIGNED_SHARE = 0.012


class Usage:
    """Use of the product: state per account, and every session so far. Day 0 is a ``first_weekday`` (Monday = 0)."""

    def __init__(self, rng: np.random.Generator, customers: Customers, *, first_weekday: int) -> None:
        accounts = len(customers)
        self._rng, self._customers, self._first_weekday = rng, customers, first_weekday
        self.level = np.ones(accounts)
        self._fade = np.ones(accounts)
        self._breadth = np.ones(accounts)
        self._narrowing = np.zeros(accounts, dtype=bool)
        self._last_seen = np.full((accounts, len(FEATURES)), _NEVER)
        self._sessions = [np.zeros(accounts) for _ in range(3)]
        self.users_30 = np.zeros(accounts, dtype=int)
        self.rows: list[pd.DataFrame] = []

    def days_since_last(self, day: int) -> Floats:
        """Return days since the last session, or since sign-up."""
        last = np.maximum(self._last_seen.max(axis=1), self._customers.sign_up_day)
        days: Floats = (day - last).astype(float)
        return days

    def sessions(self) -> tuple[Floats, Floats]:
        """Return sessions of the last 30 days, and per 30 days of the 60 days before."""
        return self._sessions[-1], (self._sessions[-2] + self._sessions[-3]) / 2.0

    def distinct_features(self, day: int, *, window_days: int) -> Ints:
        """Return how many features were used in ``[day - window_days, day)``."""
        count: Ints = (self._last_seen >= day - window_days).sum(axis=1)
        return count

    def change_habits(self, *, trouble: Floats) -> None:
        """Let some accounts start or stop fading and narrowing; ``trouble`` adds log-odds to turning away."""
        size = len(self.level)
        fading = self._fade < 1.0
        turns_away = ~fading & (self._rng.random(size) < 1.0 / (1.0 + np.exp(3.4 - trouble)))
        returns = fading & (self._rng.random(size) < _FADE_ENDS)
        speed = self._rng.choice(_FADE_PER_PERIOD, size=size, p=_FADE_SHARES)
        self._fade = np.where(turns_away, speed, np.where(returns, 1.0, self._fade))
        self.level = np.where(returns, 1.0, self.level)
        draw = self._rng.random(size)
        limit = np.where(self._narrowing, 1.0 - _NARROWING_ENDS, _NARROWING_STARTS)
        self._narrowing = draw < limit
        self._breadth = np.where(self._narrowing, self._breadth * _NARROWING_FACTOR, 1.0)

    def restart(self, who: Bools) -> None:
        """Give accounts that come back their full use again."""
        self.level = np.where(who, 1.0, self.level)
        self._fade = np.where(who, 1.0, self._fade)

    def use(self, day: int, *, first: Ints, end: Ints) -> None:
        """Draw the sessions of the period from ``day``; an account is active on ``[first, end)`` of it."""
        counts = self._session_counts(day, first, end)
        account, offset = np.nonzero(counts)
        times = counts[account, offset]
        account, offset = np.repeat(account, times), np.repeat(offset, times)
        breadth = np.maximum(1, np.rint(self._customers.adopted * self._breadth)).astype(int)[account]
        rank = (breadth * self._rng.random(len(account)) ** 1.3).astype(int)
        feature = self._customers.feature_order[account, rank]
        user = (self._customers.users[account] * self._rng.random(len(account)) ** 1.5).astype(int)
        minute = np.clip(self._rng.normal(780.0, 170.0, len(account)), 0, MINUTES_PER_DAY - 1).astype(int)
        np.maximum.at(self._last_seen, (account, feature), day + offset)
        self._sessions = [*self._sessions[1:], counts.sum(axis=1).astype(float)]
        user += account * _MOST_USERS
        seen = np.unique(user) // _MOST_USERS
        self.users_30 = np.bincount(seen, minlength=len(self.level))
        minute += (day + offset) * MINUTES_PER_DAY
        columns = {"account": account, "minute": minute, "feature": feature, "user": user}
        self.rows.append(pd.DataFrame(columns))

    def _session_counts(self, day: int, first: Ints, end: Ints) -> NDArray[np.int64]:
        """Return sessions per account and day of the period, shape (accounts, 30)."""
        offset = np.arange(PERIOD_DAYS)
        weekend = (self._first_weekday + day + offset) % 7 >= 5
        fading = self._fade[:, None] ** ((offset + 1) / PERIOD_DAYS)
        rate = self._customers.sessions_per_day[:, None] * self.level[:, None] * fading
        rate = rate * np.where(weekend, _WEEKEND_SHARE, 1.0)
        active = (offset >= first[:, None]) & (offset < end[:, None])
        self.level = np.maximum(self.level * self._fade, 1e-4)
        return self._rng.poisson(np.where(active, rate, 0.0))


class Support:
    """Complaints and surveys so far, one block of rows per period."""

    def __init__(self, rng: np.random.Generator, customers: Customers) -> None:
        accounts = len(customers)
        self._rng, self._customers = rng, customers
        self._survey_turn = rng.integers(0, _SURVEY_EVERY_PERIODS, accounts)
        self._last_score = np.full(accounts, np.nan)
        self._last_answer_day = np.full(accounts, _NEVER)
        self.complaints: list[pd.DataFrame] = []
        self.surveys: list[pd.DataFrame] = []

    def open_weight(self, day: int) -> Floats:
        """Return the summed log-odds weight of complaints that are open at the start of ``day``."""
        total = np.zeros(len(self._customers))
        for rows in self.complaints:
            still_open = rows[rows["resolved"] >= day * MINUTES_PER_DAY]
            np.add.at(
                total, still_open["account"].to_numpy(), complaint_weight(still_open["severity"].to_numpy())
            )
        return total

    def last_score(self, day: int) -> Floats:
        """Return the last survey answer of the past 180 days; NaN when there is none."""
        return np.where(self._last_answer_day >= day - _SCORE_COUNTS_FOR_DAYS, self._last_score, np.nan)

    def complain(self, day: int, *, first: Ints, end: Ints) -> None:
        """Draw the complaints of the period from ``day``; an account is active on ``[first, end)`` of it."""
        rng, active_days = self._rng, np.maximum(end - first, 0)
        times = rng.poisson(self._customers.complaint_rate * active_days / PERIOD_DAYS)
        account = np.repeat(np.arange(len(times)), times)
        size = len(account)
        offset = first[account] + (active_days[account] * rng.random(size)).astype(int)
        opened = (day + offset) * MINUTES_PER_DAY + rng.integers(420, 1140, size)
        severity = rng.choice([1, 2, 3, 4], size=size, p=_SEVERITY_SHARES)
        stuck = rng.random(size) < _STUCK_SHARE
        wait_days = np.where(stuck, rng.uniform(15.0, 90.0, size), rng.lognormal(0.4, 0.8, size))
        reply_hours = np.minimum(rng.lognormal(1.6, 0.9, size) * np.where(stuck, 4.0, 1.0), wait_days * 24)
        mark = 4.6 - 0.9 * np.log1p(wait_days / 3.0) + rng.normal(0.0, 0.6, size)
        rows = pd.DataFrame(
            {
                "account": account,
                "opened": opened,
                "answered": opened + (reply_hours * 60).astype(int),
                "resolved": opened + (wait_days * MINUTES_PER_DAY).astype(int),
                "severity": severity,
                "category": rng.integers(0, len(CATEGORIES), size),
                "csat": np.clip(np.rint(mark), 1, 5).astype(int),
            }
        )
        self.complaints.append(rows)

    def survey(self, day: int, *, first: Ints, end: Ints, level: Floats) -> None:
        """Survey a third of the accounts; open complaints and fading use lower the scores."""
        rng, size = self._rng, len(self._customers)
        due = (day // PERIOD_DAYS + self._survey_turn) % _SURVEY_EVERY_PERIODS == 0
        answers = due & (first == 0) & (end > 0) & (rng.random(size) < _ANSWER_SHARE)
        offset = (end * rng.random(size)).astype(int)
        displeasure = 2.2 * self.open_weight(day) + 1.5 * (level < 0.5)
        wish = 8.4 + self._customers.mood - displeasure + rng.normal(0.0, 0.9, size)
        score = np.clip(np.rint(wish), 0, 10).astype(int)
        who = np.nonzero(answers)[0]
        self._last_score[who] = score[who]
        self._last_answer_day[who] = day + offset[who]
        minute = (day + offset[who]) * MINUTES_PER_DAY + rng.integers(480, 1080, len(who))
        self.surveys.append(pd.DataFrame({"account": who, "minute": minute, "score": score[who]}))


class SubscriptionTerms:
    """The running term of each account, and every term that has ended."""

    def __init__(self, rng: np.random.Generator, customers: Customers) -> None:
        self._rng, self._customers = rng, customers
        accounts = len(customers)
        self._price = customers.price_per_seat.copy()
        self._seats = customers.seats.copy()
        self._price_since = customers.sign_up_day.copy()
        self._last_rise = np.zeros(accounts)
        self._last_rise_day = np.full(accounts, _NEVER)
        self.started = customers.sign_up_day.copy()
        self._rows: list[pd.DataFrame] = []

    @property
    def renews(self) -> Ints:
        """The day on which each running term ends."""
        return self.started + self._customers.term_days

    @property
    def annual(self) -> Bools:
        """Whether the terms last a year."""
        return self._customers.term_days > PERIOD_DAYS

    def price_rise(self, day: int) -> Floats:
        """Return the rise of the price per seat at a renewal in ``[day - 90, day)``, as a share."""
        return np.where(self._last_rise_day >= day - 90, self._last_rise, 0.0)

    def renew(self, who: Bools) -> None:
        """End the running terms on their last day and start the next ones on the same day."""
        on = self.renews
        self.end(who, on)
        size = len(who)
        review = who & (on - self._price_since >= _PRICE_REVIEW_DAYS)
        step = self._rng.choice(3, size=size, p=_RISE_SHARES)
        drawn = np.select(
            [step == 0, step == 1],
            [0.0, self._rng.uniform(0.03, 0.05, size)],
            self._rng.uniform(0.1, 0.25, size),
        )
        rise = np.where(review, drawn, 0.0)
        self._price = np.round(self._price * (1.0 + rise), 2)
        self._price_since = np.where(review, on, self._price_since)
        self._last_rise = np.where(rise > 0, rise, self._last_rise)
        self._last_rise_day = np.where(rise > 0, on, self._last_rise_day)
        resize = who & (self._rng.random(size) < _SEATS_CHANGE_SHARE)
        factor = self._rng.uniform(0.8, 1.4, size)
        self._seats = np.where(resize, np.maximum(1, np.rint(self._seats * factor)), self._seats).astype(int)
        self.started = np.where(who, on, self.started)

    def start(self, who: Bools, on: Ints) -> None:
        """Start a first new term for accounts that come back."""
        self.started = np.where(who, on, self.started)

    def table(self, running: Bools) -> pd.DataFrame:
        """Return one row per term, in days; the terms of ``running`` accounts have not ended."""
        self.end(running, np.full(len(running), OPEN))
        rows = pd.concat(self._rows, ignore_index=True)
        return rows.sort_values(["started", "account"], ignore_index=True, kind="stable")

    def end(self, who: Bools, on: Ints) -> None:
        """Record the running terms of ``who`` as ended on the days ``on``."""
        rows = pd.DataFrame(
            {
                "account": np.nonzero(who)[0],
                "started": self.started[who],
                "ended": on[who],
                "plan": np.array(PLANS)[self._customers.plan[who]],
                "mrr": np.round(self._price[who] * self._seats[who], 2),
                "seats": self._seats[who],
                "renews": self.renews[who],
            }
        )
        self._rows.append(rows)


class Owners:
    """The owner of each account, and one row per hand-over."""

    def __init__(self, rng: np.random.Generator, customers: Customers) -> None:
        self._rng = rng
        self._team = np.arange(_FIRST_TEAM)
        self._next_hire = _FIRST_TEAM
        self.owner = rng.integers(0, _FIRST_TEAM, len(customers))
        self._changed_day = np.full(len(customers), _NEVER)
        self._rows = [self._row(np.arange(len(customers)), customers.sign_up_day)]

    def changed_within_60(self, day: int) -> Bools:
        """Whether the owner changed in ``[day - 60, day)``."""
        return self._changed_day >= day - 60

    def hand_over(self, day: int, *, who: Bools) -> None:
        """Let owners leave, and others take on their accounts, in the period from ``day``."""
        rng, size = self._rng, len(self.owner)
        leavers = self._team[rng.random(len(self._team)) < _LEAVES_SHARE]
        hires = (self._next_hire + np.arange(len(leavers))) % len(OWNERS)
        self._next_hire += len(leavers)
        self._team = np.union1d(np.setdiff1d(self._team, leavers), hires)
        moved = who & (np.isin(self.owner, leavers) | (rng.random(size) < _REASSIGNED_SHARE))
        successor = self._team[rng.integers(0, len(self._team), size)]
        moved &= successor != self.owner
        on = day + rng.integers(0, PERIOD_DAYS, len(OWNERS))[self.owner]
        self.owner = np.where(moved, successor, self.owner)
        self._changed_day = np.where(moved, on, self._changed_day)
        self._rows.append(self._row(np.nonzero(moved)[0], on[moved]))

    def table(self) -> pd.DataFrame:
        """Return one row per account and hand-over, in days; the first is the sign-up."""
        rows = pd.concat(self._rows, ignore_index=True)
        return rows.sort_values(["valid_from", "account"], ignore_index=True, kind="stable")

    def _row(self, account: Ints, valid_from: Ints) -> pd.DataFrame:
        owner = np.array(OWNERS)[self.owner[account]]
        return pd.DataFrame({"account": account, "valid_from": valid_from, "owner": owner})
