"""Whether labels can teach anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length

from churnrisk.model.faults import ModelInputError
from churnrisk.model.panel import Bools


def two_classes(X: Any, y: Any, min_class_count: int) -> tuple[npt.NDArray[Any], Bools]:
    """Return the two sorted classes and which rows have the greater one, "churned", shape (n,).

    Raises
    ------
    ModelInputError
        When there are not exactly two classes, or fewer than `min_class_count` rows of one.
    """
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
