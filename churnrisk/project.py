"""The public facade: load a project, work with it in Python, explain any fitted model."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from weakref import finalize

import narwhals as nw
import pandas as pd
import pyarrow as pa

from churnrisk import training
from churnrisk.contract import TABLES
from churnrisk.errors import ContractError, ModelInputError, UsageError
from churnrisk.features import OwnFeature
from churnrisk.files import write_whole
from churnrisk.model import PanelSplit, ReasonProfile
from churnrisk.model import explain as explain_rows
from churnrisk.records import Feature
from churnrisk.settings import FILE_NAME, Project, project_in, read_toml, validated
from churnrisk.tracking import CANDIDATE, CHAMPION, LoadedModel, ModelVersionInfo

if TYPE_CHECKING:
    from churnrisk.model import Blocks, ChurnClassifier
    from churnrisk.records import RedList
    from churnrisk.scoring import ScoringResult
    from churnrisk.team import AccountView, MissedChurners

#: A signal of the user's own, declared in Python: the same record as ``[[features.own]]`` in churnrisk.toml.
Signal = OwnFeature
#: Folder inside the project folder for tables that were given as frames.
FOLDER = ".churnrisk/frames"


class Scratch:
    """A temporary project folder, removed with the last object that needs it."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="churnrisk-"))
        # Not a TemporaryDirectory, which warns when it is not closed by hand.
        finalize(self, rmtree, self.path, ignore_errors=True)


