"""The models of an open project: trained, stored, measured, promoted, repeated."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from churnrisk.library.history import Opened
from churnrisk.library.training import Training
from churnrisk.tracking import CANDIDATE, CHAMPION, LoadedModel, ModelVersionInfo

if TYPE_CHECKING:
    from churnrisk.workflows.compare import Comparison
    from churnrisk.workflows.evaluate import EvaluationReport
    from churnrisk.workflows.promote import Promotion
    from churnrisk.workflows.reproduce import Reproduction


class ProjectModels:
    """The part of an open project that is about its models."""

    def train(self: Opened) -> Training:
        """Train on every mature snapshot and register the model as the candidate.

        Raises
        ------
        ContractError
            If the tables break the contract or do not hold enough to train on.
        """
        from churnrisk.workflows.train import train

        trained, info = train(self.settings, **self._run)
        return Training(**{field.name: getattr(trained, field.name) for field in fields(trained)}, info=info)

    def model(self: Opened, version: str | int = CHAMPION) -> LoadedModel:
        """Return a stored model: ``predict(X)`` gives probability, colour and reasons of each row.

        Parameters
        ----------
        version : str or int
            "champion", "candidate" or the number of a version.

        Raises
        ------
        NoChampionError
            If there is no such model.
        """
        from churnrisk.workflows.train import tracking_of

        return tracking_of(self.settings).load(version)

    def models(self: Opened) -> list[ModelVersionInfo]:
        """Return all versions with their figures, newest first; empty before the first training."""
        from churnrisk.workflows.train import tracking_of

        return tracking_of(self.settings).versions()

    def evaluate(self: Opened, version: str | int = CHAMPION) -> EvaluationReport:
        """Measure a stored model on the test block beside the base rate, the recency rule and the champion.

        Raises
        ------
        NoChampionError
            If there is no such model.
        """
        from churnrisk.workflows.evaluate import evaluate_model

        return evaluate_model(self.settings, version=str(version), **self._run)

    def compare(self: Opened, first: str | int, second: str | int) -> Comparison:
        """Put two versions or runs side by side on rows that neither has learned from.

        Raises
        ------
        UsageError
            If the two are one and the same.
        """
        from churnrisk.workflows.compare import compare

        return compare(self.settings, str(first), str(second), **self._run)

    def reproduce(self: Opened, version: str | int = CHAMPION) -> Reproduction:
        """Train again as a version was trained, and say whether the same model comes out, bit for bit.

        Raises
        ------
        ContractError
            If the tables are no longer those of the training.
        """
        from churnrisk.workflows.reproduce import reproduce

        return reproduce(self.settings, str(version), progress=self._run["progress"])

    def promote(
        self: Opened,
        version: str | int = CANDIDATE,
        *,
        author: str,
        force: bool = False,
        dry_run: bool = False,
    ) -> Promotion:
        """Make a version the champion unless it is clearly worse; the decision is recorded with its evidence.

        Raises
        ------
        GuardError
            If it is worse beyond the interval of the paired bootstrap, and ``force`` is not given.
        """
        from churnrisk.workflows.promote import promote

        return promote(
            self.settings, version=str(version), author=author, force=force, dry_run=dry_run, **self._run
        )

    def rollback(self: Opened, *, author: str, reason: str) -> ModelVersionInfo:
        """Return to the champion before the present one.

        Raises
        ------
        UsageError
            If there is none.
        """
        from churnrisk.workflows.promote import rollback

        return rollback(self.settings, author=author, reason=reason, now=self._run["now"])
