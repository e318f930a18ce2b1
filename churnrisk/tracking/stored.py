"""Stored models: their files, the typed model that is built from them, and the types that they may consist of."""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.records import RULES_ONLY, Feature

if TYPE_CHECKING:
    from churnrisk.lights import Rule, TrafficLight
    from churnrisk.model import ChurnHazard, ReasonProfile

CHAMPION = "champion"
CANDIDATE = "candidate"
#: Folder of the documents inside that of a model, and the file of its classifier, as MLflow calls it.
DOCUMENTS = "churnrisk"
MODEL_FILE = "model.skops"
POLICY, PROFILE, FEATURES = "policy.json", "profile.json", "features.json"
#: Columns of :meth:`LoadedModel.predict`.
PREDICTED = ("churn_probability", "colour", "decided_by", "rule", "reasons")


# Beyond what skops trusts by itself (public scikit-learn estimators, numpy and scipy arrays, plain
# containers). Names and not prefixes: "numpy." would also admit numpy.load, which unpickles.
TRUSTED_TYPES = frozenset(
    {
        "functools.partial",  # holds a function that must be trusted itself
        "numpy.dtype",
        "sklearn._loss.link.HalfLogitLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils.validation.check_array",
    }
)

OWN_PACKAGE = "churnrisk.model"

#: Classes that have moved since models were stored: (module, class) then and now.
_MOVED = {
    (f"{OWN_PACKAGE}.binning", "Binner"): (f"{OWN_PACKAGE}.additive", "Binner"),
    (f"{OWN_PACKAGE}.given", "GivenModel"): (f"{OWN_PACKAGE}.linear", "WrappedEstimator"),
    (f"{OWN_PACKAGE}.rates", "LevelRates"): (f"{OWN_PACKAGE}.encoding", "LevelRates"),
    (f"{OWN_PACKAGE}.recency", "RecencyRule"): (f"{OWN_PACKAGE}.calibration", "RecencyRule"),
}


class Models(Protocol):
    """Where models come from: the registry, or a bundle."""

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Return a model by its alias or version."""

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Return the files of a model."""


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
        """Build the classifier through the allow-list and decode the documents; ChurnRiskError if it is not safe."""
        return LoadedModel(
            load_trusted(self.model),
            *_decoded(self.documents),
            documents=self.documents,
            version=self.version,
            run_id=self.run_id,
            tags=self.tags,
        )


@dataclass(frozen=True)
class LoadedModel:
    """A model version ready to score; rules, profile and features are those of the training."""

    #: A :class:`churnrisk.ChurnClassifier`, or any other classifier with ``predict_proba`` that was logged.
    classifier: Any
    #: None for a classifier stored without thresholds, which has no rules, profile and features either.
    light: TrafficLight | None
    rules: tuple[Rule, ...]
    profile: ReasonProfile
    features: tuple[Feature, ...]
    documents: dict[str, Any]
    #: 0 in the place of a model that is not there yet, see :class:`churnrisk.scoring.batches.RulesOnly`.
    version: int
    run_id: str
    tags: dict[str, str]

    @property
    def name(self) -> str:
        """What runs call it: the number of its version, or that there is none."""
        return str(self.version) if self.version else RULES_ONLY

    @property
    def columns(self) -> list[str]:
        """Names of the columns that it reads."""
        return [feature.name for feature in self.features]

    @property
    def thresholds(self) -> TrafficLight:
        """Its light; a UsageError if it was stored without one."""
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
        """Return probability, colour and reasons (at most ``top``) of each row by itself: columns :data:`PREDICTED`.

        X is any frame that narwhals knows, with the model's columns in any order and beside others. A missing value is
        unknown, a missing column a UsageError. The colour is that of the stored thresholds and rules; what needs more
        than the row is left to ``churnrisk score``: a wave of newcomers, hysteresis, overrides, peers.
        """
        from churnrisk.features import annual_value
        from churnrisk.lights import apply_rules, segments_of
        from churnrisk.model import as_pandas

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


