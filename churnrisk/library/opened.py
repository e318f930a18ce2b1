"""A project that is open: everything that a data scientist does with it, one method each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from weakref import finalize

import pandas as pd

from churnrisk.errors import ContractError
from churnrisk.features import OwnFeature
from churnrisk.model import PanelSplit
from churnrisk.tracking import CANDIDATE, CHAMPION, LoadedModel, ModelVersionInfo
from churnrisk.workflows.backtest import backtest
from churnrisk.workflows.check import CheckReport, check
from churnrisk.workflows.compare import Comparison, compare
from churnrisk.workflows.evaluate import EvaluationReport, evaluate_model
from churnrisk.workflows.features import catalogue_report
from churnrisk.workflows.panel import TrainingPanel, checked_tables, training_panel
from churnrisk.workflows.project import Project
from churnrisk.workflows.promote import Promotion, promote, rollback
from churnrisk.workflows.reproduce import Reproduction, reproduce
from churnrisk.workflows.train import Training, cut_blocks, tracking_of, train, unfitted

if TYPE_CHECKING:
    from churnrisk.model import Blocks, ChurnClassifier
    from churnrisk.records import Feature, RedList
    from churnrisk.workflows.account import AccountView
    from churnrisk.workflows.missed import Ledger
    from churnrisk.workflows.score import Scored

#: A signal of the user's own, declared in Python: the same record as ``[[features.own]]`` in churnrisk.toml.
Signal = OwnFeature


class Scratch:
    """A temporary project folder, removed with the last object that needs it."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="churnrisk-"))
        # Not a TemporaryDirectory, which warns when it is not closed by hand.
        finalize(self, rmtree, self.path, ignore_errors=True)


