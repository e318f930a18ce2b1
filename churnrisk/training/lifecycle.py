"""The life of a model version: promote, roll back, reproduce, export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Literal

import numpy as np

from churnrisk.errors import ContractError, GuardError, UsageError
from churnrisk.files import write_whole
from churnrisk.records import Interval
from churnrisk.settings import Project
from churnrisk.tracking import (
    CANDIDATE,
    CHAMPION,
    MODEL_CARD,
    Bundle,
    BundledModel,
    LoadedModel,
    ModelVersionInfo,
    VersionDetails,
    as_json,
    build,
    is_bundle,
    pack,
    unpack,
)
from churnrisk.training.checked import Progress
from churnrisk.training.fit import learn
from churnrisk.training.measure import FIRST, compare, learned_until
from churnrisk.training.panel import CutPanel, training_panel
from churnrisk.training.record import (
    COMPARED_WITH,
    SETTINGS,
    datasets_of,
    mismatch,
    require_own_thresholds,
    restore_settings,
)
from churnrisk.training.registered import tracking_of


@dataclass(frozen=True)
class Promotion:
    """What was decided and why."""

    version: ModelVersionInfo
    replaced: int | None
    why: str


@dataclass(frozen=True)
class PromotionEvidence:
    """The paired account-level bootstrap behind a promotion: log loss, candidate minus champion."""

    measured_at: Literal["training", "promotion"]
    log_loss: Interval
    rows: int
    accounts: int
    n_boot: int


def promote(
    project: Project,
    *,
    version: str | None,
    author: str,
    force: bool,
    dry_run: bool,
    now: datetime,
    progress: Progress,
) -> Promotion:
    """Make a version (default: the candidate) the champion, unless it is clearly worse than today's.

    The evidence is that of the training if it was measured beside today's champion, else a new one; it is stored.
    """
    tracking = tracking_of(project)
    progress("reading the registry")
    versions = {item.version: item for item in tracking.versions()}
    current = next((item.version for item in versions.values() if CHAMPION in item.aliases), None)
    candidate = tracking.load(version or CANDIDATE)
    if current == candidate.version:
        return Promotion(versions[current], None, "it is the champion already")
    evidence = None if current is None else _evidence(project, candidate, current, now=now, progress=progress)
    why = _verdict(evidence, has_champion=current is not None)
    if evidence is not None and (loss := evidence.log_loss).low > 0 and not force:
        raise GuardError(
            f"version {candidate.version} is worse than the champion, version {current}: its log loss is higher by "
            f"{loss.value:.4f} ({loss.low:.4f} to {loss.high:.4f}). The champion stays. "
            "Use --force (in Python: force=True) to promote it anyway."
        )
    decision = {
        "author": author,
        "at": now.isoformat(timespec="seconds"),
        "why": why,
        "forced": force,
        "champion": current,
        "evidence": None if evidence is None else asdict(evidence),
    }
    if dry_run:
        return Promotion(versions[candidate.version], current, why)
    return Promotion(tracking.promote(candidate.version, decision=decision), current, why)


def _evidence(
    project: Project, candidate: LoadedModel, champion: int, *, now: datetime, progress: Progress
) -> PromotionEvidence | None:
    """Return the difference to today's champion; None if both cannot be measured on the same rows."""
    stored = candidate.documents.get("evaluation.json", {})
    differences = stored.get("differences", {})
    compared = candidate.tags.get(COMPARED_WITH) == str(champion) and CHAMPION in differences
    if compared and _is_unseen(project, candidate.version, champion):
        difference = Interval(**differences[CHAMPION]["log_loss"])
        return PromotionEvidence("training", difference, stored["rows"], stored["accounts"], stored["n_boot"])
    progress(f"measuring beside version {champion}")
    new = compare(project, str(champion), str(candidate.version), now=now, progress=progress).evaluation
    if new is None:
        return None
    return PromotionEvidence(
        "promotion", new.differences[FIRST]["log_loss"], new.rows, new.accounts, new.n_boot
    )


