"""Why each row has its probability, as a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from churnrisk.errors import ModelInputError
from churnrisk.model.profile import ReasonProfile
from churnrisk.model.reasons import explain as explain_rows
from churnrisk.records import Feature

if TYPE_CHECKING:
    import pandas as pd

    from churnrisk.workflows.panel import TrainingPanel


def explain(
    model: Any,
    X: pd.DataFrame,
    *,
    panel: TrainingPanel | None = None,
    features: Sequence[Feature] | None = None,
    top: int = 3,
) -> pd.DataFrame:
    """Return the reasons of each row: what raises its churn probability most, in words.

    Parameters
    ----------
    model : ChurnClassifier, LoadedModel or Trained
        A fitted classifier, ``project.model()``, or the result of ``project.train()``; the last two know their signals
        and what is usual.
    X : DataFrame of shape (n, d)
        Rows of a panel, with index (account_id, as_of).
    panel : TrainingPanel, optional
        For a bare classifier: its signals say what a column means, its retained accounts what is usual. Without it a
        reason names the column.
    features : sequence of Feature, optional
        What the columns mean, if there is no panel.
    top : int, default 3
        Most reasons per row, at most two of one family.

    Returns
    -------
    DataFrame
        One row per (account_id, as_of, rank), which is the index; columns feature, family, text, value,
        contribution (log-odds), usual_low, usual_high.

    Raises
    ------
    ModelInputError
        When `X` has no (account_id, as_of) index or lacks a column, the model is not fitted, or `top` is below 1.
    """
    import pandas as pd

    classifier = getattr(model, "classifier", model)
    read = _columns(classifier, X)
    known: Sequence[Feature] = features if features else getattr(panel or model, "features", ())
    usual = getattr(model, "profile", ReasonProfile({}, {}, {}))
    if panel:
        usual = ReasonProfile.fit(panel.X, panel.y, panel.features)
    rows = X[read]
    flat = explain_rows(classifier.contributions(rows), rows, known, usual, top=top).explode(
        "reasons", ignore_index=True
    )
    names = ("feature", "family", "text", "value", "contribution", "usual_low", "usual_high")
    table = pd.DataFrame({name: [getattr(reason, name) for reason in flat["reasons"]] for name in names})
    keys = [flat["account_id"], flat["as_of"], flat.groupby(["account_id", "as_of"]).cumcount() + 1]
    return table.set_index(pd.MultiIndex.from_arrays(keys, names=["account_id", "as_of", "rank"]))


def _columns(classifier: Any, X: pd.DataFrame) -> list[str]:
    names = getattr(classifier, "feature_names_in_", None)
    if names is None:
        raise ModelInputError("expected a fitted model, found one that is not. Call fit first.")
    if missing := [name for name in names if name not in X]:
        raise ModelInputError(
            f"expected the columns that the model was fitted on, found no {', '.join(missing)}. Give every column."
        )
    return list(names)
