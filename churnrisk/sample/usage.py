"""How much each account uses the product, which features, and how that fades."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from churnrisk.sample.customers import FEATURES, PERIOD_DAYS, Bools, Customers, Floats, Ints

MINUTES_PER_DAY = 1440
_NEVER = -10_000
_MOST_USERS = 32
_WEEKEND_SHARE = 0.25
_FADE_PER_PERIOD = np.array([0.02, 0.3, 0.55])
_FADE_SHARES = (0.35, 0.4, 0.25)
_FADE_ENDS = 0.15
_NARROWING_STARTS, _NARROWING_ENDS, _NARROWING_FACTOR = 0.04, 0.12, 0.5


class Usage:
    """The product as its customers use it: state per account, and every session so far.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    customers : Customers
        Whose use this is.
    first_weekday : int
        Weekday of day 0, Monday = 0.
    """

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
        self.account: list[Ints] = []
        self.minute: list[Ints] = []
        self.feature: list[Ints] = []
        self.user: list[Ints] = []

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
        """Let some accounts start or stop fading, and start or stop narrowing, for the period ahead.

        Parameters
        ----------
        trouble : array
            Log-odds by which an account's troubles raise the chance that it turns away.
        """
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

    def start_afresh(self, who: Bools) -> None:
        """Give accounts that come back their full use again."""
        self.level = np.where(who, 1.0, self.level)
        self._fade = np.where(who, 1.0, self._fade)

    def use(self, day: int, *, first: Ints, end: Ints) -> None:
        """Draw the sessions of the period from ``day``; an account is active on ``[first, end)`` of it."""
        counts = self._session_counts(day, first, end)
        account, offset = np.nonzero(counts)
        times = counts[account, offset]
        account, offset = np.repeat(account, times), np.repeat(offset, times)
        feature = self._draw_features(account)
        user = (self._customers.users[account] * self._rng.random(len(account)) ** 1.5).astype(int)
        minute = np.clip(self._rng.normal(780.0, 170.0, len(account)), 0, MINUTES_PER_DAY - 1).astype(int)
        np.maximum.at(self._last_seen, (account, feature), day + offset)
        self._sessions = [*self._sessions[1:], counts.sum(axis=1).astype(float)]
        seen = np.unique(account * _MOST_USERS + user) // _MOST_USERS
        self.users_30 = np.bincount(seen, minlength=len(self.level))
        self.account.append(account)
        self.minute.append((day + offset) * MINUTES_PER_DAY + minute)
        self.feature.append(feature)
        self.user.append(account * _MOST_USERS + user)

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

    def _draw_features(self, account: Ints) -> Ints:
        breadth = np.maximum(1, np.rint(self._customers.adopted * self._breadth)).astype(int)[account]
        rank = (breadth * self._rng.random(len(account)) ** 1.3).astype(int)
        feature: Ints = self._customers.feature_order[account, rank]
        return feature
