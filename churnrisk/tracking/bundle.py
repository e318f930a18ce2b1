"""A model version as one file, for a job that has no tracking server; reading it needs no MLflow.

The file is a line of text with the SHA-256 of all that follows it, and then a zip archive: ``bundle.json``, the
classifier as skops, its JSON documents and its model card. No part of it is a pickle.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from churnrisk.errors import ChurnRiskError, NoChampionError, UsageError
from churnrisk.files import digest_of
from churnrisk.tracking.stored import (
    CHAMPION,
    FEATURES,
    MODEL_FILE,
    POLICY,
    PROFILE,
    LoadedModel,
    StoredModel,
)
from churnrisk.tracking.writing import as_json

FORMAT = 1
_HEADER = re.compile(rb"churnrisk bundle (\d{1,9}) sha256 ([0-9a-f]{64})\n")
_HEADER_BYTES = 120
_MANIFEST = "bundle.json"
_REQUIRED = (POLICY, PROFILE, FEATURES)
# Zip stores the year from 1980 on; one fixed date makes the same model the same bundle, byte for byte.
_DATE = (1980, 1, 1, 0, 0, 0)
_LARGEST_BYTES = 2**31


@dataclass(frozen=True)
class Bundle:
    """The checked content of a bundle file, the project that it was trained in, and its SHA-256 in hex."""

    stored: StoredModel
    project: str
    digest: str


@dataclass(frozen=True)
class BundledModel:
    """The one model of a bundle, in the place of a registry."""

    model: LoadedModel
    files: StoredModel

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Return the model, as champion or by its version; any other is a NoChampionError."""
        self._require(alias_or_version)
        return self.model

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Return the files of the model, as champion or by its version."""
        self._require(alias_or_version)
        return self.files

    def _require(self, alias_or_version: str | int) -> None:
        if str(alias_or_version) in (CHAMPION, str(self.model.version)):
            return
        raise NoChampionError(
            f"the bundle holds model version {self.model.version} only, not {alias_or_version}; "
            "score without --bundle to use the registry"
        )


def pack(stored: StoredModel, *, project: str) -> bytes:
    """Return the model as the content of one file; the same model gives the same bytes."""
    manifest = {
        "project": project,
        "version": stored.version,
        "run_id": stored.run_id,
        "tags": stored.tags,
        "versions": stored.versions,
    }
    files = {
        _MANIFEST: as_json(manifest).encode(),
        MODEL_FILE: stored.model,
        **{name: as_json(value).encode() for name, value in stored.documents.items()},
        **{name: text.encode() for name, text in stored.texts.items()},
    }
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = ZipInfo(name, date_time=_DATE)
            entry.compress_type = ZIP_DEFLATED
            archive.writestr(entry, files[name])
    content = buffer.getvalue()
    return f"churnrisk bundle {FORMAT} sha256 {digest_of(content)}\n".encode() + content


def is_bundle(start: bytes) -> bool:
    """Say by its first bytes whether a file is a bundle, of any format number."""
    return _HEADER.match(start[:_HEADER_BYTES]) is not None


def unpack(content: bytes, *, name: str) -> Bundle:
    """Check a bundle and take it apart; nothing in it is built. Errors call it ``name``."""
    header = _HEADER.match(content[:_HEADER_BYTES])
    if header is None:
        raise UsageError(
            f"expected a bundle, found that {name} is none (it was not opened any further). "
            "Write one with `churnrisk export`."
        )
    if int(header[1]) != FORMAT:
        raise UsageError(
            f"expected a bundle of format {FORMAT}, found that {name} says format {int(header[1])}. "
            "Score with the churnrisk that wrote it, or export it again with this one."
        )
    digest = digest_of(content[header.end() :])
    if digest.encode() != header[2]:
        raise UsageError(
            f"{name} was changed after it was written: its content has the SHA-256 {digest[:12]}…, its first line says "
            f"{header[2][:12].decode()}…. It was altered or cut short; copy it again, or export it again."
        )
    try:
        stored, project = _read(content[header.end() :])
    except (BadZipFile, zlib.error, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as cause:
        raise UsageError(
            f"expected a whole bundle, found that {name} cannot be read: {cause}. Export it again."
        ) from cause
    _require_versions(stored.versions, name=name)
    return Bundle(stored, project, digest)


def build(bundle: Bundle, *, name: str) -> BundledModel:
    """Build the model of a bundle through the allow-list."""
    from sklearn.exceptions import InconsistentVersionWarning

    try:
        with warnings.catch_warnings():
            # Versions that differ by more than a patch were refused before.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            return BundledModel(bundle.stored.built(), bundle.stored)
    except ChurnRiskError as error:
        raise UsageError(f"{name}: {error}") from error


def _require_versions(versions: Mapping[str, str], *, name: str) -> None:
    """Refuse a model of another scikit-learn; patch versions may differ, as they read each other's estimators."""
    trained, here = versions.get("scikit-learn", "unknown"), installed("scikit-learn")
    if trained.split(".")[:2] != here.split(".")[:2]:
        raise UsageError(
            f"{name} was trained with scikit-learn {trained}, found {here} installed, which may read it wrongly. "
            f"Install scikit-learn {trained}, or train and export again with {here}."
        )


def _read(content: bytes) -> tuple[StoredModel, str]:
    with ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST_BYTES:
            raise ValueError(f"it would unpack to more than {_LARGEST_BYTES:,} bytes")
        files = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    manifest = json.loads(files.pop(_MANIFEST))
    documents = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    if missing := [name for name in _REQUIRED if name not in documents]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    stored = StoredModel(
        model=files[MODEL_FILE],
        documents=documents,
        texts={name: text.decode() for name, text in files.items() if name.endswith(".md")},
        versions={str(package): str(number) for package, number in manifest["versions"].items()},
        version=int(manifest["version"]),
        run_id=str(manifest["run_id"]),
        tags={str(key): str(value) for key, value in manifest["tags"].items()},
    )
    return stored, str(manifest["project"])
