"""What a training hands to the registry, and what the registry hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from churnrisk.tracking.stored import StoredModel
    from churnrisk.tracking.trials import TrialRecord

CHAMPION = "champion"
CANDIDATE = "candidate"


@dataclass(frozen=True)
class DatasetRecord:
    """One block of the panel that a training read; only its description is logged, never its rows.

    Attributes
    ----------
    block : str
        The part it played. The metrics of the run belong to the block "test".
    first_as_of, last_as_of : datetime
        First and last as-of date in the block, both included.
    rows : int
        Rows, one per (account_id, as_of).
    digest : str
        Fingerprint of the rows.
    """

    block: Literal["fit", "calibration", "policy", "test"]
    first_as_of: datetime
    last_as_of: datetime
    rows: int
    digest: str

    def __post_init__(self) -> None:
        if self.last_as_of < self.first_as_of:
            raise UsageError(
                f"dataset block {self.block!r}: expected first_as_of <= last_as_of, found "
                f"{self.first_as_of:%Y-%m-%d} and {self.last_as_of:%Y-%m-%d}; swap the two dates"
            )

    @property
    def name(self) -> str:
        """``panel-fit-2025-05-01..2025-12-27``."""
        return f"panel-{self.block}-{self.first_as_of:%Y-%m-%d}..{self.last_as_of:%Y-%m-%d}"


@dataclass(frozen=True)
class TrainingRecord:
    """Everything worth keeping of one training.

    Attributes
    ----------
    classifier : object
        A fitted scikit-learn classifier with ``predict_proba``.
    X_example : DataFrame
        A few rows as the classifier takes them: numbers, booleans, and strings or categories.
    params : dict
        Settings of the training; values are logged as text.
    metrics : dict of str to float
        On the test block. Characters that MLflow does not take in a name become ``_``.
    datasets : tuple of DatasetRecord
        The blocks of the panel.
    trials : tuple of TrialRecord
        The candidates that were compared; each becomes a run below that of the training.
    figures : dict of str to matplotlib Figure
        Logged as ``plots/<name>.png``.
    texts : dict of str to str
        File name → text; ``model_card.md`` is shown on the pages of the run and of the version too.
    jsons : dict of str to object
        File name → plain data; ``policy.json``, ``profile.json`` and ``features.json`` come back from
        :meth:`churnrisk.tracking.Tracking.load`.
    tags : dict of str to str
        Data digest, code version, seed, catalogue digest; put on the run and on the model version.
    run_name : str or None
        Name of the run for people; MLflow invents one when it is None.
    """

    classifier: Any
    X_example: pd.DataFrame
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: tuple[DatasetRecord, ...] = ()
    trials: tuple[TrialRecord, ...] = ()
    figures: dict[str, Figure] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    jsons: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    run_name: str | None = None

    @property
    def is_churn_model(self) -> bool:
        """True when thresholds and usual ranges are stored too, so that it can tell colours and reasons."""
        return "light" in self.jsons.get("policy.json", {}) and hasattr(self.classifier, "contributions")

    def __post_init__(self) -> None:
        if not hasattr(self.classifier, "predict_proba"):
            raise UsageError(
                f"expected a classifier with predict_proba, found {type(self.classifier).__name__}; "
                "give a scikit-learn classifier that yields probabilities"
            )
        if self.X_example.empty:
            raise UsageError("expected at least one example row, found none; pass X.head()")


@dataclass(frozen=True)
class ModelVersionInfo:
    """One registered version of the model.

    ``created`` is in UTC; ``metrics`` are those of its run; ``tags`` are the version's own.
    """

    version: int
    created: datetime
    aliases: tuple[str, ...]
    metrics: dict[str, float]
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class LoadedModel:
    """A model version ready to score, with everything that was stored beside it.

    Attributes
    ----------
    classifier : object
        The fitted classifier.
    policy, profile : dict
        ``policy.json`` and ``profile.json``; empty when the training stored none.
    features : list
        ``features.json``: the catalogue that the model was trained with. The caller compares it with
        the catalogue of today.
    documents : dict of str to object
        All JSON documents by file name.
    version : int
        The registered version.
    run_id : str
        The MLflow run of the training.
    tags : dict of str to str
        Tags of the version.
    """

    classifier: Any
    policy: dict[str, Any]
    profile: dict[str, Any]
    features: list[Any]
    documents: dict[str, Any]
    version: int
    run_id: str
    tags: dict[str, str]

    def predict(self, X: Any, *, top: int = 3) -> pd.DataFrame:
        """Return probability, colour and reasons of each row; see :func:`churnrisk.tracking.answers.answers`."""
        from churnrisk.tracking.answers import answers

        return answers(self, X, top=top)


class Models(Protocol):
    """Where models come from: the registry, or a bundle."""

    def load(self, alias_or_version: str | int = CHAMPION) -> LoadedModel:
        """Return a model by its alias or version."""

    def stored(self, alias_or_version: str | int = CHAMPION) -> StoredModel:
        """Return the files of a model; nothing in them is built."""
