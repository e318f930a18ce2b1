"""What ``mlflow.pyfunc.load_model`` and ``mlflow models serve`` load, and the signatures that go with it.

MLflow imports this module by its name, which stands in every stored MLmodel file. The model is read through our
allow-list, whatever that file says of trusted types; no pickle is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from churnrisk.tracking.stored import PREDICTED, LoadedModel, read_folder

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

#: What MLmodel names as the loader.
LOADER = __name__


@dataclass(frozen=True)
class ServedModel:
    """A stored model behind MLflow's interface."""

    model: LoadedModel

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return what :meth:`LoadedModel.predict` does; ``params`` are ignored."""
        return self.model.predict(rows)


def _load_pyfunc(path: str) -> ServedModel:
    """Load the model folder, for MLflow."""
    return ServedModel(read_folder(Path(path), version=0, run_id="", tags={}).built())


def serve_answers(description: Model, X: pd.DataFrame) -> None:
    """Make a stored scikit-learn model answer with probability, colour and reasons when it is served."""
    from mlflow import pyfunc

    flavour = description.flavors[pyfunc.FLAVOR_NAME]
    flavour[pyfunc.MAIN] = LOADER
    flavour["predict_fn"] = "predict"
    flavour.pop("model_path", None)
    description.signature = _answer_signature(X)


def plain_example(X: pd.DataFrame) -> pd.DataFrame:
    """Cast rows to the types of the signature: float64, bool and str; missing values stay missing."""
    return pd.DataFrame({str(name): _plain(column) for name, column in X.items()}, index=X.index)


def _plain(column: pd.Series) -> pd.Series:
    if is_bool_dtype(column.dtype) and not column.isna().any():
        return column.astype(bool)
    if is_numeric_dtype(column.dtype):
        return column.astype("float64")
    return column.astype(object).map(str, na_action="ignore").astype(object)


def probability_signature(X: pd.DataFrame) -> ModelSignature:
    """Return the signature of ``predict_proba``, which MLflow infers wrongly: optional columns in, (n, 2) out."""
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, Schema, TensorSpec

    outputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype("float64"), (-1, 2))]
    return ModelSignature(inputs=_inputs(X, DataType.string), outputs=Schema(outputs))


def _answer_signature(X: pd.DataFrame) -> ModelSignature:
    """Return the signature of answers; names are "any", as MLflow takes no pandas category for a string."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array

    text = DataType.string
    anything = AnyType()  # type: ignore[no-untyped-call]
    kinds = (DataType.double, text, text, anything, Array(text))
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(kind, name=name, required=not isinstance(kind, AnyType))  # type: ignore[arg-type]
        for kind, name in zip(kinds, PREDICTED, strict=True)
    ]
    return ModelSignature(inputs=_inputs(X, anything), outputs=Schema(outputs))


def _inputs(X: pd.DataFrame, named: Any) -> Schema:
    from mlflow.types import ColSpec, DataType, Schema

    kinds = {"f": DataType.double, "b": DataType.boolean, "O": named}
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(kinds[column.dtype.kind], name=str(name), required=False)
        for name, column in plain_example(X).items()
    ]
    return Schema(inputs)
