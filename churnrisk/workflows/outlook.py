"""When one account is likely to be lost, computed from the tables when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from churnrisk.errors import UsageError
from churnrisk.features import build_features
from churnrisk.snapshots import build_panel
from churnrisk.sources import literal
from churnrisk.workflows.account import AccountView
from churnrisk.workflows.inputs import features_of
from churnrisk.workflows.panel import Progress, checked_tables
from churnrisk.workflows.project import Project
from churnrisk.workflows.told import policy_of
from churnrisk.workflows.train import model_columns, tracking_of

if TYPE_CHECKING:
    from churnrisk.tracking import LoadedModel


@dataclass(frozen=True, slots=True)
class Outlook:
    """When an account is likely to be lost; see :func:`churnrisk.workflows.time_to_churn.outlook`.

    Attributes
    ----------
    as_of, renewal_at : datetime
        The date that it is told of, and the next renewal; None without one, or when it has passed.
    lost_by_renewal, loss_by_renewal : float or None
        The chance of being lost by then, and that times the value a year.
    half_lost_days : float or None
        When half of such accounts are gone; None where more than half are still there after ``outlook_days``.
    lost_by_end : float
        The chance of being lost within ``outlook_days``.
    expected_days : float
        How many of the next ``outlook_days`` it is expected to stay.
    outlook_days : int
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
            cost = (
                ""
                if self.loss_by_renewal is None
                else f" (an expected loss of {self.loss_by_renewal:,.0f} a year)"
            )
            when = f"about {self.lost_by_renewal:.0%} to be lost by the renewal on {self.renewal_at:%Y-%m-%d}{cost}"
        if self.half_lost_days is None:
            return f"{when}; more than half of such accounts are still there after {self.outlook_days} days"
        return f"{when}; half of such accounts are gone within {max(1, round(self.half_lost_days))} days"


def outlook_of(project: Project, view: AccountView, *, now: datetime, progress: Progress) -> Outlook | None:
    """Return the outlook of an account as of its latest run, with the model of that run.

    Returns
    -------
    Outlook or None
        None where the account has no score, or its model knows no time to churn.

    Raises
    ------
    ChurnRiskError
        If the model or the tables are not there, or no longer fit each other.
    """
    if view.latest.probability is None:
        return None
    progress("loading the model")
    model = tracking_of(project).load(view.run.model_version)
    if policy_of(model, project) != view.run.policy_version:
        raise UsageError(
            f"the run was scored by another model version {model.version}, or other rules, than are here. Score again."
        )
    if model.hazard is None:
        return None
    return _computed(project, model, view, now, progress)


def _computed(
    project: Project, model: LoadedModel, view: AccountView, now: datetime, progress: Progress
) -> Outlook | None:
    from churnrisk.workflows.time_to_churn import outlook

    as_of = view.run.as_of
    with checked_tables(project, now=now, progress=progress) as checked:
        tables = checked.tables
        features = features_of(model, project, tables)
        build_panel(tables, project.churn, [as_of], data_end=checked.span.end)
        tables.engine.run(f"delete from panel where account_id <> {literal(view.account_id)}")
        progress(f"looking ahead from {as_of:%Y-%m-%d}")
        X = build_features(
            tables, features, key_features=project.features.key_features, labelled_only=False
        ).X[model_columns(model)]
    if X.empty:
        return None
    told = outlook(
        model.classifier,
        X,
        churn=project.churn,
        as_of=as_of,
        renewal_at=np.array([view.renewal_at], dtype="datetime64[us]"),
        annual_value=[float("nan") if view.annual_value is None else view.annual_value],
    )
    assert told is not None  # noqa: S101 - the model knows time to churn
    found = {name: None if value != value else value for name, value in told.iloc[0].items()}
    lost_by_renewal = found["lost_by_renewal"]
    return Outlook(
        as_of=as_of,
        renewal_at=None if lost_by_renewal is None else view.renewal_at,
        lost_by_renewal=lost_by_renewal,
        loss_by_renewal=found["loss_by_renewal"],
        half_lost_days=found["half_lost_days"],
        lost_by_end=float(told["lost_by_end"].iloc[0]),
        expected_days=float(told["expected_days"].iloc[0]),
        outlook_days=int(told["outlook_days"].iloc[0]),
    )
