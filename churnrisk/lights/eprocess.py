"""Watching a promise for ever: an anytime-valid test of each colour's churn rate on later outcomes.

A promise was certified before it was used; drift can break it afterwards. A test of 5 % that is repeated at every run
rejects sooner or later whatever is true. An *e-process* may be looked at as often as one likes: under the null
hypothesis it is bounded by a non-negative supermartingale that starts at 1, so the chance that it *ever* reaches
``1 / ALPHA`` is at most ``ALPHA`` (Ville 1939). It is the wealth of somebody who bets against the promise and cannot
expect to gain while it holds (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting",
JRSS-B 86, 1-27); tests of a deployed model's risk are built so by Podkopaev & Ramdas 2022, "Tracking the risk of a
deployed model and detecting harmful distribution shifts", ICLR.

- **The null hypothesis** is one-sided. Green: given all that happened before a label window began, the expected churn
  rate of the accounts that were green is at most the promised one; red: at least. Other rates, and rates that differ
  from account to account, are allowed: for a stake ``s`` fixed beforehand the factor of a window is
  ``prod(1 + s (y_i - limit))``, and for independent accounts its expectation is ``prod(1 + s (p_i - limit))``, which is
  at most ``(1 + s (mean p - limit)) ** n`` (arithmetic and geometric mean), hence at most 1 where the promise holds.
  With ``s`` written as an alternative rate this is the binomial likelihood ratio of that rate and the promised one, so
  counts are all it takes.
- **Stakes are fixed in advance**: rates of 1.3, 1.6 and 2.5 times the promised odds (for red, these fractions of
  them); the e-value is the mean over the three, so nothing is tuned to the outcomes.
- **Windows that do not overlap.** Of nightly runs with a horizon of 30 days, thirty in a row count the same churners.
  Only a run whose label window begins when the last counted one has ended is a new bet: the earliest such run each
  time, by its dates alone. All others are shown and prove nothing. An account counts once per window.
- **A run published in hindsight** is no evidence: the model may have learned from its outcomes. One date scored
  several times counts once, as published last before its label window began, else as published first.
- **A common shock** (a price rise, a holiday, an outage) moves all accounts of a window at once, which no test that
  takes accounts as independent can tell from drift. Therefore no stake gains more than a factor of 16 in one window: a
  single bad one never breaks a promise. A factor that is cut stays fair. ``benchmarks/promise_monitor.py`` measures
  what shocks do all the same.
- **Late data** may change outcomes after they were counted; the evidence is then computed again, but a promise that
  was withdrawn stays so.

Each certified promise of a colour of a model version is a process of its own, weighed on all windows of the colour,
also on those in which a stricter one was made: false alarms add up over them, and a new model starts without evidence.
The cost of the cut and of the mean is time; how much, the benchmark says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from churnrisk.lights.bounds import Floats, odds_times
from churnrisk.lights.evidence import Promise
from churnrisk.records import Colour

#: The chance that a promise that holds is ever withdrawn.
ALPHA = 0.01
_TIMES = (1.3, 1.6, 2.5)
_MOST_PER_WINDOW = 16.0
# exp of it is still a float
_LARGEST_LOG = 700.0


@dataclass(frozen=True, slots=True)
class LabelWindow:
    """What became of the accounts of one colour of one run.

    ``horizon_days``: of the label window; ``known_at``: when its outcomes were known.
    """

    as_of: datetime
    horizon_days: int
    known_at: datetime
    accounts: int
    churned: int


@dataclass(frozen=True, slots=True)
class PromiseEvidence:
    """The evidence against a promise: its separate windows, the earliest first, up to the one that broke it."""

    promise: Promise
    windows: tuple[LabelWindow, ...]
    e_value: float

    @property
    def rows(self) -> int:
        """Accounts, each counted once per window."""
        return sum(window.accounts for window in self.windows)

    @property
    def churned(self) -> int:
        """Those of the rows that churned."""
        return sum(window.churned for window in self.windows)

    @property
    def is_broken(self) -> bool:
        """Whether the promise is to be withdrawn."""
        return self.e_value >= 1.0 / ALPHA


def e_values(
    churned: npt.ArrayLike, accounts: npt.ArrayLike, *, at_most: float | None, at_least: float | None
) -> Floats:
    """Return the e-value after each window; counts and result have shape (..., windows)."""
    k, n = (np.asarray(counts, dtype=float)[..., None] for counts in (churned, accounts))
    gains = [
        k * np.log(rate / limit) + (n - k) * np.log((1.0 - rate) / (1.0 - limit))
        for limit, direction in ((at_most, 1), (at_least, -1))
        if limit is not None
        for rate in (odds_times(limit, times**direction) for times in _TIMES)
    ]
    bets = np.minimum(np.concatenate(gains, axis=-1), np.log(_MOST_PER_WINDOW)).cumsum(axis=-2)
    total = np.logaddexp.reduce(bets, axis=-1) - np.log(bets.shape[-1])
    return np.asarray(np.exp(np.minimum(total, _LARGEST_LOG)))


def separate(windows: Iterable[LabelWindow]) -> tuple[LabelWindow, ...]:
    """Return the earliest window, the earliest that begins when that one has ended, and so on."""
    chosen: list[LabelWindow] = []
    for window in sorted(windows, key=lambda one: one.as_of):
        if not chosen or window.as_of >= chosen[-1].as_of + timedelta(days=chosen[-1].horizon_days):
            chosen.append(window)
    return tuple(chosen)


def weigh(promise: Promise, windows: Iterable[LabelWindow]) -> PromiseEvidence:
    """Weigh what happened against a promise; windows without accounts of the colour say nothing."""
    apart = separate(window for window in windows if window.accounts)
    if not apart:
        return PromiseEvidence(promise, (), 1.0)
    counts = ([one.churned for one in apart], [one.accounts for one in apart])
    values = e_values(*counts, at_most=promise.at_most, at_least=promise.at_least)
    broken = np.flatnonzero(values >= 1.0 / ALPHA)
    last = int(broken[0]) if len(broken) else len(values) - 1
    return PromiseEvidence(promise, apart[: last + 1], float(values[last]))


def promise_in_force(
    certified: Sequence[Promise], withdrawn: Collection[Promise], *, colour: Colour
) -> Promise:
    """Return the first of the certified promises, strictest first, that is not withdrawn; empty if none is left."""
    return next((promise for promise in certified if promise not in withdrawn), Promise(colour))
