"""Time to churn of one account, computed from the tables on demand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from churnrisk.contract import literal
from churnrisk.errors import UsageError
from churnrisk.features import build_features
from churnrisk.scoring import policy_of
from churnrisk.settings import Project
from churnrisk.snapshots import build_panel
from churnrisk.team.account import AccountView
from churnrisk.training import Progress, checked_tables, features_of, outlook, tracking_of


@dataclass(frozen=True, slots=True)
class Outlook:
    """Time to churn of an account as of a date; see :func:`churnrisk.training.outlook`.

    ``renewal_at``, and chance and expected loss by then, are None without a renewal ahead; ``half_lost_days`` where
    half of such accounts are not gone within ``outlook_days``.
    """

    as_of: datetime
    renewal_at: datetime | None
    lost_by_renewal: float | None
    loss_by_renewal: float | None
    half_lost_days: float | None
    lost_by_end: float
    expected_days: float
    outlook_days: int

    @property
    def text(self) -> str:
        """One sentence for people."""
        if self.lost_by_renewal is None or self.renewal_at is None:
            when = f"about {self.lost_by_end:.0%} to be lost within {self.outlook_days} days"
        else:
            loss = self.loss_by_renewal
            cost = "" if loss is None else f" (an expected loss of {loss:,.0f} a year)"
            when = f"about {self.lost_by_renewal:.0%} to be lost by the renewal on {self.renewal_at:%Y-%m-%d}{cost}"
        if self.half_lost_days is None:
            return f"{when}; more than half of such accounts are still there after {self.outlook_days} days"
        return f"{when}; half of such accounts are gone within {max(1, round(self.half_lost_days))} days"


def time_to_churn_of(
    project: Project, view: AccountView, *, now: datetime, progress: Progress
) -> Outlook | None:
    """Return the outlook of an account as of its latest run, by that run's model; None without a score or hazard."""
    if view.latest.churn_probability is None:
        return None
    progress("loading the model")
    model = tracking_of(project).load(view.run.model_version)
    if policy_of(model, project) != view.run.policy_version:
        raise UsageError(
            f"the run was scored by another model version {model.version}, or other rules, than are here. Score again."
        )
    if model.hazard is None:
        return None
    as_of = view.run.as_of
    with checked_tables(project, now=now, progress=progress) as checked:
        tables = checked.tables
        features = features_of(model, project, tables)
        panel = build_panel(tables, project.churn, [as_of], data_end=checked.span.end)
        tables.engine.run(f"delete from {panel.rows} where account_id <> {literal(view.row.account_id)}")
        progress(f"looking ahead from {as_of:%Y-%m-%d}")
        X = build_features(
            tables, features, key_features=project.features.key_features, labelled_only=False
        ).X[model.columns]
    if X.empty:
        return None
    table = outlook(
        model.classifier,
        X,
        churn=project.churn,
        as_of=as_of,
        renewal_at=np.array([view.row.renewal_at], dtype="datetime64[us]"),
        annual_value=[float("nan") if view.row.annual_value is None else view.row.annual_value],
    )
    assert table is not None  # noqa: S101 - the model has a hazard
    found: dict[str, Any] = {
        str(name): None if value != value else value for name, value in table.iloc[0].items()
    }
    found["outlook_days"] = int(found["outlook_days"])
    renewal_at = None if found["lost_by_renewal"] is None else view.row.renewal_at
    return Outlook(as_of=as_of, renewal_at=renewal_at, **found)
