"""A model version as it is stored: bytes and plain documents, of which nothing has been built yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churnrisk.errors import ChurnRiskError
from churnrisk.tracking.record import LoadedModel
from churnrisk.tracking.trusted import load_trusted

#: Folder of the documents inside that of a model, and the file of its classifier, as MLflow calls it.
DOCUMENTS = "churnrisk"
MODEL_FILE = "model.skops"


@dataclass(frozen=True)
class StoredModel:
    """The files of one model version.

    Attributes
    ----------
    model : bytes
        The classifier in skops format.
    documents : dict of str to object
        JSON documents by file name.
    texts : dict of str to str
        Texts for people by file name, such as ``model_card.md``.
    versions : dict of str to str
        What the model was trained with: ``python``, ``scikit-learn``, ``numpy``, ``churnrisk`` and so on.
    version : int
        The registered version.
    run_id : str
        The MLflow run of the training.
    tags : dict of str to str
        Tags of the version.
    """

    model: bytes
    documents: dict[str, Any]
    texts: dict[str, str]
    versions: dict[str, str]
    version: int
    run_id: str
    tags: dict[str, str]

    def built(self) -> LoadedModel:
        """Build the classifier through the allow-list.

        Raises
        ------
        ChurnRiskError
            If it holds types that are not trusted, is damaged, or fits other versions only.
        """
        return LoadedModel(
            classifier=load_trusted(self.model),
            policy=self.documents.get("policy.json", {}),
            profile=self.documents.get("profile.json", {}),
            features=self.documents.get("features.json", []),
            documents=self.documents,
            version=self.version,
            run_id=self.run_id,
            tags=self.tags,
        )


def read_folder(folder: Path, *, version: int, run_id: str, tags: dict[str, str]) -> StoredModel:
    """Read the folder of a logged model; nothing in it is built.

    Raises
    ------
    ChurnRiskError
        If the model is not in skops format or a file is damaged.
    """
    versions = {"python": _require_skops(folder), **_pinned(folder / "requirements.txt")}
    own = folder / DOCUMENTS
    try:
        return StoredModel(
            model=(folder / MODEL_FILE).read_bytes(),
            documents={name: json.loads(text) for name, text in _read(own, "*.json").items()},
            texts=_read(own, "*.md"),
            versions=versions,
            version=version,
            run_id=run_id,
            tags=tags,
        )
    except ValueError as cause:
        raise ChurnRiskError(
            f"a document of the stored model is damaged: {cause}. Run `churnrisk train` again."
        ) from cause


def _require_skops(folder: Path) -> str:
    """Refuse other formats before their file is opened; return the version of Python that wrote the model."""
    from mlflow.models import Model

    flavours = Model.load(str(folder)).flavors
    written_as = flavours.get("sklearn", {}).get("serialization_format", "an unknown format")
    if written_as != "skops":
        raise ChurnRiskError(
            f"expected a model stored as skops, found {written_as}, which can run any code when it is "
            "opened. It was not loaded. Train the model with `churnrisk train`."
        )
    return str(flavours.get("python_function", {}).get("python_version", ""))


def _pinned(requirements: Path) -> dict[str, str]:
    if not requirements.is_file():
        return {}
    pairs = (line.partition("==") for line in requirements.read_text(encoding="utf-8").splitlines())
    return {name.strip(): version.strip() for name, pinned, version in pairs if pinned}


def _read(folder: Path, pattern: str) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob(pattern))
    }