class OpenProject:
    """An open project; made by :func:`churnrisk.load`.

    Methods raise a ContractError if the tables break the contract or hold too little, a NoChampionError if there is no
    such model, and a UsageError if there is no such version, run or account.

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

    def check(self, *, leaks: bool = False) -> training.CheckReport:
        """Check the tables against the contract and, with ``leaks``, every signal for what it cannot have known."""
        return training.check(self.settings, leaks=leaks, **self._run)

    def panel(self) -> training.TrainingPanel:
        """Return what a model learns from: ``X`` indexed by (account_id, as_of), ``y``, ``groups``, ``value``."""
        return training.training_panel(self.settings, **self._run, looking_back=self._now is not None)

    def signals(self) -> pd.DataFrame:
        """Return all signals, worth most first: meaning, coverage, drift, AUC of each alone, whether it is left out."""
        rows = [row.to_dict() for row in training.catalogue_report(self.settings, **self._run).rows]
        columns = [
            "family",
            "meaning",
            "unit",
            "monotone",
            "coverage",
            "drift",
            "auc",
            "auc_low",
            "auc_high",
            "left_out",
        ]
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
            Names the signals that change when everything from an as-of date on is cut away, and those that tell the
            outcome so well that they must be leaks, unless ``features={"trust": [...]}`` names them.
        UsageError
            If a name is taken, or the SQL is not understood.
        """
        own = (*self.settings.features.own, *signals)
        settings = replace(self.settings, features=replace(self.settings.features, own=own))
        wider = OpenProject(settings, now=self._now, progress=self._progress, scratch=self._scratch)
        if check_leaks:
            _refuse_leaks(wider.check(leaks=True), [signal.name for signal in signals])
        return wider

    def classifier(self, features: Sequence[Feature] = (), **parameters: Any) -> ChurnClassifier:
        """Return an unfitted classifier with the project's candidates, embargo and seed.

        Parameters
        ----------
        features : sequence of Feature
            ``panel.features``: their directions become constraints.
        **parameters
            Of :class:`churnrisk.ChurnClassifier`; they override the project's.
        """
        return training.unfitted(self.settings, features).set_params(**parameters)  # type: ignore[no-any-return]

    def splitter(self, n_splits: int = 3) -> PanelSplit:
        """Return time-ordered folds with the project's embargo, for ``cv=`` of any scikit-learn search."""
        return PanelSplit(n_splits, embargo_days=self.settings.churn.outcome_delay.days)

    def blocks(self, panel: training.TrainingPanel) -> Blocks:
        """Return the rows that :meth:`train` fits, calibrates and tests on, as masks over the panel."""
        return training.CutPanel.of(self.settings, panel).cut

    def train(self) -> training.Training:
        """Train on every mature snapshot and register the model as the candidate."""
        return training.train(self.settings, **self._run)

    def model(self, version: str | int = CHAMPION) -> LoadedModel:
        """Return a stored model: ``predict(X)`` gives probability, colour and reasons of each row.

        Parameters
        ----------
        version : str or int
            "champion", "candidate" or the number of a version.
        """
        return training.tracking_of(self.settings).load(version)

    def models(self) -> list[ModelVersionInfo]:
        """Return all versions with their figures, newest first; empty before the first training."""
        return training.tracking_of(self.settings).versions()

    def evaluate(self, version: str | int | None = None) -> training.EvaluationReport:
        """Measure a stored model on the test block beside the base rate, the recency rule and the champion.

        Without a version it is the champion, or the candidate before the first promotion.
        """
        named = None if version is None else str(version)
        return training.evaluate_model(self.settings, version=named, **self._run)

    def compare(self, first: str | int, second: str | int) -> training.Comparison:
        """Put two versions or runs side by side on rows that neither has learned from."""
        return training.compare(self.settings, str(first), str(second), **self._run)

    def reproduce(self, version: str | int = CHAMPION) -> training.Reproduction:
        """Train again as a version was trained, and compare the two models bit for bit.

        Raises
        ------
        ContractError
            If the tables are no longer those of the training.
        """
        return training.reproduce(self.settings, str(version), progress=self._run["progress"])

    def promote(
        self,
        version: str | int = CANDIDATE,
        *,
        author: str,
        force: bool = False,
        dry_run: bool = False,
    ) -> training.Promotion:
        """Make a version the champion unless it is clearly worse; the decision is recorded with its evidence.

        Raises
        ------
        GuardError
            If it is worse beyond the interval of the paired bootstrap, and ``force`` is not given.
        """
        return training.promote(
            self.settings, version=str(version), author=author, force=force, dry_run=dry_run, **self._run
        )

    def rollback(self, *, author: str, reason: str) -> ModelVersionInfo:
        """Return to the champion before the present one; a UsageError if there is none."""
        return training.rollback(self.settings, author=author, reason=reason, now=self._run["now"])

    def score(
        self,
        as_of: date | None = None,
        *,
        dry_run: bool = False,
        forced_by: str | None = None,
        rules_only: bool = False,
    ) -> ScoringResult:
        """Score every account at one as-of date with the champion and publish the run.

        Parameters
        ----------
        as_of : date, optional
            Default: the latest that the data allow.
        dry_run : bool
            Compute, but publish nothing.
        forced_by : str, optional
            Who overrides the guard on the colour mix.
        rules_only : bool
            For a company too young for a model: the rules alone colour (open complaints, silence, dissatisfaction),
            and no account has a probability; what no rule speaks of is grey. A UsageError where there is a champion.

        Raises
        ------
        NoChampionError, ContractError, GuardError
            If no model is champion, the tables break the contract, or the colour mix jumps too far.
        """
        from churnrisk.scoring import score

        parts: list[pa.Table] = []
        scored = score(
            self.settings,
            as_of=as_of,
            dry_run=dry_run,
            forced_by=forced_by,
            take=parts.extend,
            rules_only=rules_only,
            **self._run,
        )
        return replace(scored, scores=pa.concat_tables(parts).to_pandas()) if parts else scored

    def redlist(self, as_of: date | None = None, *, limit: int | None = None) -> RedList:
        """Return the red list of a published run (default: the latest): its totals and its rows."""
        from churnrisk.records import RedListQuery
        from churnrisk.team import red_list

        return red_list(self.settings, as_of=as_of, query=RedListQuery(), now=self._run["now"], limit=limit)

    def lifetimes(self) -> pd.DataFrame:
        """Return one life per account: began_at, days, entered and lost, for :func:`churnrisk.plots.plot_survival`."""
        from churnrisk.snapshots import lifetimes

        with training.checked_tables(self.settings, **self._run) as checked:
            self._progress("reading when accounts were lost")
            return lifetimes(checked.tables, self.settings.churn, data_end=checked.span.end)

    def backtest(self) -> pd.DataFrame:
        """Return what the colours promised at every past snapshot and what happened, one row per (as_of, colour)."""
        return pd.DataFrame([asdict(row) for row in training.backtest(self.settings, **self._run).rows])

    def account(self, account_id: str) -> AccountView:
        """Return one account by the published runs: reasons, what would turn it, history."""
        from churnrisk.team import account_view

        return account_view(self.settings, account_id, now=self._run["now"])

    def missed(self) -> MissedChurners:
        """Return what the published runs said about every lost account 30, 60 and 90 days before."""
        from churnrisk.team import missed_churners

        return missed_churners(self.settings, **self._run)


