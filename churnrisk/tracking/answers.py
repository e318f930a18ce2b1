"""What a stored model says of rows: probability, colour and reasons, without tables, history or people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from churnrisk.tracking.record import LoadedModel

#: Columns of the answer, with what MLflow calls their types.
COLUMNS = ("churn_probability", "colour", "decided_by", "rule", "reasons")


def answers(model: LoadedModel, X: Any, *, top: int = 3) -> pd.DataFrame:
    """Return what the model says of each row, as one that is seen alone.

    The colour is that of the thresholds and the rules kept with the model. What needs more than the row is left to
    ``churnrisk score``: a wave of newcomers, hysteresis, overrides, the peers of a segment.

    Parameters
    ----------
    model : LoadedModel
        A churn model with its policy, profile and features.
    X : DataFrame of shape (n, d)
        The model's columns, in any order and beside others; any frame that narwhals knows. A missing value is
        unknown, a missing column is refused.
    top : int, default 3
        Most reasons per row.

    Returns
    -------
    DataFrame of shape (n, 5), indexed like X
        churn_probability; colour; decided_by ("model" or "rule"); rule (which one, else None); reasons (list of
        sentences).

    Raises
    ------
    UsageError
        If columns are missing, or the model was stored without its thresholds.
    """
    import numpy as np
    import pandas as pd

    from churnrisk.decision import Rule, TrafficLight, apply_rules, segments_of
    from churnrisk.features.facts import annual_value
    from churnrisk.model.frames import as_pandas

    if "light" not in model.policy:
        raise UsageError(
            f"model version {model.version} was stored without thresholds, so it gives no colours. "
            "Train one with `churnrisk train`."
        )
    rows = _columns(as_pandas(X), [item["name"] for item in model.features])
    light = TrafficLight.from_dict(model.policy["light"])
    rules = [Rule(**rule) for rule in model.policy.get("rules", ())]
    p = np.asarray(model.classifier.predict_proba(rows))[:, 1]
    colours = light.predict(p, annual_value(rows), segments_of(rows, light.segment_by))
    decided = apply_rules(rows, colours, rules)
    told = {
        "churn_probability": p,
        **{name: decided[name].astype(object) for name in ("colour", "decided_by", "rule")},
        "reasons": _reasons(model, rows, top),
    }
    return pd.DataFrame(told, index=rows.index, columns=list(COLUMNS))


def _columns(X: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    missing = [name for name in names if name not in X]
    if missing:
        raise UsageError(
            f"expected the {len(names)} signals of the model, found that {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing. Give every column; a value that is unknown is null."
        )
    return X[names]


def _reasons(model: LoadedModel, rows: pd.DataFrame, top: int) -> pd.Series:
    import pandas as pd

    from churnrisk.model import ReasonProfile, explain
    from churnrisk.records import Feature

    # Rows that are served carry no account and no date.
    place = pd.MultiIndex.from_product([range(len(rows)), [pd.NaT]], names=["account_id", "as_of"])
    bare = rows.set_axis(place)
    told = explain(
        model.classifier.contributions(bare),
        bare,
        [Feature(**item) for item in model.features],
        ReasonProfile.from_dict(model.profile),
        top=top,
    )
    texts = [[reason.text for reason in reasons] for reasons in told["reasons"]]
    return pd.Series(texts, index=rows.index, dtype=object)
