"""From a churn probability to a colour that keeps a promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from churnrisk.errors import ContractError, UsageError
from churnrisk.lights.bounds import Floats, Ints, Mask, account_codes, odds_times
from churnrisk.lights.certificate import GRID, NO_RED, Block, Part, Terms, certify, rungs_of
from churnrisk.lights.config import BY_TENURE, GREEN_CAP, LADDER, RED_CAP, PolicyName, check_policy
from churnrisk.lights.evidence import Promise, colour_evidence
from churnrisk.lights.rules import GREY_CODE, to_colours
from churnrisk.lights.segments import REST, Newcomers
from churnrisk.records import Colour, ColourEvidence

_NAN = float("nan")
_FITTED = (
    "amber_from_",
    "red_from_",
    "base_rate_",
    "accounts_",
    "notes_",
)


class TrafficLight(BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """Two thresholds on p: green below ``amber_from_``, red from ``red_from_`` on, amber between.

    Parameters
    ----------
    policy : {"certified", "capacity", "cost", "fixed"}
        ``certified`` finds the thresholds so that the colours keep their promise. ``capacity`` makes as many
        accounts red as the team can review. ``cost`` makes an account red where a contact pays: p × annual value ×
        ``save_rate`` ≥ ``cost_per_contact``, a threshold per account. ``fixed`` takes two numbers. Only
        ``certified`` promises churn rates; what the others yield is measured in ``evidence_`` all the same.
    green_max_churn, red_min_churn : float, optional
        Largest churn rate of green and least of red (``certified``); None: a rung of the ladder.
    ladder : tuple of float
        Promises to try, strictest first: green at most the base odds of the block given to ``fit`` divided by one of
        these factors, red at least the base odds times it. The strictest in which a colour keeps nine tenths of the
        easiest one's information about churn is in force.
    green_cap, red_cap : float
        Green never promises more than the first, red never asks for more than the second.
    confidence : float
        Of the green promise and of the red promise, each by itself.
    amber_from, red_from : float, optional
        The thresholds of ``fixed``.
    min_accounts : int
        A colour certified on fewer accounts stays empty.
    last_blocks : int
        How many of the latest as-of dates must not contradict a promise; 0 for none.
    segment_by : str
        What the segments given to ``fit`` and ``predict`` are (``certified``), see
        :func:`churnrisk.lights.segments_of`.
    capacity : int
        Accounts that the team can review from one snapshot to the next (``capacity``): red holds at most so
        many per snapshot, on average over the snapshots given to ``fit``.
    amber_times : float
        Amber holds the next ``amber_times × capacity`` accounts, likewise.
    save_rate, cost_per_contact : float, optional
        Share of churners that a contact retains, and what it costs in the currency of the annual value (``cost``).
    amber_factor : float
        Amber where a contact would pay if the account were worth so many times more (``cost``).

    Attributes
    ----------
    amber_from_, red_from_ : float
        ``amber_from_ <= red_from_`` always. 0.0 says that green is empty, 2.0 that red is. With ``cost``
        those of an account of the typical value, which may exceed 1. With several parts the most cautious of
        them, used where the segment is unknown: green and red only where every part says so.
    parts_ : tuple of Part
        Thresholds by segment, largest part first; one part where the segments are too small; empty unless
        ``certified``.
    newcomers_ : Newcomers or None
        See :meth:`watch_newcomers`.
    base_rate_, accounts_ : float, int
        Churned rows per row, and accounts with at least one row.
    green_rungs_, red_rungs_ : tuple of float
        The promise in force and the weaker ones that the same thresholds keep too, strictest first; empty unless
        ``certified``.
    value_ : float
        Median annual value of the paying accounts, used where a value is missing; NaN unless ``cost``.
    evidence_ : tuple of ColourEvidence
        The colours on the block of ``fit``: what they were chosen on, so see
        :func:`churnrisk.lights.colour_evidence` for a later block.
    notes_ : tuple of str
        In plain words: empty colours, thresholds in conflict.

    Notes
    -----
    **What is promised** (``certified``). With probability of at least ``confidence``, the true churn rate below
    ``amber_from_`` is at most ``green_max_churn_`` (or green is empty); separately, with the same probability, the true
    churn rate from ``red_from_`` on is at least ``red_min_churn_`` (or red is empty). The rate is churned rows per row
    in the population that the block was drawn from. It is a statement about the colour as a whole, not about each
    account, and about the model's colour before rules, hysteresis and overrides; later blocks are measured on the
    final colours.

    **Under these assumptions**: accounts are independent draws (no common shock to the whole block); later accounts
    come from the same population (drift breaks the promise, so it is watched on every later block,
    :mod:`churnrisk.monitoring`); each p comes from a model that never saw the outcomes of the row's account in this
    block. With one held-out model the bound is exact; cross-fitted models
    (:meth:`churnrisk.model.ChurnClassifier.fit_and_calibrate`) reach it in large blocks, and their mean, which is in
    use, has been simulated (decision 0019). Nothing is assumed about p: if it is badly calibrated or useless, colours
    are small or empty, but not wrong. Rows of one account may depend on each other in any way, see
    :mod:`churnrisk.lights.bounds`.

    **Order.** The probabilities of green lie at or below the base rate, those of red at or above it, amber's mean
    between; the tenth of a colour next to its threshold does not contradict the base rate by an exact one-sided 95 %
    bound. Of the thresholds that keep promise and order, the one in force has most information about churn by the
    probabilities that people see: the expected log score, at the rates of the three levels of most mutual information.

    **How**: :mod:`churnrisk.lights.certificate` says in which order claims are tested, and why the rung may be chosen
    afterwards. Start, goal, parts and rungs of the walk are read from scores and sizes, never from labels (but for how
    often one account churns at most). One thing is not exact: the limits that are tested are multiples of a base rate
    that comes from the same labels. Each bound by
    itself holds for whatever limit it is compared with, since it bounds the true rate; but the place in the order where
    the first false claim lies moves with the base rate. Its standard error in log-odds is 1 / sqrt(n b (1 - b)): 0.26,
    or seven steps of the grid, for 300 accounts at 5 %, 0.05 for 4,000 at 10 %. ``benchmarks/promise.py`` counts how
    often the chosen promise breaks in 1,000 simulated worlds.

    **Segments.** Each segment with enough accounts gets its own thresholds, so that a change of their mix does not
    break the promise; small ones are pooled. Each part is certified at ``1 - (1 - confidence) / parts``, and all parts
    take the same rung.

    **Drift.** Where ``fit`` is given the as-of dates (``blocks``), none of the last ``last_blocks`` dates may
    contradict the promise by an exact one-sided 95 % bound, and thresholds whose bound holds on each of these dates by
    itself are preferred while they have nine tenths as much. A drift that sets in after the last date is not seen,
    except a wave of new accounts, see :class:`churnrisk.lights.Newcomers`.
    """

    amber_from_: float
    red_from_: float
    base_rate_: float
    accounts_: int
    value_: float
    notes_: tuple[str, ...]
    parts_: tuple[Part, ...]
    newcomers_: Newcomers | None
    green_rungs_: tuple[float, ...]
    red_rungs_: tuple[float, ...]

    def __init__(
        self,
        policy: PolicyName = "certified",
        *,
        green_max_churn: float | None = None,
        red_min_churn: float | None = None,
        ladder: tuple[float, ...] = LADDER,
        green_cap: float = GREEN_CAP,
        red_cap: float = RED_CAP,
        confidence: float = 0.95,
        amber_from: float | None = None,
        red_from: float | None = None,
        min_accounts: int = 30,
        last_blocks: int = 3,
        segment_by: str = BY_TENURE,
        capacity: int = 50,
        amber_times: float = 3.0,
        save_rate: float | None = None,
        cost_per_contact: float | None = None,
        amber_factor: float = 2.0,
    ) -> None:
        self.policy = policy
        self.green_max_churn = green_max_churn
        self.red_min_churn = red_min_churn
        self.ladder = ladder
        self.green_cap = green_cap
        self.red_cap = red_cap
        self.confidence = confidence
        self.amber_from = amber_from
        self.red_from = red_from
        self.min_accounts = min_accounts
        self.last_blocks = last_blocks
        self.segment_by = segment_by
        self.capacity = capacity
        self.amber_times = amber_times
        self.save_rate = save_rate
        self.cost_per_contact = cost_per_contact
        self.amber_factor = amber_factor

    def fit(
        self,
        p: npt.ArrayLike | pd.Series,
        y: npt.ArrayLike | pd.Series,
        value: npt.ArrayLike | pd.Series | None = None,
        groups: npt.ArrayLike | pd.Series | None = None,
        *,
        blocks: npt.ArrayLike | pd.Series | pd.Index | None = None,
        segments: npt.ArrayLike | pd.Series | None = None,
        share: float = 1.0,
        calibrate: Callable[[Floats], Floats] | None = None,
    ) -> Self:
        """Set the thresholds on a block that the model behind each p has not seen.

        Parameters
        ----------
        p, y : array-like of shape (rows,)
            Churn probabilities, and 1 for churned; one row per (account, as_of).
        value : array-like of shape (rows,), optional
            Annual values, for ``cost``; missing where unknown.
        groups, blocks, segments : array-like of shape (rows,), optional
            Account id, as-of date and segment (for ``certified``) of each row. Without them every row counts as an
            account, all rows are of one snapshot, and of one segment.
        share : float
            Share of all accounts that the rows hold, for ``capacity``: less than 1 where accounts were held out.
        calibrate : callable, optional
            A strictly increasing map from p to the probabilities that :meth:`predict` will be given. Claims are tested
            on p; the map only helps to choose among certified ones, so it may have been fitted to this very block.

        Raises
        ------
        UsageError
            If the parameters contradict themselves.
        ContractError
            If p and y do not fit together, or only one class is there (``certified``).
        """
        check_policy(self.get_params())
        scores, labels = checked(p, y)
        accounts = account_codes(groups, len(scores))
        shown = calibrate or np.asarray
        self.blank()
        self.accounts_ = int(accounts.max()) + 1
        self.base_rate_ = float(labels.mean())
        dates = None if blocks is None else np.asarray(pd.factorize(np.asarray(blocks), sort=True)[0])
        if dates is not None and len(dates) != len(scores):
            raise ContractError(
                f"expected one as-of date per row, found {len(dates)} for {len(scores)} rows."
            )
        if self.policy == "certified":
            last = last_dates(dates, self.last_blocks)
            block = Block(scores, labels, accounts, np.asarray(shown(scores), dtype=float), last)
            self._certify(block, named_segments(segments, len(scores)), shown, growth_of(blocks))
        elif self.policy == "capacity":
            snapshots = share * (1 if dates is None else int(dates.max()) + 1)
            self.amber_from_, self.red_from_, self.notes_ = capacity_cuts(
                np.asarray(shown(scores), dtype=float), self.capacity, self.amber_times, snapshots
            )
        elif self.policy == "cost":
            self.value_ = typical_value(known_values(value, len(scores)))
            # check_policy has refused None; the defaults are for the type checker, below too
            self.red_from_ = float(self.cost_per_contact or 0.0) / (
                float(self.save_rate or 1.0) * self.value_
            )
            self.amber_from_ = self.red_from_ / self.amber_factor
        else:
            self.amber_from_, self.red_from_ = float(self.amber_from or 0.0), float(self.red_from or 0.0)
        self.evidence_: tuple[ColourEvidence, ...] = colour_evidence(
            self.predict(shown(scores), value, segments), labels, accounts, self.promises_
        )
        return self

    def blank(self) -> Self:
        """Make it the light of a project without a model: it has seen nothing, and leaves the colours to the rules."""
        self.amber_from_ = self.red_from_ = NO_RED
        self.accounts_, self.base_rate_, self.value_ = 0, _NAN, _NAN
        self.notes_, self.parts_, self.newcomers_ = (), (), None
        self.green_rungs_, self.red_rungs_ = (), ()
        return self

    @property
    def is_blank(self) -> bool:
        """Whether no model stands behind it, see :meth:`blank`."""
        check_is_fitted(self, "amber_from_")
        return self.accounts_ == 0

    def watch_newcomers(self, tenure_days: pd.Series, as_of: pd.Index) -> Self:
        """Learn how many newcomers are usual, so that a wave of them is detected (``certified``).

        One value per (account, as_of) of past snapshots, mature or not.
        """
        check_is_fitted(self, "amber_from_")
        self.newcomers_ = Newcomers.learn(tenure_days, as_of) if self.policy == "certified" else None
        return self

    def predict(
        self,
        p: npt.ArrayLike | pd.Series,
        value: npt.ArrayLike | pd.Series | None = None,
        segments: npt.ArrayLike | pd.Series | None = None,
    ) -> npt.NDArray[np.object_]:
        """Return the colour name of each probability, shape (rows,); grey where p is missing.

        Parameters
        ----------
        p, value, segments : array-like of shape (rows,)
            As in ``fit``. Where a value is missing, ``value_`` stands in; a segment that ``fit`` did not see goes with
            the small ones, or gets the most cautious thresholds.
        """
        check_is_fitted(self, "amber_from_")
        scores = np.asarray(p, dtype=float)
        amber_from, red_from = self._thresholds(named_segments(segments, len(scores)))
        stake = scores
        if self.policy == "cost":  # p times the account's value in typical accounts
            worth = known_values(value, len(scores)) / self.value_
            stake = scores * np.where(np.isnan(worth), 1.0, worth)
        codes = (stake >= amber_from).astype(np.int8) + (stake >= red_from).astype(np.int8)
        codes[np.isnan(scores)] = GREY_CODE
        return to_colours(codes)

    @property
    def promises_(self) -> tuple[Promise, ...]:
        """What green and red promise; empty unless ``certified``."""
        return tuple(promises[0] for promises in self.rungs_.values())

    def notes_on(self, colour: Colour) -> tuple[str, ...]:
        """Return the notes on one colour: why it is empty, or hardly says more than the base rate."""
        return tuple(
            note for note in self.notes_ if f"{colour} is empty" in note or note.startswith(f"{colour}: ")
        )

    @property
    def rungs_(self) -> dict[Colour, tuple[Promise, ...]]:
        """What green and red can promise on their thresholds, strictest first; the first is in force."""
        check_is_fitted(self, "amber_from_")
        if not self.green_rungs_:
            return {}
        return {
            Colour.GREEN: tuple(Promise(Colour.GREEN, at_most=rate) for rate in self.green_rungs_),
            Colour.RED: tuple(Promise(Colour.RED, at_least=rate) for rate in self.red_rungs_),
        }

    @property
    def green_max_churn_(self) -> float:
        """The largest churn rate of green that is promised; NaN without a promise."""
        return self.green_rungs_[0] if self.green_rungs_ else _NAN

    @property
    def red_min_churn_(self) -> float:
        """The least churn rate of red that is promised; NaN without a promise."""
        return self.red_rungs_[0] if self.red_rungs_ else _NAN

    def to_dict(self) -> dict[str, Any]:
        """Return parameters and thresholds as plain JSON values (NaN as None)."""
        check_is_fitted(self, "amber_from_")
        fitted = {name: getattr(self, name) for name in (*_FITTED, "value_")}
        plain = {name: None if value != value else value for name, value in fitted.items()}
        plain |= {
            "notes_": list(self.notes_),
            "parts_": [asdict(part) for part in self.parts_],
            "green_rungs_": list(self.green_rungs_),
            "red_rungs_": list(self.red_rungs_),
            "newcomers_": None if self.newcomers_ is None else asdict(self.newcomers_),
        }
        return {"params": self.get_params(), "fitted": plain}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Restore a light from :meth:`to_dict`; ``evidence_`` is not part of it."""
        try:
            params = saved["params"]
            light = cls(**params | {"ladder": tuple(params.get("ladder", LADDER))})
            fitted = {name: saved["fitted"][name] for name in _FITTED}
            # absent in lights saved by earlier versions
            fitted["value_"] = saved["fitted"].get("value_")
            parts = tuple(Part.from_dict(part) for part in saved["fitted"].get("parts_", ()))
            watched = saved["fitted"].get("newcomers_")
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"the saved traffic light cannot be read ({error}); expected {', '.join(_FITTED)}. "
                "Train again."
            ) from error
        fitted["value_"] = _NAN if fitted["value_"] is None else fitted["value_"]
        fitted |= {"notes_": tuple(fitted["notes_"]), "parts_": parts}
        fitted["green_rungs_"] = _rungs(saved["fitted"], "green_rungs_", "green_max_churn_")
        fitted["red_rungs_"] = _rungs(saved["fitted"], "red_rungs_", "red_min_churn_")
        fitted["newcomers_"] = None if watched is None else Newcomers(**watched)
        for name, value in fitted.items():
            setattr(light, name, value)
        return light

    def _thresholds(self, segments: npt.NDArray[np.object_] | None) -> tuple[Floats | float, Floats | float]:
        """Return ``amber_from`` and ``red_from``, per row where there are several parts."""
        if segments is None or len(self.parts_) < 2:
            return self.amber_from_, self.red_from_
        place = {segment: number for number, part in enumerate(self.parts_) for segment in part.segments}
        rest = [number for number, part in enumerate(self.parts_) if part.name == REST]
        codes, names = pd.factorize(segments)
        elsewhere = rest[0] if rest else len(self.parts_)
        number = np.array([place.get(str(name), elsewhere) for name in names], dtype=np.int64)[codes]
        amber_from = np.array([*(part.amber_from for part in self.parts_), self.amber_from_])
        red_from = np.array([*(part.red_from for part in self.parts_), self.red_from_])
        return amber_from[number], red_from[number]

    def _certify(
        self,
        block: Block,
        segments: npt.NDArray[np.object_] | None,
        shown: Callable[[Floats], Floats],
        growth: tuple[float, pd.Timestamp | None],
    ) -> None:
        if self.base_rate_ in (0.0, 1.0):
            raise ContractError(
                f"the lights need churned and retained accounts, found {self.accounts_} accounts of one kind "
                "only. Use a longer block, or policy = 'fixed'."
            )
        rungs = rungs_of(
            self.base_rate_,
            float(np.clip(block.scores.mean(), GRID[0], GRID[-1])),
            self.ladder,
            green_cap=self.green_cap,
            red_cap=self.red_cap,
            green_max=self.green_max_churn,
            red_min=self.red_min_churn,
        )
        terms = Terms(self.base_rate_, *rungs, self.confidence, self.min_accounts, *growth)
        found = certify(block, segments, terms, shown)
        self.parts_, self.notes_ = found.parts, (*self._room(terms), *found.notes)
        self.green_rungs_, self.red_rungs_ = found.green, found.red
        self.amber_from_ = min(part.amber_from for part in self.parts_)
        self.red_from_ = max(part.red_from for part in self.parts_)

    def _room(self, terms: Terms) -> tuple[str, ...]:
        """Say where so many leave that a colour can hardly say more than the base rate does."""
        if self.red_min_churn is not None or odds_times(terms.base_rate, self.ladder[-1]) <= self.red_cap:
            return ()
        says = "less than" if terms.base_rate > self.red_cap else "hardly more than"
        return (
            f"red: {terms.base_rate:.0%} churn, so it promises at least {self.red_cap:.0%}, {says} the base rate, and "
            f"green at most {terms.green[0].limit:.0%}. A shorter horizon or look-back under [churn] may part the "
            "accounts better; policy = 'capacity' ranks them",
        )


