"""A project that is open: everything that a data scientist does with it, one method each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from churnrisk.errors import ContractError
from churnrisk.library.frames import Scratch
from churnrisk.library.history import ProjectHistory
from churnrisk.library.models import ProjectModels
from churnrisk.library.signals import Signal
from churnrisk.workflows.panel import TrainingPanel, training_panel
from churnrisk.workflows.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from churnrisk.model import Blocks, ChurnClassifier, PanelSplit
    from churnrisk.records import Feature, RedList
    from churnrisk.workflows.check import CheckReport
    from churnrisk.workflows.score import Scored


class OpenProject(ProjectModels, ProjectHistory):
    """An open project; made by :func:`churnrisk.load`.

    Attributes
    ----------
    settings : Project
        The validated settings and where things live.
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
        self._progress = progress or _in_silence
        # A project of frames lives in a folder that goes with the last object that needs it.
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
        from churnrisk.workflows.check import check

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
        import pandas as pd

        from churnrisk.workflows.features import catalogue_report

        rows = catalogue_report(self.settings, **self._run).rows
        table = [
            {
                "signal": row.feature.name,
                "family": row.feature.family,
                "meaning": row.feature.label,
                "unit": row.feature.unit,
                "monotone": row.feature.monotone,
                "coverage": row.coverage,
                "drift": row.drift,
                "auc": row.auc.value if row.auc else None,
                "auc_low": row.auc.low if row.auc else None,
                "auc_high": row.auc.high if row.auc else None,
            }
            for row in rows
        ]
        return pd.DataFrame(table).set_index("signal")

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
            If a signal changes when everything from an as-of date on is cut away; it is named.
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
            Of :class:`churnrisk.ChurnClassifier`; they go first.
        """
        from churnrisk.workflows.train import unfitted

        return unfitted(self.settings, features).set_params(**parameters)  # type: ignore[no-any-return]

    def splitter(self, n_splits: int = 3) -> PanelSplit:
        """Return time-ordered folds with the project's embargo, for ``cv=`` of any scikit-learn search."""
        from churnrisk.model import PanelSplit

        return PanelSplit(n_splits, embargo_days=self.settings.churn.outcome_delay.days)

    def blocks(self, panel: TrainingPanel) -> Blocks:
        """Return the rows that :meth:`train` fits, calibrates and tests on, as masks over the panel.

        Raises
        ------
        ContractError
            If the history is too short for three blocks.
        """
        from churnrisk.workflows.train import cut_blocks

        return cut_blocks(panel.X, self.settings)

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


def _refuse_leaks(report: CheckReport, names: Sequence[str]) -> None:
    found = [leak for leak in report.leaks or () if leak.feature in names]
    if found:
        told = "; ".join(
            f"{leak.feature} changes for {leak.accounts:,} accounts, such as {leak.example}" for leak in found
        )
        raise ContractError(
            f"expected signals that know the past only, found that the future shows when it is cut away: {told}. "
            "Let its SQL read only what was known before as_of, or leave it out."
        )


def _in_silence(_: str) -> None:
    """Say nothing."""
