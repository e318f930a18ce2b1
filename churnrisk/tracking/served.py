"""The python_function flavour of a stored model: what ``mlflow.pyfunc.load_model`` and ``mlflow models serve`` load.

MLflow imports this module by the name in the model's MLmodel file. It reads the files of the model through our
allow-list, whatever that file says of trusted types; no pickle is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnrisk.tracking.record import LoadedModel
from churnrisk.tracking.stored import read_folder

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model, ModelSignature

#: What MLmodel names as the loader.
LOADER = __name__


@dataclass(frozen=True)
class ServedModel:
    """A stored model behind MLflow's interface."""

    model: LoadedModel

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return churn_probability, colour, decided_by, rule and reasons of each row; see :meth:`LoadedModel.predict`.

        Parameters
        ----------
        rows : DataFrame
            The model's columns.
        params : ignored
        """
        return self.model.predict(rows)


def _load_pyfunc(path: str) -> ServedModel:
    """Load the model folder, for MLflow.

    Raises
    ------
    ChurnRiskError
        If the model is not in skops format, holds types that are not trusted, or is damaged.
    """
    return ServedModel(read_folder(Path(path), version=0, run_id="", tags={}).built())


def serve_answers(description: Model, signature: ModelSignature) -> None:
    """Make a stored scikit-learn model answer with probability, colour and reasons when it is served."""
    from mlflow import pyfunc

    flavour = description.flavors[pyfunc.FLAVOR_NAME]
    flavour[pyfunc.MAIN] = LOADER
    flavour["predict_fn"] = "predict"
    flavour.pop("model_path", None)
    description.signature = signature