def _refuse_leaks(report: training.CheckReport, names: Sequence[str]) -> None:
    if changed := "; ".join(leak.text for leak in report.leaks or () if leak.feature in names):
        raise ContractError(
            f"expected signals that know the past only, found some that change when the future is cut away: {changed}. "
            "Let its SQL read only what was known before as_of, or leave it out."
        )
    if telling := "; ".join(one.text for one in report.suspects if one.left_out and one.feature in names):
        raise ContractError(f"expected signals that do not tell the outcome by themselves: {telling}.")


def load(
    directory: str | Path | None = None,
    *,
    data: str | Path | None = None,
    tables: Mapping[str, Any] | None = None,
    columns: Mapping[str, Mapping[str, str | Sequence[str]]] | None = None,
    horizon_days: int | None = None,
    gap_days: int | None = None,
    now: datetime | None = None,
    progress: Callable[[str], None] | None = None,
    **sections: Mapping[str, Any],
) -> OpenProject:
    """Open a project.

    Parameters
    ----------
    directory : str or Path, optional
        The project folder, by default the current one. Its churnrisk.toml is read if it exists; models and
        store live there. With tables and without a folder the project lives in a temporary one, as long as the object.
    data : str or Path, optional
        Where relative table paths start, like ``--data``; default: ``CHURNRISK_DATA`` or the project folder.
    tables : dict of str to frame, optional
        Contract tables ("accounts", "events" …) as pandas, polars, pyarrow or DuckDB tables; they replace those in
        churnrisk.toml.
    columns : dict of str to dict, optional
        Per table given here, the contract's column names to yours: ``{"events": {"account_id": "CustomerID"}}``; of
        several names the first that is filled counts.
    horizon_days, gap_days : int, optional
        Short for ``churn={"horizon_days": …, "gap_days": …}``.
    now : datetime, optional
        Rows dated later are set aside; default: the time of each call.
    progress : callable, optional
        Called with a text at each step: ``print`` shows it.
    **sections : dict
        Sections of churnrisk.toml (``churn``, ``snapshots``, ``features``, ``model``, ``decision``, ``tracking`` …)
        that override those of the file: ``model={"seed": 7}``.

    Raises
    ------
    UsageError
        If the folder holds no churnrisk.toml and no tables are given, or a setting is not understood.

    Examples
    --------
    >>> import churnrisk as cr
    >>> project = cr.load("data/sample", churn={"horizon_days": 60})
    >>> project.settings.churn.horizon_days
    60
    """
    scratch = Scratch() if directory is None and tables is not None else None
    folder = scratch.path if scratch else Path(directory or "")
    file = folder / FILE_NAME
    if tables is None and not file.is_file():
        raise UsageError(
            f"expected a project folder with a {FILE_NAME}, or tables, found neither: "
            f"{folder.resolve()} holds none. "
            'Write `load("acme")`, or `load(tables={"accounts": …, "events": …})`.'
        )
    raw = read_toml(file.read_bytes(), origin=str(file)) if file.is_file() else {}
    _require_mappings({**sections, "columns": columns or {}, "tables": tables or {}})
    if isinstance(raw.get("engine"), str):  # so that load(engine={...}) adds to it
        raw["engine"] = {"name": raw["engine"]}
    windows = {"horizon_days": horizon_days, "gap_days": gap_days}
    churn = {name: days for name, days in windows.items() if days is not None}
    for name, section in {**sections, "churn": {**sections.get("churn", {}), **churn}}.items():
        raw[name] = {**raw.get(name, {}), **section} if isinstance(section, Mapping) else section
    if tables is not None:
        raw["tables"] = _write_tables(tables, folder.resolve())
    _map_columns(raw.setdefault("tables", {}), columns or {})
    base = None if data is None else Path(data)
    project = project_in(validated(raw, origin="what load() was given"), folder, data=base)
    return OpenProject(project, now=now, progress=progress, scratch=scratch)


def _require_mappings(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, Mapping) or (name == "engine" and isinstance(value, str)):
            continue
        raise UsageError(f"[{name}]: expected settings as a dict, found {value!r:.80}. Write {name}={{…}}.")