def _rungs(fitted: Mapping[str, Any], name: str, in_force: str) -> tuple[float, ...]:
    """Return saved promises, strictest first; lights of earlier versions name the one in force by itself."""
    rungs, first = tuple(fitted.get(name, ())), fitted.get(in_force)
    if first is None:
        return rungs
    weaker = (rate for rate in rungs if (rate > first if name == "green_rungs_" else rate < first))
    return (first, *weaker)


def growth_of(blocks: npt.ArrayLike | pd.Series | pd.Index | None) -> tuple[float, pd.Timestamp | None]:
    """Return by how many of the latest date's rows a date grows a day, and the latest date; (0, None) if unknown."""
    if blocks is None or not pd.api.types.is_datetime64_any_dtype(np.asarray(blocks)):
        return 0.0, None
    rows = pd.Series(np.asarray(blocks)).value_counts().sort_index()
    if len(rows) < 2:
        return 0.0, None
    days = (rows.index[-1] - rows.index[0]) / pd.Timedelta(days=1)
    return float((rows.iloc[-1] - rows.iloc[0]) / (rows.iloc[-1] * days)), rows.index[-1]


def last_dates(dates: npt.NDArray[np.int64] | None, blocks: int) -> list[Mask]:
    """Return the rows of each of the latest dates, one mask per date."""
    if dates is None:
        return []
    latest = int(dates.max())
    return [dates == date for date in range(max(latest - blocks + 1, 0), latest + 1)]