def _decoded(
    documents: dict[str, Any],
) -> tuple[TrafficLight | None, tuple[Rule, ...], ReasonProfile, tuple[Feature, ...]]:
    # scikit-learn takes more than a second to import
    from churnrisk.lights import Rule, TrafficLight
    from churnrisk.model import ReasonProfile

    policy = documents.get(POLICY)
    if not (isinstance(policy, dict) and "light" in policy):
        return None, (), ReasonProfile({}, {}, {}), ()
    light = TrafficLight.from_dict(policy["light"])
    try:
        rules = tuple(Rule(**rule) for rule in policy.get("rules", ()))
        profile = ReasonProfile.from_dict(documents[PROFILE])
        features = tuple(
            Feature(**{**one, "requires": tuple(one.get("requires", ()))}) for one in documents[FEATURES]
        )
        return light, rules, profile, features
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise ChurnRiskError(
            f"expected the policy, profile and features of a churn model, found documents that are not: {cause!r}. "
            "Train again with `churnrisk train`."
        ) from cause


def read_folder(folder: Path, *, version: int, run_id: str, tags: dict[str, str]) -> StoredModel:
    """Read the folder of a logged model; nothing in it is built."""
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
    import yaml

    try:
        flavours = yaml.load((folder / "MLmodel").read_bytes(), yaml.CSafeLoader)["flavors"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as cause:
        raise ChurnRiskError(
            f"expected a model that MLflow describes in {folder / 'MLmodel'}, found: {cause}. "
            "Run `churnrisk train` again."
        ) from cause
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


def distrusted(names: list[str]) -> list[str]:
    """Return the type names that a stored model must not contain."""
    return [name for name in names if name not in TRUSTED_TYPES and not _is_own_class(name)]


def _is_own_class(name: str) -> bool:
    """Say whether a class is defined in churnrisk.model, not merely imported there."""
    module_name, _, class_name = name.rpartition(".")
    if module_name != OWN_PACKAGE and not module_name.startswith(OWN_PACKAGE + "."):
        return False
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError:
        return False
    return inspect.isclass(found) and f"{found.__module__}.".startswith(OWN_PACKAGE + ".")


def trusted_types_of(classifier: object) -> list[str]:
    """Return the allowed types of a classifier beyond those that skops trusts by itself."""
    import skops.io

    kind = type(classifier).__name__
    try:
        names: list[str] = skops.io.get_untrusted_types(data=skops.io.dumps(classifier))
    except Exception as cause:  # skops raises whatever the state of the object makes it raise
        raise ChurnRiskError(
            f"expected a model that can be stored without pickle, found {kind}: {cause}. Use a "
            "scikit-learn classifier without lambdas, local classes or pandas objects in its state."
        ) from cause
    if refused := distrusted(names):
        raise ChurnRiskError(
            f"expected a model of trusted types, but {kind} holds {', '.join(refused)}; it would be "
            "refused when loaded. Use classifiers from scikit-learn or churnrisk.model."
        )
    return names


def load_trusted(source: Path | bytes) -> Any:
    """Load a skops file, or its content, if every type in it is on the allow-list."""
    import skops.io

    name = source.name if isinstance(source, Path) else "model.skops"
    try:
        content = _with_current_names(source.read_bytes() if isinstance(source, Path) else source)
        names: list[str] = skops.io.get_untrusted_types(data=content)
    except (OSError, BadZipFile, KeyError, ValueError, TypeError) as cause:
        raise ChurnRiskError(
            f"expected a model file {name}, found one that cannot be read: {cause}. "
            "Run `churnrisk train` again."
        ) from cause
    if refused := distrusted(names):
        raise ChurnRiskError(
            f"the stored model holds types that churnrisk does not trust: {', '.join(refused)}. It was "
            "not loaded. Train it again with `churnrisk train`, and find out who registered this one."
        )
    try:
        return skops.io.loads(content, trusted=names)
    except Exception as cause:  # an estimator's __setstate__ may raise anything on a foreign state
        raise ChurnRiskError(
            f"the stored model cannot be rebuilt with the installed versions: {cause}. "
            "Run `churnrisk train` again."
        ) from cause


def _with_current_names(content: bytes) -> bytes:
    """Return a skops file in which classes that have moved have their current names."""
    with ZipFile(BytesIO(content)) as stored:
        schema = stored.read("schema.json").decode()
        if not any(f'"{module}"' in schema for module, _ in _MOVED):
            return content
        renamed = BytesIO()
        with ZipFile(renamed, "w") as current:
            for item in stored.infolist():
                if item.filename != "schema.json":
                    current.writestr(item, stored.read(item))
            current.writestr("schema.json", json.dumps(json.loads(schema, object_hook=_renamed)))
    return renamed.getvalue()


def _renamed(node: dict[str, Any]) -> dict[str, Any]:
    moved = _MOVED.get((node.get("__module__", ""), node.get("__class__", "")))
    return node if moved is None else node | {"__module__": moved[0], "__class__": moved[1]}
