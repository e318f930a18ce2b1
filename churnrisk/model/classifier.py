"""The churn classifier: chosen in time order, calibrated on a later block, with exact contributions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from churnrisk.errors import ModelInputError
from churnrisk.model.additive import BoostedTrees
from churnrisk.model.calibration import Affine, Method, fit_calibrator, rescaled
from churnrisk.model.candidates import CANDIDATES, CandidateModel, unknown_candidates
from churnrisk.model.encoding import FrameEncoder, LevelRates, as_pandas
from churnrisk.model.linear import WrappedEstimator
from churnrisk.model.selection import SearchInput, choose_in_time
from churnrisk.model.splits import Bools, Floats, Ints, accounts_or_rows, uniform_of


class ChurnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Churn probability per (account_id, as_of), with its reasons.

    `fit` chooses between candidates by time-ordered cross-validation on log loss (the additive model wins ties within
    one standard error, because its reasons are exact), `calibrate` maps log-odds to probabilities on a later block.
    No class weights and no resampling: they distort probabilities.

    Parameters
    ----------
    candidates : tuple of str
        "logistic" (regularised logistic regression), "additive" (boosted trees without interactions), "full" (boosted
        trees with them), any other name in :data:`churnrisk.model.CANDIDATES`, or the dotted name of a scikit-learn
        classifier, such as "sklearn.ensemble.ExtraTreesClassifier".
    estimator : classifier, optional
        A scikit-learn classifier, used instead of the candidates.
    monotone : dict of str to {-1, 0, 1}, optional
        By column name: +1 when a higher value can only raise the churn probability. Holds for boosted trees.
    n_splits, embargo_days : int
        Folds of the search, and ``gap + horizon``: days between the training and the validation dates of a fold.
    calibration : {"auto", "sigmoid", "isotonic", "none"}
        "auto" takes isotonic from 5,000 rows with 1,000 of either class, else sigmoid.
    max_iter, n_models : int
        Upper limit of trees, of which the search finds the number used, and how many boosted models, grown on
        different draws of columns, are averaged in log-odds.
    max_search_rows : int
        The search uses a sample of the accounts beyond this many rows; the final fit uses all.
    min_class_count : int
        Fewer churned or retained rows than this are refused.
    random_state : int

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
        Retained and churned, in sorted order.
    chosen_, why_chosen_ : str
        The candidate in use, "given" for `estimator`.
    cv_results_, cv_folds_ : list of dict, str
        Candidate, setting, mean log loss and log loss per fold of each setting tried; how the folds were cut.
    notes_ : list of str
        Columns left out, sampling of the search.
    exact_ : bool
        Whether contributions are exact or approximated.
    baseline_ : float
        Mean log-odds of the training rows: calibrated where the calibration is affine (sigmoid or none), else
        uncalibrated.
    hazard_ : ChurnHazard or None
        The hazards after the first window, where training learned them too.

    Notes
    -----
    Rows are a DataFrame with index (account_id, as_of). Frames of polars, pyarrow and DuckDB and plain arrays work too;
    they carry no dates, so the search splits them without time order.
    """

    def __init__(
        self,
        *,
        candidates: tuple[str, ...] = ("logistic", "additive", "full"),
        estimator: Any = None,
        monotone: Mapping[str, int] | None = None,
        n_splits: int = 3,
        embargo_days: int = 30,
        calibration: Method = "auto",
        max_iter: int = 400,
        n_models: int = 4,
        max_search_rows: int = 150_000,
        min_class_count: int = 10,
        random_state: int = 0,
    ) -> None:
        self.candidates = candidates
        self.estimator = estimator
        self.monotone = monotone
        self.n_splits = n_splits
        self.embargo_days = embargo_days
        self.calibration = calibration
        self.max_iter = max_iter
        self.n_models = n_models
        self.max_search_rows = max_search_rows
        self.min_class_count = min_class_count
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Choose a candidate and fit it on all rows; calibration starts as the identity.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, d)
        y : array-like of shape (n,)
            Two classes; the greater one is "churned".

        Raises
        ------
        ModelInputError
            When a class is missing or too rare, no column varies, or a parameter is out of range.
        """
        X = self._begin(X)
        self.classes_, churned = two_classes(X, y, self.min_class_count)
        self._learn(X, churned, np.full(len(churned), -1))
        self.calibrator_: Any = Affine()
        self.calibration_ = "none"
        return self

    def fit_and_calibrate(self, X: Any, y: Any, later: npt.ArrayLike) -> Floats:
        """Fit on all rows, and calibrate on the later ones with models that have not seen them.

        A candidate is chosen on the earlier rows. The later rows (a mask) are split by account: each of the averaged
        models leaves one fold of them out and learns from everything else. Its log-odds on the fold left out calibrate,
        and can certify colours, so the newest outcomes are learned from all the same. A scikit-learn classifier is one
        model only and learns from the earlier rows alone.

        Returns
        -------
        ndarray of shape (later rows,)
            Uncalibrated log-odds of the later rows, each by models that have not learned from its account's later
            rows.

        Notes
        -----
        The mean error of such cross-fitted models on the rows they left out has, for learners that no single row moves
        much, the distribution of a plain hold-out of all those rows: Bayle, Bayle, Janson & Mackey (2020),
        "Cross-validation confidence intervals for test error", arXiv:2007.12671.
        """
        X, late = self._begin(X), np.asarray(later, dtype=bool)
        self.classes_, churned = two_classes(X, y, self.min_class_count)
        check_consistent_length(X, late)
        two_classes(X[~late], churned[~late], self.min_class_count)
        shares = max(2, self.n_models)
        share = (uniform_of(accounts_or_rows(X), self.random_state + 6) * shares).astype(np.int64)
        crossed: Floats = self._learn(X, churned, np.where(late, share, -1))[late]
        self._calibrate(crossed, churned[late])
        return crossed

    def calibrate(self, X: Any, y: Any) -> Self:
        """Fit the map from log-odds to probability on a later block with both classes, in place of the map before."""
        check_is_fitted(self)
        X, labels = as_pandas(X), column_or_1d(y)
        check_consistent_length(X, labels)
        self._calibrate(self.raw_log_odds(X), np.asarray(labels == self.classes_[1], dtype=bool))
        return self

    def _calibrate(self, log_odds: Floats, churned: Bools) -> None:
        if churned.all() or not churned.any():
            raise ModelInputError(
                f"calibration needs both churned and retained accounts (classes), found {int(churned.sum())} "
                f"churned of {len(churned)}. Widen the calibration block."
            )
        self.calibrator_ = fit_calibrator(log_odds, churned, self.calibration)
        kind = "sigmoid" if isinstance(self.calibrator_, Affine) else "isotonic"
        self.calibration_ = "none" if self.calibration == "none" else kind

    def raw_log_odds(self, X: Any) -> Floats:
        """Return uncalibrated log-odds, shape (n,)."""
        return np.asarray(self.model_.decision_function(self._encoded(X)), dtype=np.float64)

    def decision_function(self, X: Any) -> Floats:
        """Return calibrated log-odds, shape (n,)."""
        check_is_fitted(self)
        return np.asarray(self.calibrator_.apply(self.raw_log_odds(X)), dtype=np.float64)

    def log_odds_if(
        self,
        X: pd.DataFrame,
        changed: pd.DataFrame,
        *,
        raw: Floats,
        rows: Ints | None = None,
        parts: pd.DataFrame | None = None,
    ) -> Floats:
        """Return the calibrated log-odds of rows if some numeric columns had other values, shape (m,).

        An additive boosting model evaluates those columns alone.

        Parameters
        ----------
        X : DataFrame of shape (n, d)
        changed : DataFrame of shape (m, k)
            The other values; columns that the model left out have no effect.
        raw : ndarray of shape (n,)
            ``raw_log_odds(X)``.
        rows : ndarray of int, shape (m,), optional
            Row of `X` that each change applies to, repeats allowed; by default change i applies to row i.
        parts : DataFrame of shape (n, d), optional
            ``parts_of(X)``, to save computing it on every call.
        """
        whose: Any = slice(None) if rows is None else rows
        if not (isinstance(self.model_, BoostedTrees) and self.model_.exact_):
            return self.decision_function(
                X.iloc[whose].assign(**{str(name): changed[name].to_numpy() for name in changed})
            )

        def part(column: int, values: pd.Series) -> Floats:
            return np.asarray(self.model_.share(column, values.to_numpy(dtype=np.float64, na_value=np.nan)))

        total = raw[whose].copy()
        for name in changed.columns.intersection(self.encoder_.names_):
            column = self.encoder_.names_.index(name)
            before = part(column, X[name]) if parts is None else parts[name].to_numpy()
            total += part(column, changed[name]) - before[whose]
        return np.asarray(self.calibrator_.apply(total), dtype=np.float64)

    def parts_of(self, X: pd.DataFrame) -> pd.DataFrame | None:
        """Return what each column adds to the uncalibrated log-odds; None unless the model is such a sum."""
        if not (isinstance(self.model_, BoostedTrees) and self.model_.exact_):
            return None
        return self.contributions(X, calibrated=False)

    def predict_proba(self, X: Any) -> Floats:
        """Return the probabilities of retained and churned, shape (n, 2)."""
        churn = expit(self.decision_function(X))
        return np.column_stack([1.0 - churn, churn])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the likelier class, shape (n,)."""
        churned = (self.decision_function(X) > 0).astype(np.int64)
        return np.asarray(self.classes_[churned])

    @property
    def baseline_(self) -> float:
        """Log-odds that the contributions add to."""
        check_is_fitted(self)
        raw = self.raw_baseline_
        if isinstance(self.calibrator_, Affine):
            return self.calibrator_.intercept + self.calibrator_.slope * raw
        return raw

    @property
    def raw_baseline_(self) -> float:
        """Mean uncalibrated log-odds of the training rows."""
        check_is_fitted(self)
        return float(self.model_.baseline_)

    @property
    def n_iter_(self) -> int:
        """Trees in use, or steps of the solver of a linear model; 1 for a wrapped classifier."""
        check_is_fitted(self)
        return int(self.model_.n_iter_)

    def contributions(self, X: Any, *, calibrated: bool = True) -> pd.DataFrame:
        """Return each input column's share of the log-odds, rows and columns as those of `X`.

        With ``baseline_`` they sum to ``decision_function``, uncalibrated with ``raw_baseline_`` to ``raw_log_odds``.
        Sigmoid calibration multiplies every share by its slope. Isotonic calibration has no single slope: each row's
        shares are scaled by a factor of its own, or shifted equally where scaling would flip their signs. Columns left
        out have 0.
        """
        X = as_pandas(X)
        encoded = self._encoded(X)
        in_place = {"in_place": True} if isinstance(self.model_, BoostedTrees) else {}
        shares = self.model_.contributions(encoded, **in_place)
        if calibrated and isinstance(self.calibrator_, Affine):
            shares *= self.calibrator_.slope
        elif calibrated:
            shares = rescaled(shares, self.raw_baseline_, self.calibrator_)
        columns = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        table = shares
        if shares.shape[1] < self.n_features_in_:
            table = np.zeros((len(encoded), self.n_features_in_), order="F")
            table[:, self.encoder_.kept_] = shares
        return pd.DataFrame(
            table, columns=pd.Index(list(columns)), index=getattr(X, "index", None), copy=False
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _encoded(self, X: Any) -> Floats:
        check_is_fitted(self)
        X = as_pandas(X)
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=False, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        return self.rates_.apply(self.encoder_.transform(X))

    def _begin(self, X: Any) -> Any:
        """Check parameters and rows, and return the rows as frame or array."""
        if unknown_candidates(self.candidates) or not self.candidates:
            raise ModelInputError(
                f"expected candidates among {list(CANDIDATES)} or dotted names of scikit-learn classifiers, "
                f"found {list(self.candidates)}."
            )
        if self.calibration not in get_args(Method):
            raise ModelInputError(
                f"expected calibration 'auto', 'sigmoid', 'isotonic' or 'none', found {self.calibration!r}."
            )
        X = as_pandas(X)
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, skip_check_array=True)
        else:
            X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)
        return X

    def _learn(self, X: Any, churned: Bools, left_out_of: Ints) -> Floats:
        """Choose on the rows that no model leaves out, fit, and return the log-odds of the others, shape (n,)."""
        self.encoder_ = FrameEncoder().fit(X)
        self.notes_ = list(self.encoder_.notes_)
        if not len(self.encoder_.kept_):
            raise ModelInputError(
                f"expected a column with two different values, found none among {X.shape[1]}. Add features."
            )
        self.hazard_: Any = None
        encoded, accounts = self.encoder_.transform(X), accounts_or_rows(X)
        categorical, wide = self.encoder_.categorical_, self.encoder_.wide_
        early: Any = slice(None) if (left_out_of < 0).all() else left_out_of < 0
        rows = SearchInput(
            encoded[early],
            churned[early],
            accounts[early],
            tuple(self.encoder_.names_),
            categorical,
            wide,
            self._monotone(categorical | wide),
        )
        self.model_: Any = self._choose(X[early], rows)
        # Rates are outcomes: those of rows that a model leaves out must not reach it through them.
        self.rates_, rated = LevelRates.learn(
            rows.encoded, rows.churned, wide, rows.accounts, seed=self.random_state
        )
        if not isinstance(early, slice):
            encoded = self.rates_.apply(encoded)
            encoded[early] = rated
            rated = encoded
        crossed: Floats = self.model_.fit_crossed(rated, churned, categorical, left_out_of)
        self.exact_ = bool(self.model_.exact_)
        return crossed

    def _choose(self, X: Any, rows: SearchInput) -> CandidateModel:
        """Return the model to fit: the given estimator or the best candidate's."""
        if self.estimator is not None:
            self.chosen_, self.why_chosen_, self.cv_folds_ = "given", "the estimator was given", "none"
            self.cv_results_: list[dict[str, Any]] = []
            return WrappedEstimator(estimator=self.estimator, names=rows.names)
        choice = choose_in_time(
            X,
            rows,
            self.candidates,
            n_splits=self.n_splits,
            embargo_days=self.embargo_days,
            max_iter=self.max_iter,
            max_rows=self.max_search_rows,
            seed=self.random_state,
        )
        self.chosen_, self.why_chosen_, self.cv_folds_ = choice.trial.candidate, choice.why, choice.folds
        self.cv_results_ = choice.results
        self.notes_ += choice.notes
        return rows.model(self.chosen_, choice.trial.setting, seed=self.random_state, n_models=self.n_models)

    def _monotone(self, named: Bools) -> tuple[int, ...]:
        signs, names = self.monotone or {}, self.encoder_.names_
        return tuple(0 if text else int(signs.get(n, 0)) for n, text in zip(names, named, strict=True))


def two_classes(X: Any, y: Any, min_class_count: int) -> tuple[npt.NDArray[Any], Bools]:
    """Return the two sorted classes and which rows have the greater one, "churned"; refuse too few of either."""
    if y is None:
        raise ModelInputError("fit requires y to be passed, but the target y is None. Give the labels.")
    labels = column_or_1d(y, warn=True)
    check_consistent_length(X, labels)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) > 2:
        raise ModelInputError(
            "Only binary classification is supported. "
            f"The type of the target is {type_of_target(labels)}. Give churned or not."
        )
    if len(classes) < 2:
        raise ModelInputError(
            "training needs both churned and retained accounts (two classes), found only "
            f"{classes[0]!r} in {len(labels)} rows. Check the churn definition or widen the history."
        )
    counts = np.bincount(codes, minlength=2)
    if counts.min() < min_class_count:
        raise ModelInputError(
            f"training needs at least {min_class_count} churned and as many retained rows, found "
            f"{counts[1]} churned and {counts[0]} retained. Widen the history or add accounts."
        )
    return classes, np.asarray(codes == 1, dtype=bool)
