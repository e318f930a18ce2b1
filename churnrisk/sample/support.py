"""Complaints and survey answers: what customers say, and how long they wait for an answer."""

from __future__ import annotations

import numpy as np

from churnrisk.sample.causes import complaint_weight
from churnrisk.sample.customers import PERIOD_DAYS, Customers, Floats, Ints
from churnrisk.sample.usage import MINUTES_PER_DAY

CATEGORIES = ("Billing", "Bug", "How-to", "Performance", "Integration", "Access")
_SEVERITY_SHARES = (0.38, 0.36, 0.19, 0.07)
_STUCK_SHARE = 0.25
_SURVEY_EVERY_PERIODS = 3
_ANSWER_SHARE = 0.5
_SCORE_COUNTS_FOR_DAYS = 180


class Support:
    """Complaints and surveys so far; arrays grow by one block per period."""

    def __init__(self, rng: np.random.Generator, customers: Customers) -> None:
        accounts = len(customers)
        self._rng, self._customers = rng, customers
        self._survey_turn = rng.integers(0, _SURVEY_EVERY_PERIODS, accounts)
        self._last_score = np.full(accounts, np.nan)
        self._last_answer_day = np.full(accounts, -10_000)
        self.account: list[Ints] = []
        self.opened: list[Ints] = []
        self.answered: list[Ints] = []
        self.resolved: list[Ints] = []
        self.severity: list[Ints] = []
        self.category: list[Ints] = []
        self.csat: list[Ints] = []
        self.survey_account: list[Ints] = []
        self.survey_minute: list[Ints] = []
        self.survey_score: list[Ints] = []

    def open_weight(self, day: int) -> Floats:
        """Return the summed log-odds weight of complaints that are open at the start of ``day``."""
        total = np.zeros(len(self._customers))
        instant = day * MINUTES_PER_DAY
        for account, resolved, severity in zip(self.account, self.resolved, self.severity, strict=True):
            still_open = resolved >= instant
            np.add.at(total, account[still_open], complaint_weight(severity[still_open]))
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
        self.account.append(account)
        self.opened.append(opened)
        self.answered.append(opened + (reply_hours * 60).astype(int))
        self.resolved.append(opened + (wait_days * MINUTES_PER_DAY).astype(int))
        self.severity.append(severity)
        self.category.append(rng.integers(0, len(CATEGORIES), size))
        self.csat.append(np.clip(np.rint(mark), 1, 5).astype(int))

    def survey(self, day: int, *, first: Ints, end: Ints, level: Floats) -> None:
        """Ask a third of the accounts; open complaints and fading use lower the answers."""
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
        self.survey_account.append(who)
        self.survey_minute.append((day + offset[who]) * MINUTES_PER_DAY + rng.integers(480, 1080, len(who)))
        self.survey_score.append(score[who])
