"""The model's signature, written down rather than inferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from churnrisk.tracking.answers import COLUMNS

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec


def plain_example(X: pd.DataFrame) -> pd.DataFrame:
    """Cast the rows to the types of the signature: float64, bool, and str.

    Parameters
    ----------
    X : DataFrame of shape (n_rows, n_features)
        Rows as the classifier takes them.

    Returns
    -------
    DataFrame of shape (n_rows, n_features)
        Nullable integers become floats, categories become strings, missing values stay missing.
    """
    return pd.DataFrame({str(name): _plain(column) for name, column in X.items()}, index=X.index)


def _plain(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column.dtype) and not column.isna().any():
        return column.astype(bool)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype("float64")
    return column.astype(object).map(str, na_action="ignore").astype(object)


def probability_signature(X: pd.DataFrame) -> ModelSignature:
    """Signature of a classifier whose ``predict_proba`` is served.

    MLflow infers ``long`` for probabilities from an example, and nothing at all when an integer column
    has gaps; so every input is optional and typed here, and the output is float64.

    Parameters
    ----------
    X : DataFrame of shape (n_rows, n_features)
        Rows as the classifier takes them.

    Returns
    -------
    ModelSignature
        Inputs: double, boolean or string by column. Output: float64 of shape (n_rows, 2).
    """
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, Schema, TensorSpec

    outputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype("float64"), (-1, 2))]
    return ModelSignature(inputs=_inputs(X, DataType.string), outputs=Schema(outputs))


def answer_signature(X: pd.DataFrame) -> ModelSignature:
    """Signature of a churn model that is served with colours and reasons.

    Parameters
    ----------
    X : DataFrame of shape (n_rows, n_features)
        Rows as the classifier takes them.

    Returns
    -------
    ModelSignature
        Inputs: double by column, and "any" where the column names something, as MLflow takes no pandas category for
        a string. Outputs by column: see :func:`churnrisk.tracking.answers.answers`.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType, Array

    text = DataType.string
    anything = AnyType()  # type: ignore[no-untyped-call]
    kinds = (DataType.double, text, text, anything, Array(text))
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(kind, name=name, required=not isinstance(kind, AnyType))  # type: ignore[arg-type]
        for kind, name in zip(kinds, COLUMNS, strict=True)
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