def _is_unseen(project: Project, candidate: int | str, champion: int | str) -> bool:
    """Say whether the champion learned from none of the rows that the candidate's training measured both on."""
    tracking = tracking_of(project)
    new, old = (tracking.details(str(version)) for version in (candidate, champion))
    if project.model.split == "accounts":
        digests = {one.info.tags.get("data_digest") for one in (new, old)}
        return len(digests) == 1 and new.params.get("seed") == old.params.get("seed")
    tested = [item.first_as_of for item in new.datasets if item.block == "test"]
    return bool(tested) and learned_until(old) + project.churn.outcome_delay <= min(tested)


def _verdict(evidence: PromotionEvidence | None, *, has_champion: bool) -> str:
    if not has_champion:
        return "the first champion"
    if evidence is None:
        return "not compared: no rows that both can read and neither has learned from"
    difference = evidence.log_loss
    words = "better" if difference.high < 0 else "worse" if difference.low > 0 else "no worse"
    return (
        f"{words} than the champion on the same {evidence.rows:,} rows: log loss {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f})"
    )


@dataclass(frozen=True)
class Reproduction:
    """A repeated training: ``identical`` if every probability and threshold is the same, bit for bit."""

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
    panel = training_panel(as_it_was, now=then, progress=progress, looking_back=True, trusted=model.columns)
    if why := mismatch(model, panel.features):
        raise UsageError(
            f"the training cannot be repeated: version {model.version} {why}. Train again with `churnrisk train`."
        )
    data = CutPanel.of(as_it_was, panel)
    _require_same_rows(details, data)
    classifier, light = learn(data, progress=progress)
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


def _require_same_rows(details: VersionDetails, data: CutPanel) -> None:
    digests = {item.block: item.digest for item in datasets_of(data)}
    differing = [item.block for item in details.datasets if digests.get(item.block) != item.digest]
    if not differing:
        return
    raise ContractError(
        f"expected the rows that version {details.info.version} was trained on, found others in the "
        f"{' and '.join(differing)} block{'s' if len(differing) > 1 else ''} ({len(data.panel.X):,} rows in all). "
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


@dataclass(frozen=True)
class Exported:
    """The bundle that was written, with the SHA-256 of its content in hex."""

    path: Path
    version: int
    digest: str
    size: int
    notes: tuple[str, ...]


def export(project: Project, path: Path, *, version: str, progress: Progress) -> Exported:
    """Write a model version as a bundle that was read back; it replaces a bundle at ``path``, but no other file."""
    _require_own_place(path)
    progress("reading the registry")
    stored = tracking_of(project).stored(version)
    content = pack(stored, project=project.name)
    progress("reading the bundle back")
    bundle, built = _opened(content, path.name)
    require_own_thresholds(built.model)
    write_whole(path, content)
    notes = () if MODEL_CARD in stored.texts else ("this version was stored without a model card",)
    return Exported(path, stored.version, bundle.digest, len(content), notes)


def read_bundle(path: Path, project: Project) -> tuple[BundledModel, tuple[str, ...]]:
    """Return the model of a bundle file, with notes on what may be unintended."""
    with _readable(path):
        content = path.read_bytes()
    bundle, built = _opened(content, path.name)
    if bundle.project == project.name:
        return built, ()
    note = f"the model of {path.name} was trained in project {bundle.project!r}, this one is {project.name!r}"
    return built, (note,)


def _opened(content: bytes, name: str) -> tuple[Bundle, BundledModel]:
    """Check a bundle and build its model; refuse one that cannot be scored with."""
    bundle = unpack(content, name=name)
    built = build(bundle, name=name)
    model = built.model
    if model.light is None or not model.features or not hasattr(model.classifier, "contributions"):
        raise UsageError(
            f"expected a churn model with thresholds and features in {name}, found "
            f"{type(model.classifier).__name__} {'without' if model.light is None else 'with'} thresholds and with "
            f"{len(model.features)} features. Export the model again."
        )
    return bundle, built


def _require_own_place(path: Path) -> None:
    if not path.is_file():
        return
    with _readable(path), path.open("rb") as file:
        start = file.read(120)
    if start and not is_bundle(start):
        raise UsageError(
            f"expected a new file or a bundle to replace, found that {path} is something else. Choose another name."
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"expected a bundle at {path}, found: {error.strerror or error}. Write one with `churnrisk export`."
        ) from error
