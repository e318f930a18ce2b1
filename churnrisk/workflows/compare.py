"""Compare: two model versions side by side, measured on rows that neither has learned from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.model import Evaluation
from churnrisk.model.evaluation import HIGHER_IS_BETTER
from churnrisk.records import Interval
from churnrisk.tracking import LoadedModel, VersionDetails
from churnrisk.workflows.inputs import mismatch
from churnrisk.workflows.panel import Progress, TrainingPanel, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import cut_blocks, evaluated, tracking_of

#: The first version's name among the scorers of the evaluation, in which the second is "model".
FIRST = "first"
_TAGS = ("data_digest", "code_version", "seed", "churn_definition", "policy_version")
_THRESHOLDS = ("amber_from", "red_from")


@dataclass(frozen=True)
class Pair:
    """A setting that differs between the two versions; None where one has none."""

    name: str
    first: str | None
    second: str | None


@dataclass(frozen=True)
class Comparison:
    """Two versions side by side; params, data blocks and thresholds hold what differs only.

    ``block`` names the rows that both were measured on, empty if they could not be. The evaluation has the second as
    "model" and the first as the baseline "first"; differences are second minus first, paired by account.
    """

    first: VersionDetails
    second: VersionDetails
    params: tuple[Pair, ...]
    data: tuple[Pair, ...]
    thresholds: tuple[Pair, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    redefined: tuple[str, ...]
    block: str
    evaluation: Evaluation | None
    notes: tuple[str, ...]


def compare(project: Project, first: str, second: str, *, now: datetime, progress: Progress) -> Comparison:
    """Put two versions (alias, number or run id) side by side and measure both on today's test block."""
    tracking = tracking_of(project)
    progress("reading the registry")
    details = tracking.details(first), tracking.details(second)
    if details[0].info.version == details[1].info.version:
        raise UsageError(
            f"expected two versions, found version {details[0].info.version} twice. "
            "`churnrisk models` lists the versions."
        )
    models = tracking.load(details[0].info.version), tracking.load(details[1].info.version)
    first_sql, second_sql = ({one.name: one.sql for one in model.features} for model in models)
    block, evaluation, notes = _measured(project, details, models, now=now, progress=progress)
    return Comparison(
        *details,
        params=_differing(*map(_settings, details)),
        data=_differing(*map(_blocks, details)),
        thresholds=_differing(*map(_thresholds, models)),
        added=tuple(name for name in second_sql if name not in first_sql),
        dropped=tuple(name for name in first_sql if name not in second_sql),
        redefined=tuple(name for name, sql in first_sql.items() if second_sql.get(name, sql) != sql),
        block=block,
        evaluation=evaluation,
        notes=notes,
    )


def verdict(metric: str, difference: Interval) -> str:
    """Say whether the second is better, worse, or neither beyond chance."""
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    return "better" if (difference.low > 0) == (metric in HIGHER_IS_BETTER) else "worse"


def _measured(
    project: Project,
    details: tuple[VersionDetails, VersionDetails],
    models: tuple[LoadedModel, LoadedModel],
    *,
    now: datetime,
    progress: Progress,
) -> tuple[str, Evaluation | None, tuple[str, ...]]:
    panel = _panel(project, now=now, progress=progress)
    reasons = [(model.version, mismatch(model, panel.features)) for model in models]
    if text := " and ".join(f"version {version} {why}" for version, why in reasons if why):
        return "", None, (f"not measured: {text}",)
    rows, notes = _unseen(project, details, panel)
    y = panel.y[rows]
    if y.nunique() < 2:
        return "", None, (*notes, "not measured: the rows that neither has learned from lack a class")
    progress(f"measuring both on {int(rows.sum()):,} rows")
    X = panel.X[rows]
    first, second = (model.probability(X) for model in models)
    evaluation = evaluated(y, second, project, baselines={FIRST: first})
    dates = panel.dates[rows]
    block = f"{len(X):,} rows as of {dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}"
    return block, evaluation, notes


def _panel(project: Project, *, now: datetime, progress: Progress) -> TrainingPanel:
    """Return the panel with the excluded features too: an earlier version may read them."""
    everything = replace(project, features=replace(project.features, exclude=()))
    try:
        return training_panel(everything, now=now, progress=progress)
    except UsageError:
        # excluded because of a name clash
        return training_panel(project, now=now, progress=progress)


def _unseen(
    project: Project, details: tuple[VersionDetails, VersionDetails], panel: TrainingPanel
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return the rows of today's test block that neither version has learned from."""
    test = np.asarray(cut_blocks(panel.X, project).test)
    if project.model.split == "accounts":
        seeds = {one.params.get("seed") for one in details} | {str(project.model.seed)}
        digests = {one.info.tags.get("data_digest") for one in details} | {panel.digest}
        if len(seeds) == len(digests) == 1:
            return test, ()
        return test, (
            "the versions held out other accounts (other data or another seed), so each may have learned from some "
            "of these rows",
        )
    as_of = panel.dates
    clean = test.copy()
    notes = []
    for one in details:
        seen = as_of < pd.Timestamp(learned_until(one) + project.churn.outcome_delay)
        if (clean & seen).any():
            count = as_of[clean & seen].nunique()
            notes.append(
                f"{count} of the test block's snapshots are left out: version {one.info.version} learned from rows "
                "up to them"
            )
            clean &= ~seen
    return clean, tuple(notes)


def learned_until(one: VersionDetails) -> datetime:
    """Return the last date that a version was fitted, calibrated or certified on."""
    learned = [item.last_as_of for item in one.datasets if item.block != "test"]
    return max(learned, default=datetime(1900, 1, 1))


def _settings(one: VersionDetails) -> dict[str, str]:
    params = {name: value for name, value in one.params.items() if name not in _THRESHOLDS}
    return params | {name: one.info.tags[name] for name in _TAGS if name in one.info.tags}


def _blocks(one: VersionDetails) -> dict[str, str]:
    return {
        item.block: f"{item.first_as_of:%Y-%m-%d} to {item.last_as_of:%Y-%m-%d}, {item.rows:,} rows, "
        f"digest {item.digest[:12]}"
        for item in one.datasets
    }


def _thresholds(model: LoadedModel) -> dict[str, str]:
    light = model.thresholds
    values: dict[str, Any] = {name.replace("_", " "): getattr(light, f"{name}_") for name in _THRESHOLDS}
    shown = {
        name: "none" if value is None or value != value else f"{value:.2%}" for name, value in values.items()
    }
    return shown | {f"{promise.colour} promises": promise.text or "nothing" for promise in light.promises_}


def _differing(first: dict[str, str], second: dict[str, str]) -> tuple[Pair, ...]:
    names = dict.fromkeys((*first, *second))
    pairs = (Pair(name, first.get(name), second.get(name)) for name in names)
    return tuple(pair for pair in pairs if pair.first != pair.second)
