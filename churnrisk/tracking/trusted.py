"""The types that a stored model may consist of; the list is ours and never read from the model."""

from __future__ import annotations

import importlib
import inspect
import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from churnrisk.errors import ChurnRiskError

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
