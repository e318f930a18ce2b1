"""Repeat a training from its stored settings and compare the two models bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import numpy as np

from churnrisk.errors import ContractError, UsageError
from churnrisk.tracking import VersionDetails
from churnrisk.tracking.writing import as_json
from churnrisk.workflows.inputs import mismatch
from churnrisk.workflows.panel import Progress, TrainingPanel, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import cut_blocks, learn, tracking_of
from churnrisk.workflows.training_record import SETTINGS, datasets_of, restore_settings


@dataclass(frozen=True)
class Reproduction:
    """A repeated training: ``identical`` if every probability and threshold is the same, bit for bit.

    ``rows`` of the panel were compared; ``notes`` name packages of other versions than at the training.
    """

    version: int
    identical: bool
    rows: int
    largest_difference: float
    notes: tuple[str, ...]


def reproduce(project: Project, version: str, *, progress: Progress) -> Reproduction:
    """Train again with the settings, seed and time of a version (alias, number or run id); nothing is registered."""
    progress("reading the registry")
    tracking = tracking_of(project)
    details = tracking.details(version)
    stored = tracking.stored(details.info.version)
    model = stored.built()
    settings = model.documents.get(SETTINGS)
    if settings is None:
        raise UsageError(
            f"model version {model.version} was stored without the settings of its training, so it cannot be repeated. "
            "Versions trained from now on can."
        )
    as_it_was, then = restore_settings(project, settings)
    panel = training_panel(as_it_was, now=then, progress=progress, looking_back=True)
    if why := mismatch(model, panel.features):
        raise UsageError(
            f"the training cannot be repeated: version {model.version} {why}. Train again with `churnrisk train`."
        )
    cut = cut_blocks(panel.X, as_it_was)
    _require_same_rows(details, panel, {item.block: item.digest for item in datasets_of(panel, cut)})
    classifier, light = learn(panel, cut, as_it_was, progress=progress)
    progress("comparing the probabilities")
    first, second = model.probability(panel.X), classifier.predict_proba(panel.X)[:, 1]
    same_light = as_json(light.to_dict()) == as_json(model.thresholds.to_dict())
    return Reproduction(
        version=model.version,
        identical=bool(np.array_equal(first, second)) and same_light,
        rows=len(panel.X),
        largest_difference=float(np.abs(first - second).max()),
        notes=_other_packages(stored.versions),
    )


def _require_same_rows(details: VersionDetails, panel: TrainingPanel, digests: Mapping[str, str]) -> None:
    recorded = {item.block: item.digest for item in details.datasets}
    differing = [block for block, digest in recorded.items() if digests.get(block) != digest]
    if not differing:
        return
    raise ContractError(
        f"expected the rows that version {details.info.version} was trained on, found others in the "
        f"{' and '.join(differing)} block{'s' if len(differing) > 1 else ''} ({len(panel.X):,} rows in all). "
        "The tables have changed since; bring them back as they were, or train again with `churnrisk train`."
    )


def _other_packages(versions: Mapping[str, str]) -> tuple[str, ...]:
    here = {name: _installed(name) for name in versions if name != "python"}
    return tuple(
        f"{name} {here[name] or 'is not installed'}, at the training {versions[name]}"
        for name in here
        if here[name] != versions[name]
    )


def _installed(name: str) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None
