"""Encode a mixed frame as one float64 matrix; high-cardinality columns become churn rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from churnrisk.errors import ModelInputError
from churnrisk.model.splits import Bools, Floats, Ints, uniform_of


def as_pandas(X: Any) -> Any:
    """Return a polars, pyarrow or DuckDB table as a pandas frame; anything else as it is."""
    if isinstance(X, pd.DataFrame) or not (hasattr(X, "__arrow_c_stream__") or hasattr(X, "collect_schema")):
        return X
    import narwhals as nw

    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect("pyarrow")
    return frame.to_pandas() if isinstance(frame, nw.DataFrame) else X


class FrameEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode numeric and categorical columns as one float64 matrix that boosted trees read directly.

    Numbers stay, with NaN for missing. Levels seen at least `min_count` times become the codes 0, 1 … (most frequent
    first), rare and unseen ones share one further code. A column of more than `wide_levels` levels is wide: every level
    seen twice has a code, which ``LevelRates`` turns into a rate, since trees sort levels by their churn rate and many
    small ones invite overfitting. Columns without two different values are left out, as ``notes_`` say.
    ``names_``, ``kept_`` (position in the input), ``wide_`` and ``levels_`` describe the columns of the output.
    """

    def __init__(self, *, min_count: int = 50, wide_levels: int = 10) -> None:
        self.min_count = min_count
        self.wide_levels = wide_levels

    @property
    def categorical_(self) -> Bools:
        """Which output columns hold codes of few levels, shape (k,)."""
        check_is_fitted(self)
        coded = np.isin(np.arange(len(self.kept_)), list(self.levels_))
        return np.asarray(coded & ~self.wide_, dtype=bool)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the levels and which columns to encode; `y` is ignored."""
        columns = self._columns(X, reset=True)
        self.notes_: list[str] = []
        self.levels_: dict[int, list[str]] = {}
        self.names_: list[str] = []
        kept: list[int] = []
        wide: list[bool] = []
        for place, (name, values) in enumerate(columns):
            if values.dtype == object:
                counts = pd.Series(values).value_counts()
                if len(counts) + (counts.sum() < len(values)) < 2:
                    self.notes_.append(f"column '{name}' is left out: it has no two different values")
                    continue
                is_wide = len(counts) > self.wide_levels
                frequent = counts.index[counts >= (2 if is_wide else self.min_count)]
                self.levels_[len(kept)] = [str(level) for level in frequent]
            elif not _varies(values):
                self.notes_.append(f"column '{name}' is left out: it has no two different values")
                continue
            kept.append(place)
            wide.append(values.dtype == object and is_wide)
            self.names_.append(name)
        self.kept_ = np.asarray(kept, dtype=np.int64)
        self.wide_ = np.asarray(wide, dtype=bool)
        return self

    def transform(self, X: Any) -> Floats:
        """Return the matrix, float64 of shape (n, k), NaN for missing."""
        check_is_fitted(self)
        columns = self._columns(X, reset=False)
        # column order: models read and write whole columns
        encoded = np.empty((len(columns[0][1]), len(self.kept_)), dtype=np.float64, order="F")
        for out, place in enumerate(self.kept_):
            name, values = columns[place]
            if out in self.levels_:
                encoded[:, out] = _codes(values, self.levels_[out])
            elif values.dtype == object:
                raise ModelInputError(
                    f"column '{name}' was numeric when the model was fitted, found text now. Fix its type."
                )
            else:
                encoded[:, out] = values
        return encoded

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of the output columns."""
        check_is_fitted(self)
        return np.asarray(self.names_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _columns(self, X: Any, *, reset: bool) -> list[tuple[str, npt.NDArray[Any]]]:
        X = as_pandas(X)
        if not isinstance(X, pd.DataFrame):
            matrix = validate_data(
                self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=1
            )
            return [(f"x{i}", matrix[:, i]) for i in range(matrix.shape[1])]
        validate_data(self, X, reset=reset, skip_check_array=True)
        if X.shape[0] == 0 or X.shape[1] == 0:
            raise ModelInputError(
                f"Found array with {X.shape[0]} sample(s) and {X.shape[1]} feature(s) (shape={X.shape}) "
                "while a minimum of 1 is required. Give at least one row and one column."
            )
        return [(str(name), _column(X.iloc[:, i], str(name))) for i, name in enumerate(X.columns)]


def _column(column: pd.Series[Any], name: str) -> npt.NDArray[Any]:
    kind = column.dtype
    if pd.api.types.is_complex_dtype(kind):
        raise ModelInputError(
            f"Complex data not supported, found some in column '{name}'. Give real numbers."
        )
    if pd.api.types.is_datetime64_any_dtype(kind):
        raise ModelInputError(
            f"column '{name}' holds dates, expected numbers or categories. Give days relative to as_of."
        )
    if isinstance(kind, pd.CategoricalDtype):
        return _as_text(column.astype(object))
    if pd.api.types.is_numeric_dtype(kind):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        try:
            values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
        except (ValueError, TypeError):
            return _as_text(column.astype(object))
    if np.isinf(values).any():
        raise ModelInputError(f"column '{name}' holds an infinite number (infinity). Give NaN where unknown.")
    return values


def _as_text(column: pd.Series[Any]) -> npt.NDArray[np.object_]:
    text = np.empty(len(column), dtype=object)
    known = column.notna().to_numpy()
    text[known] = column.to_numpy()[known].astype(str)
    return text


def _varies(values: Floats) -> bool:
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return False
    return len(known) < len(values) or bool(known.min() < known.max())


def _codes(values: npt.NDArray[Any], levels: list[str]) -> Floats:
    if values.dtype != object:
        values = _as_text(pd.Series(values))
    codes = pd.Index(levels, dtype=object).get_indexer(pd.Index(values, dtype=object)).astype(np.float64)
    codes[codes < 0] = len(levels)
    codes[pd.isna(values)] = np.nan
    return codes


_FOLDS = 5
# However different the levels look, a level of fewer than 20 accounts leans on the overall rate.
_LEAST_WEIGHT = 20.0


@dataclass
class LevelRates:
    """The shrunken log-odds of churn per level of wide columns: ``tables`` by code, and last for any code beyond.

    A level's rate is pulled towards the overall one with the weight of as many accounts as the spread between the
    levels suggests (empirical Bayes). Source: Micci-Barreca (2001), "A preprocessing scheme for high-cardinality
    categorical attributes". Not scikit-learn's TargetEncoder: it shrinks by rows, and its folds ignore groups.
    """

    columns: list[int] = field(default_factory=list)
    tables: list[Floats] = field(default_factory=list)

    @classmethod
    def learn(
        cls,
        encoded: Floats,
        churned: Bools,
        wide: Bools,
        accounts: npt.NDArray[np.generic],
        *,
        seed: int = 0,
    ) -> tuple[LevelRates, Floats]:
        """Return the rates learned on all rows, and the rows encoded without their own account's outcome.

        Else rare levels would leak the label. Each of five folds of accounts is encoded with the rates of the others.
        """
        if not wide.any():
            return cls(), encoded
        columns = [int(j) for j in np.flatnonzero(wide)]
        rows_each = len(churned) / max(1, len(np.unique(accounts)))
        fold = (uniform_of(accounts, seed + 5) * _FOLDS).astype(np.int64)
        learned: list[Floats] = []
        crossed = encoded.copy()
        for j in columns:
            codes = encoded[:, j]
            size = int(np.nanmax(codes, initial=-1)) + 2
            learned.append(_rates(codes, churned, size, rows_each))
            for k in range(_FOLDS):
                here = fold == k
                rates = _rates(codes[~here], churned[~here], size, rows_each)
                crossed[here, j] = _looked_up(rates, codes[here])
        return cls(columns, learned), crossed

    def apply(self, encoded: Floats) -> Floats:
        """Return the matrix with rates in the place of codes, shape (n, d); missing stays missing."""
        if not self.columns:
            return encoded
        rated = encoded.copy(order="K")
        for j, table in zip(self.columns, self.tables, strict=True):
            rated[:, j] = _looked_up(table, encoded[:, j])
        return rated


def _rates(codes: Floats, churned: Bools, size: int, rows_each: float) -> Floats:
    known = ~np.isnan(codes)
    at: Ints = codes[known].astype(np.int64)
    # Rows of one account are nearly identical: count accounts, not rows.
    accounts = np.bincount(at, minlength=size) / rows_each
    churn = np.bincount(at, weights=churned[known], minlength=size) / rows_each
    overall = (churned.sum() + 0.5) / (len(churned) + 1.0)
    weight = _weight_of_overall(accounts, churn, overall)
    return np.asarray(logit((churn + weight * overall) / (accounts + weight)), dtype=np.float64)


def _weight_of_overall(accounts: Floats, churn: Floats, overall: float) -> float:
    """Return the overall rate's weight in accounts: variance within a level over that between levels."""
    within = overall * (1 - overall)
    total = accounts.sum()
    squares = np.sum((churn - accounts * overall) ** 2 / np.maximum(accounts, 1e-9))
    freedom = np.count_nonzero(accounts) - 1
    spread = total - np.sum(accounts**2) / max(total, 1e-9)
    between = (squares - freedom * within) / max(spread, 1e-9)
    if between <= within / 1e6:
        return 1e6
    return float(max(_LEAST_WEIGHT, within / between))


def _looked_up(table: Floats, codes: Floats) -> Floats:
    known = ~np.isnan(codes)
    found = np.full(len(codes), np.nan)
    found[known] = table[np.minimum(codes[known], len(table) - 1).astype(np.int64)]
    return found
