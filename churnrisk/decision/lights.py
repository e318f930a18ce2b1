"""From a churn probability to a colour that keeps a promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from churnrisk.decision.bounds import Floats
from churnrisk.decision.certify import GRID, Certified, certify
from churnrisk.decision.evidence import Promise, colour_evidence
from churnrisk.decision.exposure import Ints, account_codes
from churnrisk.decision.policy import check_policy
from churnrisk.decision.severity import GREY_CODE, to_colours
from churnrisk.errors import ContractError, UsageError
from churnrisk.records import Colour, ColourEvidence

NO_GREEN = 0.0
NO_RED = 2.0
_ODDS_FACTOR = 4.0
_FITTED = (
    "amber_from_",
    "red_from_",
    "base_rate_",
    "green_max_churn_",
    "red_min_churn_",
    "accounts_",
    "notes_",
)


class TrafficLight(BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """Two thresholds on p: green below ``amber_from_``, red from ``red_from_`` on, amber between.

    Parameters
    ----------
    policy : {"certified", "fixed"}
        ``certified`` finds the thresholds so that the colours keep their promise; ``fixed`` takes two
        numbers.
    green_max_churn : float, optional
        Largest churn rate green may have; None: a quarter of the base odds of the block given to ``fit``.
    red_min_churn : float, optional
        Least churn rate red must have; None: four times the base odds.
    confidence : float
        Of the green promise and of the red promise, each by itself.
    amber_from, red_from : float, optional
        The thresholds of ``fixed``.
    min_accounts : int
        A colour certified on fewer accounts stays empty.

    Attributes
    ----------
    amber_from_, red_from_ : float
        ``amber_from_ <= red_from_`` always. 0.0 says that green is empty, 2.0 that red is.
    base_rate_ : float
        Churned rows per row.
    green_max_churn_, red_min_churn_ : float
        The promises as numbers (``certified``); NaN for ``fixed``, which promises nothing.
    accounts_ : int
        Accounts with at least one row.
    evidence_ : tuple of ColourEvidence
        The colours on the block of ``fit``: what they were chosen on, so see
        :func:`churnrisk.decision.colour_evidence` for a later block.
    notes_ : tuple of str
        In plain words what a reader should know: empty colours, thresholds in conflict.

    Notes
    -----
    **What is promised** (``certified``). Over repetitions of the whole procedure, in at least
    ``confidence`` of them the true churn rate below ``amber_from_`` is at most ``green_max_churn_`` (or
    green is empty); separately, in at least ``confidence`` of them the true churn rate from ``red_from_``
    on is at least ``red_min_churn_`` (or red is empty). The rate is per account and snapshot: churned
    rows per row. "True" means in the population the block was drawn from. It is a statement about the colour as a
    whole, not about each account, and about the model's colour before rules, hysteresis and
    overrides (which :func:`churnrisk.decision.colour_evidence` measures).

    **Under these assumptions**: accounts are independent draws (no common shock to the whole block);
    later accounts come from the same population (drift breaks the promise, so it has to be measured
    on later blocks); the model never saw the labels of this block. Nothing is assumed about p: it may
    be badly calibrated or useless, and then colours are small or empty, but not wrong. Rows of one
    account may depend on each other in any way: accounts are counted, not rows. How, and where that is exact,
    says :mod:`churnrisk.decision.exposure`.

    **How**: thresholds on a grid fixed in advance are tested in a fixed order with binomial bounds over
    accounts, green upward and red downward, stopping at the first failure, so that
    the chance of any wrong step is at most ``1 - confidence`` however many thresholds there are
    (fixed-sequence testing; Angelopoulos et al. 2021, "Learn then Test", arXiv:2110.01052). The start
    is where the scores expect the most room. It depends on scores and on numbers of accounts and rows,
    never on labels; taking it from the same block is exact up to the width of a grid cell or two (0.04
    in log-odds). With promises left to None
    the limits follow the base rate of the same block, and the promise is about the resulting numbers
    ``green_max_churn_`` and ``red_min_churn_``.
    """

    def __init__(
        self,
        policy: Literal["certified", "fixed"] = "certified",
        *,
        green_max_churn: float | None = None,
        red_min_churn: float | None = None,
        confidence: float = 0.95,
        amber_from: float | None = None,
        red_from: float | None = None,
        min_accounts: int = 30,
    ) -> None:
        self.policy = policy
        self.green_max_churn = green_max_churn
        self.red_min_churn = red_min_churn
        self.confidence = confidence
        self.amber_from = amber_from
        self.red_from = red_from
        self.min_accounts = min_accounts

    def fit(
        self,
        p: npt.ArrayLike | pd.Series,
        y: npt.ArrayLike | pd.Series,
        groups: npt.ArrayLike | pd.Series | None = None,
        *,
        calibrate: Callable[[Floats], Floats] | None = None,
    ) -> Self:
        """Set the thresholds on a block the model has not seen.

        Parameters
        ----------
        p : array-like of shape (rows,)
            Churn probabilities; one row per (account, as_of).
        y : array-like of shape (rows,)
            1 for churned, 0 for retained.
        groups : array-like of shape (rows,), optional
            Account ids; without them every row is an account of its own.
        calibrate : callable, optional
            A strictly increasing map from p to the probabilities that :meth:`predict` will be given.
            The thresholds are tested on p as it is and mapped afterwards, which leaves every colour the same set
            of rows: so the map may have been fitted to this very block, as long as p was not.

        Raises
        ------
        UsageError
            If the parameters contradict themselves.
        ContractError
            If p and y do not fit together, or only one class is there (``certified``).
        """
        check_policy(self.get_params())
        scores, labels = _checked(p, y)
        accounts = account_codes(groups, len(scores))
        shown = calibrate or _as_it_is
        self.accounts_ = int(accounts.max()) + 1
        self.base_rate_ = float(labels.mean())
        self.notes_: tuple[str, ...] = ()
        if self.policy == "fixed":
            self._fix()
        else:
            self._certify(scores, labels, accounts, shown)
        self.evidence_: tuple[ColourEvidence, ...] = colour_evidence(
            self.predict(shown(scores)), labels, accounts, self.promises_
        )
        return self

    def predict(self, p: npt.ArrayLike | pd.Series) -> npt.NDArray[np.object_]:
        """Return the colour name of each probability, shape (rows,); grey where p is missing."""
        check_is_fitted(self, "amber_from_")
        scores = np.asarray(p, dtype=float)
        codes = (scores >= self.amber_from_).astype(np.int8) + (scores >= self.red_from_).astype(np.int8)
        codes[np.isnan(scores)] = GREY_CODE
        return to_colours(codes)

    @property
    def promises_(self) -> tuple[Promise, ...]:
        """What green and red promise; empty for ``fixed``."""
        check_is_fitted(self, "amber_from_")
        if self.policy == "fixed":
            return ()
        return (
            Promise(Colour.GREEN, at_most=self.green_max_churn_),
            Promise(Colour.RED, at_least=self.red_min_churn_),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return parameters and thresholds as plain JSON values (NaN as None)."""
        check_is_fitted(self, "amber_from_")
        fitted = {name: getattr(self, name) for name in _FITTED}
        plain = {name: None if value != value else value for name, value in fitted.items()}
        return {"params": self.get_params(), "fitted": plain | {"notes_": list(self.notes_)}}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Return the light that :meth:`to_dict` saved; ``evidence_`` is not part of it.

        Raises
        ------
        UsageError
            If something is missing or unknown.
        """
        try:
            light = cls(**saved["params"])
            fitted = {name: saved["fitted"][name] for name in _FITTED}
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"the saved traffic light cannot be read ({error}); expected {', '.join(_FITTED)}. "
                "Train again."
            ) from error
        for name in ("green_max_churn_", "red_min_churn_"):
            fitted[name] = float("nan") if fitted[name] is None else fitted[name]
        for name, value in (fitted | {"notes_": tuple(fitted["notes_"])}).items():
            setattr(light, name, value)
        return light

    def _fix(self) -> None:
        # check_policy has refused None; the defaults are for the type checker.
        self.amber_from_, self.red_from_ = float(self.amber_from or 0.0), float(self.red_from or 0.0)
        self.green_max_churn_ = self.red_min_churn_ = float("nan")

    def _certify(
        self, scores: Floats, labels: Ints, accounts: Ints, shown: Callable[[Floats], Floats]
    ) -> None:
        self.green_max_churn_, self.red_min_churn_ = self._limits()
        certified = certify(
            scores,
            labels,
            accounts,
            green_max=self.green_max_churn_,
            red_min=self.red_min_churn_,
            confidence=self.confidence,
            min_accounts=self.min_accounts,
        )
        green, red = _widest(certified)
        # Empty colours lie outside (0, 1), where a map of probabilities has no say.
        inside = np.asarray(shown(np.array([green or 0.5, red if red < 1.0 else 0.5])), dtype=float)
        self.amber_from_ = float(inside[0]) if green != NO_GREEN else NO_GREEN
        self.red_from_ = float(inside[1]) if red != NO_RED else NO_RED
        self.notes_ = self._explain(certified)

    def _limits(self) -> tuple[float, float]:
        if self.base_rate_ in (0.0, 1.0):
            raise ContractError(
                f"the lights need churned and retained accounts, found {self.accounts_} accounts of one kind "
                "only. Use a longer block, or policy = 'fixed'."
            )
        odds = self.base_rate_ / (1.0 - self.base_rate_)
        green, red = _from_odds(odds / _ODDS_FACTOR), _from_odds(odds * _ODDS_FACTOR)
        green = green if self.green_max_churn is None else float(self.green_max_churn)
        red = red if self.red_min_churn is None else float(self.red_min_churn)
        if green >= red:
            raise UsageError(
                f"expected green_max_churn < red_min_churn, found {green:.4f} and {red:.4f} "
                f"at a base rate of {self.base_rate_:.4f}. Give both under [decision] in churnrisk.toml."
            )
        return green, red

    def _explain(self, certified: Certified) -> tuple[str, ...]:
        """Say which colours are empty and why."""
        ending = f"with {self.confidence:.0%} confidence on {self.accounts_} accounts"
        notes = []
        if not certified.green.any():
            notes.append(
                "green is empty: no threshold shows a churn rate of at most "
                f"{self.green_max_churn_:.2%} {ending}"
            )
        elif self.amber_from_ == NO_GREEN:
            notes.append("green is empty: every threshold that would do for green also does for red")
        if not certified.red.any():
            notes.append(
                "red is empty: no threshold shows a churn rate of at least "
                f"{self.red_min_churn_:.2%} {ending}"
            )
        return tuple(notes)


def _widest(certified: Certified) -> tuple[float, float]:
    """Return the largest green threshold and the smallest red one; where they cross, red wins."""
    red_from = float(GRID[np.argmax(certified.red)]) if certified.red.any() else NO_RED
    greens = GRID[certified.green]
    greens = greens[greens <= red_from]
    return (float(greens[-1]) if len(greens) else NO_GREEN), red_from


def _checked(p: npt.ArrayLike | pd.Series, y: npt.ArrayLike | pd.Series) -> tuple[Floats, Ints]:
    scores, labels = np.asarray(p, dtype=float), np.asarray(y, dtype=float)
    if scores.ndim != 1 or scores.shape != labels.shape or not len(scores):
        raise ContractError(
            f"the lights expect one probability and one label per row, found shapes {scores.shape} "
            f"and {labels.shape}. Check that the calibration block holds mature snapshots."
        )
    if not ((scores >= 0) & (scores <= 1)).all() or not np.isin(labels, (0.0, 1.0)).all():
        raise ContractError(
            "the lights expect probabilities in [0, 1] and labels 0 or 1, found values outside or missing. "
            "Leave out rows without a mature label."
        )
    return scores, labels.astype(np.int64)


def _as_it_is(p: Floats) -> Floats:
    return p


def _from_odds(odds: float) -> float:
    return odds / (1.0 + odds)