def _map_columns(tables: dict[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> None:
    if unknown := sorted(set(columns) - set(tables)):
        raise UsageError(
            f"columns names {', '.join(unknown)}, found the tables {', '.join(tables) or 'none'}. "
            "Name a table that you give."
        )
    _require_mappings(columns)
    for name, mapping in columns.items():
        tables[name] = {**tables[name], "columns": dict(mapping)}


def _write_tables(tables: Mapping[str, Any], folder: Path) -> dict[str, dict[str, str]]:
    """Write frames as Parquet files and return how churnrisk.toml would name them."""
    if unknown := sorted(str(name) for name in tables if name not in TABLES):
        raise UsageError(
            f"expected contract tables ({', '.join(TABLES)}), found {', '.join(unknown)}. Correct the names."
        )
    return {name: {"path": str(_write(name, table, folder))} for name, table in tables.items()}


def _write(name: str, table: Any, folder: Path) -> Path:
    import pyarrow.parquet as parquet

    try:
        buffer = io.BytesIO()
        parquet.write_table(as_arrow(table), buffer)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"expected a pandas, polars, pyarrow or DuckDB table for {name!r} with one type per column, found "
            f"{type(table).__module__}.{type(table).__qualname__}: {reason}. Convert it first."
        ) from error
    path = folder / FOLDER / f"{name}.parquet"
    # Left alone where the content stays the same, so that the same frames are the same inputs.
    if not (path.is_file() and path.read_bytes() == buffer.getvalue()):
        write_whole(path, buffer.getvalue())
    return path


def as_arrow(table: Any) -> pa.Table:
    """Return any data frame that narwhals knows as an Arrow table; a TypeError for anything else."""
    names = getattr(getattr(table, "index", None), "names", None)
    if names is not None and hasattr(table, "reset_index"):
        # an index without a name is a row's position, not a value
        levels = [name for name in names if name is not None and name not in table.columns]
        table = (table.reset_index(level=levels) if levels else table).reset_index(drop=True)
    frame = nw.from_native(table)
    return (frame.collect("pyarrow") if isinstance(frame, nw.LazyFrame) else frame).to_arrow()


def explain(
    model: Any,
    X: pd.DataFrame,
    *,
    panel: training.TrainingPanel | None = None,
    features: Sequence[Feature] | None = None,
    top: int = 3,
) -> pd.DataFrame:
    """Return the reasons of each row: what raises its churn probability most, in words.

    Parameters
    ----------
    model : ChurnClassifier, LoadedModel or Trained
        A fitted classifier, ``project.model()``, or the result of ``project.train()``; the last two know their signals
        and what is usual.
    X : DataFrame of shape (n, d)
        Rows of a panel, with index (account_id, as_of).
    panel : TrainingPanel, optional
        For a bare classifier: its signals say what a column means, its retained accounts what is usual. Without it a
        reason names the column.
    features : sequence of Feature, optional
        What the columns mean, if there is no panel.
    top : int, default 3
        Most reasons per row, at most two of one family.

    Returns
    -------
    DataFrame
        One row per (account_id, as_of, rank), which is the index; columns feature, family, text, value,
        contribution (log-odds), usual_low, usual_high.

    Raises
    ------
    ModelInputError
        When `X` has no (account_id, as_of) index or lacks a column, the model is not fitted, or `top` is below 1.
    """
    classifier = getattr(model, "classifier", model)
    read = _columns(classifier, X)
    known: Sequence[Feature] = features if features else getattr(panel or model, "features", ())
    usual = getattr(model, "profile", ReasonProfile({}, {}, {}))
    if panel:
        usual = ReasonProfile.fit(panel.X, panel.y, panel.features)
    rows = X[read]
    flat = explain_rows(classifier.contributions(rows), rows, known, usual, top=top).explode(
        "reasons", ignore_index=True
    )
    names = ("feature", "family", "text", "value", "contribution", "usual_low", "usual_high")
    table = pd.DataFrame({name: [getattr(reason, name) for reason in flat["reasons"]] for name in names})
    keys = [flat["account_id"], flat["as_of"], flat.groupby(["account_id", "as_of"]).cumcount() + 1]
    return table.set_index(pd.MultiIndex.from_arrays(keys, names=["account_id", "as_of", "rank"]))


def _columns(classifier: Any, X: pd.DataFrame) -> list[str]:
    names = getattr(classifier, "feature_names_in_", None)
    if names is None:
        raise ModelInputError("expected a fitted model, found one that is not. Call fit first.")
    if missing := [name for name in names if name not in X]:
        raise ModelInputError(
            f"expected the columns that the model was fitted on, found no {', '.join(missing)}. Give every column."
        )
    return list(names)
