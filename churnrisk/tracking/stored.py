"""A stored model version: its files, and the typed model that they become."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.features.facts import annual_value
from churnrisk.model.encoding import as_pandas
from churnrisk.records import Feature
from churnrisk.tracking.record import CHAMPION
from churnrisk.tracking.trusted import load_trusted

if TYPE_CHECKING:
    from churnrisk.decision import Rule, TrafficLight
    from churnrisk.model import ChurnHazard, ReasonProfile

#: Folder of the documents inside that of a model, and the file of its classifier, as MLflow calls it.
DOCUMENTS = "churnrisk"
MODEL_FILE = "model.skops"
POLICY, PROFILE, FEATURES = "policy.json", "profile.json", "features.json"
#: Columns of :meth:`LoadedModel.predict`.
PREDICTED = ("churn_probability", "colour", "decided_by", "rule", "reasons")


@dataclass(frozen=True)
class LoadedModel:
    """A model version ready to score.

    Attributes
    ----------
    classifier : ChurnClassifier
        The fitted classifier; any other classifier with ``predict_proba`` that was logged.
    light : TrafficLight or None
        Its thresholds; None for a classifier that was stored without any, which has no rules, profile and features
        either.
    rules : tuple of Rule
        The rules that were active at the training.
    profile : ReasonProfile
        What is usual for retained accounts.
    features : tuple of Feature
        The columns that it reads, as declared at the training.
    documents : dict of str to object
        All JSON documents by file name, as stored.
    version : int
        The registered version.
    run_id : str
        The MLflow run of the training.
    tags : dict of str to str
        Tags of the version.
    """

    classifier: Any
    light: TrafficLight | None
    rules: tuple[Rule, ...]
    profile: ReasonProfile
    features: tuple[Feature, ...]
    documents: dict[str, Any]
    version: int
    run_id: str
    tags: dict[str, str]

    @property
    def columns(self) -> list[str]:
        """Names of the columns that it reads."""
        return [feature.name for feature in self.features]

    @property
    def thresholds(self) -> TrafficLight:
        """Its light.

        Raises
        ------
        UsageError
            If it was stored without one.
        """
        if self.light is None:
            raise UsageError(
                f"model version {self.version} was stored without thresholds, so it gives no colours. "
                "Train one with `churnrisk train`."
            )
        return self.light

    @property
    def hazard(self) -> ChurnHazard | None:
        """Its survival curve beyond the first window; None if it was trained without time to churn."""
        found: ChurnHazard | None = getattr(self.classifier, "hazard_", None)
        return found

    def probability(self, X: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the churn probability of each row; other columns may stand beside those it reads."""
        found: npt.NDArray[np.float64] = self.classifier.predict_proba(X[self.columns])[:, 1]
        return found

    def predict(self, X: Any, *, top: int = 3) -> pd.DataFrame:
        """Return probability, colour and reasons of each row by itself.

        The colour is that of the thresholds and rules stored with the model. What needs more than the row is left to
        ``churnrisk score``: a wave of newcomers, hysteresis, overrides, peers.

        Parameters
        ----------
        X : DataFrame of shape (n, d)
            The model's columns, in any order and beside others; any frame that narwhals knows. A missing value is
            unknown, a missing column is an error.
        top : int, default 3
            Most reasons per row.

        Returns
        -------
        DataFrame of shape (n, 5), indexed like X
            churn_probability; colour; decided_by ("model" or "rule"); rule (its name, else None); reasons (list of
            sentences).

        Raises
        ------
        UsageError
            If columns are missing, or the model was stored without thresholds.
        """
        from churnrisk.decision import apply_rules, segments_of

        light = self.thresholds
        rows = self._read(as_pandas(X))
        p = self.probability(rows)
        colours = light.predict(p, annual_value(rows), segments_of(rows, light.segment_by))
        decided = apply_rules(rows, colours, self.rules)
        columns = {
            "churn_probability": p,
            **{name: decided[name].astype(object) for name in ("colour", "decided_by", "rule")},
            "reasons": self._reasons(rows, top),
        }
        return pd.DataFrame(columns, index=rows.index, columns=list(PREDICTED))

    def _read(self, X: pd.DataFrame) -> pd.DataFrame:
        if missing := [name for name in self.columns if name not in X]:
            raise UsageError(
                f"expected the {len(self.columns)} signals of the model, found no {', '.join(missing)}. "
                "Give every column; an unknown value is null."
            )
        return X[self.columns]

    def _reasons(self, rows: pd.DataFrame, top: int) -> pd.Series:
        from churnrisk.model import explain

        # Rows that are served carry no account and no date.
        place = pd.MultiIndex.from_product([range(len(rows)), [pd.NaT]], names=["account_id", "as_of"])
        bare = rows.set_axis(place)
        explained = explain(self.classifier.contributions(bare), bare, self.features, self.profile, top=top)
        texts = [[reason.text for reason in reasons] for reasons in explained["reasons"]]
        return pd.Series(texts, index=rows.index, dtype=object)


@dataclass(frozen=True)
class StoredModel:
    """The files of one model version, nothing of which has been built.

    ``model`` is the classifier in skops format, ``documents`` the JSON documents and ``texts`` the Markdown texts by
    file name; ``versions`` are those of the packages at the training.
    """

    model: bytes
    documents: dict[str, Any]
    texts: dict[str, str]
    versions: dict[str, str]
    version: int
    run_id: str
    tags: dict[str, str]

    def built(self) -> LoadedModel:
        """Build the classifier through the allow-list and decode the documents.

        Raises
        ------
        ChurnRiskError
            If it holds types that are not trusted, is damaged, or fits other versions only.
        """
        return LoadedModel(
            load_trusted(self.model),
            *_decoded(self.documents),
            documents=self.documents,
            version=self.version,
            run_id=self.run_id,
            tags=self.tags,
        )


class Models(Protocol):
    """Where models come from: the registry, or a bundle."""

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Return a model by its alias or version."""

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Return the files of a model."""


def _decoded(
    documents: dict[str, Any],
) -> tuple[TrafficLight | None, tuple[Rule, ...], ReasonProfile, tuple[Feature, ...]]:
    # scikit-learn takes more than a second to import
    from churnrisk.decision import Rule, TrafficLight
    from churnrisk.model import ReasonProfile

    policy = documents.get(POLICY)
    if not (isinstance(policy, dict) and "light" in policy):
        return None, (), ReasonProfile({}, {}, {}), ()
    light = TrafficLight.from_dict(policy["light"])
    try:
        rules = tuple(Rule(**rule) for rule in policy.get("rules", ()))
        profile = ReasonProfile.from_dict(documents[PROFILE])
        return light, rules, profile, tuple(map(_feature, documents[FEATURES]))
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise ChurnRiskError(
            f"expected the policy, profile and features of a churn model, found documents that are not: {cause!r}. "
            "Train again with `churnrisk train`."
        ) from cause


def _feature(stored: dict[str, Any]) -> Feature:
    return Feature(**{**stored, "requires": tuple(stored.get("requires", ()))})


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
