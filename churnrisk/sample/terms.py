"""Subscriptions: terms, renewals, prices and the ends of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnrisk.sample.customers import PERIOD_DAYS, PLANS, Bools, Customers, Floats, Ints

OPEN = np.iinfo(np.int64).max
_PRICE_REVIEW_DAYS = 360
_RISE_SHARES = (0.60, 0.25, 0.15)
_SEATS_CHANGE_SHARE = 0.05


class Terms:
    """The running term of each account, and every term that has ended."""

    def __init__(self, rng: np.random.Generator, customers: Customers) -> None:
        self._rng, self._customers = rng, customers
        accounts = len(customers)
        self._price = customers.price_per_seat.copy()
        self._seats = customers.seats.copy()
        self._price_since = customers.sign_up_day.copy()
        self._last_rise = np.zeros(accounts)
        self._last_rise_day = np.full(accounts, -10_000)
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

    def end(self, who: Bools, on: Ints) -> None:
        """Write down the running terms of ``who`` as ended on the days ``on``."""
        self._write(who, on)

    def start(self, who: Bools, on: Ints) -> None:
        """Start a first new term for accounts that come back."""
        self.started = np.where(who, on, self.started)

    def table(self, running: Bools) -> pd.DataFrame:
        """Return one row per term, in days; the terms of ``running`` accounts have not ended."""
        self._write(running, np.full(len(running), OPEN))
        rows = pd.concat(self._rows, ignore_index=True)
        return rows.sort_values(["started", "account"], ignore_index=True, kind="stable")

    def _write(self, who: Bools, ended: Ints) -> None:
        rows = pd.DataFrame(
            {
                "account": np.nonzero(who)[0],
                "started": self.started[who],
                "ended": ended[who],
                "plan": np.array(PLANS)[self._customers.plan[who]],
                "mrr": np.round(self._price[who] * self._seats[who], 2),
                "seats": self._seats[who],
                "renews": self.renews[who],
            }
        )
        self._rows.append(rows)