class OpenProject:
    """An open project; made by :func:`churnrisk.load`.

    Attributes
    ----------
    settings : Project
        The validated settings and where models, store and data live.
    """

    def __init__(
        self,
        settings: Project,
        *,
        now: datetime | None = None,
        progress: Callable[[str], None] | None = None,
        scratch: Scratch | None = None,
    ) -> None:
        self.settings = settings
        self._now = now
        self._progress = progress or (lambda _: None)
        self._scratch = scratch

    def __repr__(self) -> str:
        churn = self.settings.churn
        return (
            f"<churnrisk project {self.settings.name!r}: {', '.join(self.settings.tables)}; "
            f"{churn.definition} within {churn.horizon_days} days>"
        )

    @property
    def _run(self) -> dict[str, Any]:
        return {"now": self._now or datetime.now(), "progress": self._progress}

    # -- the data -----------------------------------------------------------------------------------------

    def check(self, *, leaks: bool = False) -> CheckReport:
        """Check the tables against the contract and, with ``leaks``, every signal by cutting away the future.

        Raises
        ------
        ContractError
            If the tables cannot be opened at all.
        """
        return check(self.settings, leaks=leaks, **self._run)

    def panel(self) -> TrainingPanel:
        """Return what a model learns from: ``X`` indexed by (account_id, as_of), ``y``, ``groups``, ``value``.

        Raises
        ------
        ContractError
            If the tables break the contract, or hold no eligible account with a known outcome.
        """
        return training_panel(self.settings, **self._run, looking_back=self._now is not None)

    def signals(self) -> pd.DataFrame:
        """Return the signals in use, worth most first: meaning, coverage, drift and AUC of each alone."""
        rows = [row.to_dict() for row in catalogue_report(self.settings, **self._run).rows]
        columns = ["family", "meaning", "unit", "monotone", "coverage", "drift", "auc", "auc_low", "auc_high"]
        return pd.DataFrame(rows).set_index("feature").rename_axis("signal")[columns]

    def with_features(self, signals: Sequence[Signal], *, check_leaks: bool = True) -> OpenProject:
        """Return the project with signals of your own, after checking on its data that none sees the future.

        Parameters
        ----------
        signals : sequence of Signal
            As under ``[[features.own]]`` in churnrisk.toml; they get the same reasons, docs and constraints.
        check_leaks : bool, default True
            False leaves the check to you (:meth:`check`).

        Raises
        ------
        ContractError
            Names the signals that change when everything from an as-of date on is cut away.
        UsageError
            If a name is taken, or the SQL is not understood.
        """
        own = (*self.settings.features.own, *signals)
        wider = OpenProject(
            replace(self.settings, features=replace(self.settings.features, own=own)),
            now=self._now,
            progress=self._progress,
            scratch=self._scratch,
        )
        if check_leaks:
            _refuse_leaks(wider.check(leaks=True), [signal.name for signal in signals])
        return wider

    # -- parts for scikit-learn ---------------------------------------------------------------------------

    def classifier(self, features: Sequence[Feature] = (), **parameters: Any) -> ChurnClassifier:
        """Return an unfitted classifier with the project's candidates, embargo and seed.

        Parameters
        ----------
        features : sequence of Feature
            ``panel.features``: their directions become constraints.
        **parameters
            Of :class:`churnrisk.ChurnClassifier`; they override the project's.
        """
        return unfitted(self.settings, features).set_params(**parameters)  # type: ignore[no-any-return]

    def splitter(self, n_splits: int = 3) -> PanelSplit:
        """Return time-ordered folds with the project's embargo, for ``cv=`` of any scikit-learn search."""
        return PanelSplit(n_splits, embargo_days=self.settings.churn.outcome_delay.days)

    def blocks(self, panel: TrainingPanel) -> Blocks:
        """Return the rows that :meth:`train` fits, calibrates and tests on, as masks over the panel.

        Raises
        ------
        ContractError
            If the history is too short for three blocks.
        """
        return cut_blocks(panel.X, self.settings)

    # -- the model ----------------------------------------------------------------------------------------

    def train(self) -> Training:
        """Train on every mature snapshot and register the model as the candidate.

        Raises
        ------
        ContractError
            If the tables break the contract or do not hold enough to train on.
        """
        return train(self.settings, **self._run)

    def model(self, version: str | int = CHAMPION) -> LoadedModel:
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
        return tracking_of(self.settings).load(version)

    def models(self) -> list[ModelVersionInfo]:
        """Return all versions with their figures, newest first; empty before the first training."""
        return tracking_of(self.settings).versions()

    def evaluate(self, version: str | int = CHAMPION) -> EvaluationReport:
        """Measure a stored model on the test block beside the base rate, the recency rule and the champion.

        Raises
        ------
        NoChampionError
            If there is no such model.
        """
        return evaluate_model(self.settings, version=str(version), **self._run)

    def compare(self, first: str | int, second: str | int) -> Comparison:
        """Put two versions or runs side by side on rows that neither has learned from.

        Raises
        ------
        UsageError
            If both are the same version.
        """
        return compare(self.settings, str(first), str(second), **self._run)

    def reproduce(self, version: str | int = CHAMPION) -> Reproduction:
        """Train again as a version was trained, and compare the two models bit for bit.

        Raises
        ------
        ContractError
            If the tables are no longer those of the training.
        """
        return reproduce(self.settings, str(version), progress=self._run["progress"])

    def promote(
        self,
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
        return promote(
            self.settings, version=str(version), author=author, force=force, dry_run=dry_run, **self._run
        )

    def rollback(self, *, author: str, reason: str) -> ModelVersionInfo:
        """Return to the champion before the present one.

        Raises
        ------
        UsageError
            If there is none.
        """
        return rollback(self.settings, author=author, reason=reason, now=self._run["now"])

    # -- the daily list -----------------------------------------------------------------------------------

    def score(
        self, as_of: date | None = None, *, dry_run: bool = False, forced_by: str | None = None
    ) -> Scored:
        """Score every account at one as-of date with the champion and publish the run.

        Parameters
        ----------
        as_of : date, optional
            Default: the latest that the data allow.
        dry_run : bool
            Compute, but publish nothing.
        forced_by : str, optional
            Who overrides the guard on the colour mix.

        Raises
        ------
        NoChampionError
            If no model is champion.
        """
        import pyarrow as pa

        from churnrisk.workflows.score import score

        parts: list[pa.Table] = []
        scored = score(
            self.settings, as_of=as_of, dry_run=dry_run, forced_by=forced_by, take=parts.extend, **self._run
        )
        return replace(scored, scores=pa.concat_tables(parts).to_pandas()) if parts else scored

    def redlist(self, as_of: date | None = None, *, limit: int | None = None) -> RedList:
        """Return the red list of a published run: its totals and its rows.

        Raises
        ------
        UsageError
            If nothing has been published (for that date).
        """
        from churnrisk.history import RedListQuery
        from churnrisk.workflows.worklist import red_list

        return red_list(self.settings, as_of=as_of, query=RedListQuery(), now=self._run["now"], limit=limit)

    # -- what became of it --------------------------------------------------------------------------------

    def lifetimes(self) -> pd.DataFrame:
        """Return one life per account: began_at, days, entered and lost, for :func:`churnrisk.plots.plot_survival`.

        Raises
        ------
        ContractError
            If the tables break the contract.
        """
        from churnrisk.snapshots import lifetimes

        with checked_tables(self.settings, **self._run) as checked:
            self._progress("reading when accounts were lost")
            return lifetimes(checked.tables, self.settings.churn, data_end=checked.span.end)

    def backtest(self) -> pd.DataFrame:
        """Return what the colours promised at every past snapshot and what happened, one row per (as_of, colour).

        Raises
        ------
        ContractError
            If the history is too short.
        """
        return pd.DataFrame([asdict(row) for row in backtest(self.settings, **self._run).rows])

    def account(self, account_id: str) -> AccountView:
        """Return one account by the published runs: reasons, what would turn it, history.

        Raises
        ------
        UsageError
            If no run knows the account.
        """
        from churnrisk.workflows.account import account_view

        return account_view(self.settings, account_id, now=self._run["now"])

    def missed(self) -> Ledger:
        """Return what the published runs said about every lost account 30, 60 and 90 days before.

        Raises
        ------
        UsageError
            If nothing has been scored yet.
        """
        from churnrisk.workflows.missed import missed_churners

        return missed_churners(self.settings, **self._run)


def _refuse_leaks(report: CheckReport, names: Sequence[str]) -> None:
    found = [leak for leak in report.leaks or () if leak.feature in names]
    if found:
        changed = "; ".join(
            f"{leak.feature} changes for {leak.accounts:,} accounts, such as {leak.example}" for leak in found
        )
        raise ContractError(
            f"expected signals that know the past only, found some that change when the future is cut away: {changed}. "
            "Let its SQL read only what was known before as_of, or leave it out."
        )
