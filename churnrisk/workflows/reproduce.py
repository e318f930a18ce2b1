"""Repeat a training from what its run keeps, and say whether the same model comes out, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import numpy as np

from churnrisk.errors import ContractError, UsageError
from churnrisk.tracking.details import VersionDetails
from churnrisk.tracking.writing import as_json
from churnrisk.workflows import kept_settings
from churnrisk.workflows.compare import unfit
from churnrisk.workflows.panel import Progress, TrainingPanel, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import cut_blocks, learn, tracking_of
from churnrisk.workflows.training_record import datasets_of


@dataclass(frozen=True)
class Reproduction:
    """A training that was repeated.

    Attributes
    ----------
    version : int
        Which one.
    identical : bool
        Every probability and every threshold is the same, bit for bit.
    rows : int
        Rows of the panel whose probabilities were compared.
    largest_difference : float
        Between two probabilities.
    notes : tuple of str
        Packages that are installed in other versions than at the training.
    """

    version: int
    identical: bool
    rows: int
    largest_difference: float
    notes: tuple[str, ...]


def reproduce(project: Project, version: str, *, progress: Progress) -> Reproduction:
    """Train again by the settings, the seed and the time of a version, on today's tables; nothing is registered.

    Parameters
    ----------
    project : Project
        The project; its tables are read, its other settings give way to those of the version.
    version : str
        An alias, the number of a version, or the id of an MLflow run.
    progress : callable
        Is told what is being done.

    Raises
    ------
    NoChampionError
        If there is no such model.
    UsageError
        If the version keeps no settings, or is of another catalogue of features.
    ContractError
        If the tables are no longer those of the training.
    """
    progress("reading the registry")
    tracking = tracking_of(project)
    details = tracking.details(version)
    stored = tracking.stored(details.info.version)
    model = stored.built()
    kept = model.documents.get(kept_settings.FILE)
    if kept is None:
        raise UsageError(
            f"model version {model.version} keeps no settings of its training, so it cannot be repeated. "
            "Versions trained from now on can."
        )
    as_it_was, then = kept_settings.restore(project, kept)
    panel = training_panel(as_it_was, now=then, progress=progress, looking_back=True)
    if why := unfit(model, panel):
        raise UsageError(f"the training cannot be repeated: {why}. Train anew with `churnrisk train`.")
    cut = cut_blocks(panel.X, as_it_was)
    _require_same_rows(details, panel, {item.block: item.digest for item in datasets_of(panel, cut)})
    classifier, light = learn(panel, cut, as_it_was, progress=progress)
    progress("comparing the probabilities")
    first, second = (one.predict_proba(panel.X)[:, 1] for one in (model.classifier, classifier))
    same_light = json.loads(as_json(light.to_dict())) == model.policy["light"]
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
        "The tables have changed since; bring them back as they were, or train anew with `churnrisk train`."
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
