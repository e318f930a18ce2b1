"""Export a model version as one file, and read such a file back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from churnrisk.errors import UsageError
from churnrisk.files import write_whole
from churnrisk.tracking.bundle import BundledModel, build, is_bundle, pack, unpack
from churnrisk.tracking.writing import MODEL_CARD
from churnrisk.workflows.panel import Progress
from churnrisk.workflows.probe import require_own_thresholds
from churnrisk.workflows.project import Project
from churnrisk.workflows.train import tracking_of


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
    bundle = unpack(content, name=path.name)
    held = build(bundle, name=path.name)
    _require_complete(held, path)
    require_own_thresholds(held.model)
    write_whole(path, content)
    notes = () if MODEL_CARD in stored.texts else ("this version was stored without a model card",)
    return Exported(path, stored.version, bundle.digest, len(content), notes)


def read_bundle(path: Path, project: Project) -> tuple[BundledModel, tuple[str, ...]]:
    """Return the model of a bundle file, with notes on what may be unintended."""
    with _readable(path):
        content = path.read_bytes()
    bundle = unpack(content, name=path.name)
    notes: tuple[str, ...] = ()
    if bundle.project != project.name:
        notes = (
            f"the model of {path.name} was trained in project {bundle.project!r}, this one is {project.name!r}",
        )
    held = build(bundle, name=path.name)
    _require_complete(held, path)
    return held, notes


def _require_complete(held: BundledModel, path: Path) -> None:
    """Refuse a model that cannot be scored with."""
    model = held.model
    if model.light is None or not model.features or not hasattr(model.classifier, "contributions"):
        raise UsageError(
            f"expected a churn model with thresholds and features in {path.name}, found "
            f"{type(model.classifier).__name__} {'without' if model.light is None else 'with'} thresholds and with "
            f"{len(model.features)} features. Export the model again."
        )


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