def checked(p: npt.ArrayLike | pd.Series, y: npt.ArrayLike | pd.Series) -> tuple[Floats, Ints]:
    """Return scores and labels as numbers; refuse what are no probabilities and labels of equal length."""
    scores, labels = np.asarray(p, dtype=float), np.asarray(y, dtype=float)
    if scores.ndim != 1 or scores.shape != labels.shape or not len(scores):
        raise ContractError(
            f"the lights expect one probability and one label per row, found shapes {scores.shape} "
            f"and {labels.shape}. Check that the calibration block holds mature snapshots."
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ContractError(
            "the lights expect probabilities in [0, 1], found values outside or missing. Look at the model behind them."
        )
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ContractError(
            "the lights expect labels 0 or 1, found other ones or missing. Leave out rows without a mature label."
        )
    return scores, labels.astype(np.int64)


def named_segments(segments: npt.ArrayLike | pd.Series | None, rows: int) -> npt.NDArray[np.object_] | None:
    """Return one segment per row; None without segments."""
    if segments is None:
        return None
    named = np.asarray(segments, dtype=object)
    if len(named) != rows:
        raise ContractError(f"expected one segment per row, found {len(named)} for {rows} rows.")
    return named


def capacity_threshold(p: Floats, accounts: float) -> float:
    """Return the smallest threshold that at most so many rows reach; 0.0 when all fit, :data:`NO_RED` when none do.

    It lies halfway between two scores, so that rounding moves no row; rows of equal scores stay together.
    """
    fits = int(accounts)
    if fits >= len(p):
        return 0.0
    first_out = np.partition(p, len(p) - 1 - fits)[len(p) - 1 - fits]
    inside = p[p > first_out]
    return float((first_out + inside.min()) / 2.0) if len(inside) else NO_RED


def capacity_cuts(
    p: Floats, capacity: int, amber_times: float, snapshots: float
) -> tuple[float, float, tuple[str, ...]]:
    """Return ``amber_from``, ``red_from`` and notes, for rows of so many snapshots together.

    Red holds ``capacity`` accounts per snapshot, amber ``amber_times`` as many.
    """
    red = capacity * snapshots
    red_from = capacity_threshold(p, red)
    amber_from = min(capacity_threshold(p, red * (1.0 + amber_times)), red_from)
    notes = []
    if red_from == 0.0:
        notes.append(f"the capacity of {capacity} covers every account, so all are red")
    elif amber_from == 0.0:
        notes.append("green is empty: red and amber cover every account")
    if red_from == NO_RED:
        notes.append(f"red is empty: more than {capacity} accounts a snapshot share the highest probability")
    return amber_from, red_from, tuple(notes)


def known_values(value: npt.ArrayLike | pd.Series | None, rows: int) -> Floats:
    """Return annual values as numbers, shape (rows,); missing and negative ones as NaN."""
    if value is None:
        return np.full(rows, np.nan)
    values = np.asarray(pd.to_numeric(pd.Series(np.asarray(value)), errors="coerce"), dtype=float)
    if len(values) != rows:
        raise ContractError(
            f"policy 'cost' expects one annual value per row, found {len(values)} for {rows} rows."
        )
    return np.where(values >= 0, values, np.nan)


def typical_value(values: Floats) -> float:
    """Return the median of the positive values."""
    paying = values[values > 0]
    if not len(paying):
        raise UsageError(
            "policy 'cost' expects the annual value of at least one account, found none. Map mrr under "
            "[tables.subscriptions.columns] and keep the feature mrr, or choose another policy under [decision]."
        )
    return float(np.median(paying))
