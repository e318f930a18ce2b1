"""Why each row has its probability, as a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from churnrisk.model.faults import ModelInputError
from churnrisk.model.profile import ReasonProfile
from churnrisk.model.reasons import explain as tell
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
        A fitted classifier, ``project.model()``, or what ``project.train()`` learned; the last two know their
        signals and what is usual.
    X : DataFrame of shape (n, d)
        Rows of a panel, with index (account_id, as_of).
    panel : TrainingPanel, optional
        For a bare classifier: its signals say what a column means, its retained accounts what is usual. Without it a
        signal is told by its column's name.
    features : sequence of Feature, optional
        What the columns mean, where there is no panel to say what is usual.
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
    known = features or (panel.features if panel else _features(model))
    usual = ReasonProfile.fit(panel.X, panel.y, panel.features) if panel else _profile(model)
    rows = X[read]
    told = tell(classifier.contributions(rows), rows, known, usual, top=top)
    flat = told.explode("reasons", ignore_index=True)
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


def _features(model: Any) -> Sequence[Feature]:
    known = getattr(model, "features", ())
    return [item if isinstance(item, Feature) else Feature(**item) for item in known]


def _profile(model: Any) -> ReasonProfile:
    found = getattr(model, "profile", None)
    if isinstance(found, ReasonProfile):
        return found
    return ReasonProfile.from_dict(found) if found else ReasonProfile({}, {}, {})
