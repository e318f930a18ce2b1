"""What a training stores with its model, and whether a stored model fits today's tables and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.features import FeatureConfig, annual_value, select_features
from churnrisk.files import digest_of
from churnrisk.lights import DecisionConfig, LightVerdict, RuleEvidence, TrafficLight, policy_version
from churnrisk.model import ChurnClassifier, Evaluation, ReasonProfile
from churnrisk.records import Colour, ColourEvidence, Feature, Interval
from churnrisk.settings import ModelConfig, Project
from churnrisk.snapshots import ChurnConfig, SnapshotConfig
from churnrisk.sources import Tables
from churnrisk.tracking import DatasetRecord, LoadedModel, TrainingRecord, TrialRecord
from churnrisk.training.panel import CutPanel, TrainingPanel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Tag of a version: which champion its evaluation measured it against.
COMPARED_WITH = "compared_with"
#: The document that holds the settings of a training.
SETTINGS = "settings.json"
# Where tables come from is left out: it may hold a password, and other machines have their data elsewhere.
_SECTIONS: dict[str, type[Any]] = {
    "churn": ChurnConfig,
    "snapshots": SnapshotConfig,
    "features": FeatureConfig,
    "model": ModelConfig,
    "decision": DecisionConfig,
}
#: What policy.json calls the signals that looked like leaks at the training.
LEFT_OUT = "left_out"
_DRIFT_ROWS = 200_000
#: The most that the log-odds of the stored rows may differ from the stored ones.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Trained:
    """A trained model with everything that was measured about it on the test block.

    ``evidence`` is what happened to the final colours, ``model_evidence`` to the model's own without the rules.
    """

    classifier: ChurnClassifier
    light: TrafficLight
    profile: ReasonProfile
    features: tuple[Feature, ...]
    evaluation: Evaluation
    evidence: tuple[ColourEvidence, ...]
    model_evidence: tuple[ColourEvidence, ...]
    rules: tuple[RuleEvidence, ...]
    light_verdict: LightVerdict
    notes: tuple[str, ...]


def training_record(
    trained: Trained, data: CutPanel, *, champion: LoadedModel | None, now: datetime
) -> TrainingRecord:
    """Return the record of a training; ``champion`` is the one that the evaluation measured beside the model."""
    project, panel, classifier, light = data.project, data.panel, trained.classifier, trained.light
    rules = project.decision.active_rules()
    version = policy_version(light, rules, project.decision.hysteresis_margin)
    example = panel.X[data.cut.test].head(5).reset_index(drop=True)
    return TrainingRecord(
        classifier=classifier,
        X_example=example,
        params={
            "candidate": classifier.chosen_,
            "why": classifier.why_chosen_,
            "calibration": classifier.calibration_,
            "features": len(panel.features),
            "split": project.model.split,
            "seed": project.model.seed,
            **{f"churn.{name}": value for name, value in asdict(project.churn).items()},
            "policy": light.policy,
            "amber_from": light.amber_from_,
            "red_from": light.red_from_,
        },
        metrics=_flat_metrics(trained.evaluation, trained.light_verdict),
        datasets=datasets_of(data),
        trials=_trials(classifier),
        figures=_figures(trained, data),
        texts={"model_card.md": _model_card(trained, panel, project)},
        jsons={
            "policy.json": {
                "light": light.to_dict(),
                "rules": [asdict(rule) for rule in rules],
                "policy_version": version,
                "probe": _probe_of(classifier, example),
                LEFT_OUT: [one.feature for one in panel.suspects if one.left_out],
            },
            "profile.json": trained.profile.to_dict(),
            "features.json": [asdict(feature) for feature in panel.features],
            "evaluation.json": trained.evaluation.to_dict(),
            "evidence.json": [asdict(row) for row in trained.evidence],
            "rules.json": [asdict(row) for row in trained.rules],
            "light_verdict.json": asdict(trained.light_verdict),
            "candidates.json": classifier.cv_results_,
            SETTINGS: {
                "now": now.isoformat(),
                **{name: asdict(getattr(project, name)) for name in _SECTIONS},
            },
        },
        tags={
            "data_digest": panel.digest,
            "catalogue_digest": digest_of(repr([(one.name, one.sql) for one in panel.features]))[:16],
            "code_version": installed("churnrisk"),
            "seed": str(project.model.seed),
            "policy_version": version,
            "churn_definition": project.churn.definition,
            COMPARED_WITH: "none" if champion is None else str(champion.version),
        },
    )


def _flat_metrics(evaluation: Evaluation, light: LightVerdict) -> dict[str, float]:
    """Return every metric and its interval under one name: ``auc``, ``auc_low``, ``recency_rule_auc``."""
    metrics: dict[str, float] = {
        "base_rate": evaluation.base_rate,
        "light_efficiency": light.efficiency,
        "light_efficiency_of_model": light.model_efficiency,
    }
    for scorer, figures in evaluation.figures.items():
        prefix = "" if scorer == "model" else scorer.replace(" ", "_") + "_"
        for name, interval in figures.items():
            metrics[f"{prefix}{name}"] = interval.value
            if scorer == "model":
                metrics |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def datasets_of(data: CutPanel) -> tuple[DatasetRecord, ...]:
    """Return the blocks, each with a digest of its rows and outcomes."""
    records = []
    for block in ("fit", "calibration", "test"):
        mask = getattr(data.cut, block)
        rows, dates = data.panel.X[mask], data.panel.dates[mask]
        hashed = pd.util.hash_pandas_object(rows.assign(churned=data.panel.y[mask])).to_numpy()
        digest = digest_of(hashed.tobytes())[:16]
        records.append(DatasetRecord(block, dates.min(), dates.max(), len(rows), digest))
    return tuple(records)


def _trials(classifier: ChurnClassifier) -> tuple[TrialRecord, ...]:
    return tuple(
        TrialRecord(
            name=str(trial["candidate"]),
            params={"candidate": trial["candidate"], **trial["setting"]},
            metrics={
                "log_loss": (float(trial["log_loss"]),),
                "fold_log_loss": tuple(float(value) for value in trial["folds"]),
            },
            tags={"folds": classifier.cv_folds_},
        )
        for trial in classifier.cv_results_
    )


def _model_card(trained: Trained, panel: TrainingPanel, project: Project) -> str:
    churn = project.churn
    dates = panel.dates
    sections = [
        f"# Churn model of {project.name}",
        f"Churn means `{churn.definition}` {within(churn)}.",
        f"Candidate in use: **{trained.classifier.chosen_}** ({trained.classifier.why_chosen_}). "
        f"Reasons are {'exact' if trained.classifier.exact_ else 'approximated'}.",
        f"Panel: {len(panel.X):,} rows, {dates.nunique()} snapshots from {dates.min():%Y-%m-%d} to "
        f"{dates.max():%Y-%m-%d}, {len(panel.features)} features, inputs {panel.digest}.",
        "## On the test block",
        _metrics_table(trained.evaluation),
        f"## What happened to the colours there {within(churn)}",
        _evidence_table(trained.evidence),
        "\n".join(light_lines(trained.light_verdict, trained.evidence)),
    ]
    if trained.notes:
        sections += ["## To know", "\n".join(f"- {note}" for note in trained.notes)]
    if panel.violations:
        warnings = [f"- {v.table}.{v.column}: {v.rule} ({v.count:,} rows)" for v in panel.violations]
        sections += ["## Warnings of the contract", "\n".join(warnings)]
    return "\n\n".join(sections) + "\n"


def _metrics_table(evaluation: Evaluation) -> str:
    metrics = list(evaluation.figures["model"])
    head = f"| | {' | '.join(metrics)} |\n|---|{'---|' * len(metrics)}"
    rows = [
        f"| {scorer} | {' | '.join(_interval(figures.get(name)) for name in metrics)} |"
        for scorer, figures in evaluation.figures.items()
    ]
    note = f"{evaluation.rows:,} rows, {evaluation.churned:,} churned; 95 % intervals by accounts."
    return "\n".join([head, *rows, "", note])


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def _evidence_table(evidence: Sequence[ColourEvidence]) -> str:
    rows = [
        f"| {row.colour} | {row.share:.1%} | {row.rows:,} | {row.accounts:,} | {row.churned_rows:,} | "
        f"{row.churn_rate:.1%} | {row.churn_low:.1%}–{row.churn_high:.1%} | {row.recall:.1%} | {row.promise or '–'} |"
        if row.accounts
        else f"| {row.colour} | 0 | 0 | 0 | 0 | – | – | – | {row.promise or '–'} |"
        for row in evidence
    ]
    head = (
        "| colour | share of rows | rows | accounts | rows churned | churn rate of rows | 95 % bounds | "
        "of all churned rows | promise |\n|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *rows])


def within(churn: ChurnConfig) -> str:
    """Return the label window in words; labels of the user's own bring theirs."""
    if churn.definition == "labels":
        return "by the label"
    return f"within {churn.horizon_days} days" + (
        f" after a gap of {churn.gap_days}" if churn.gap_days else ""
    )


def light_lines(verdict: LightVerdict, evidence: Sequence[ColourEvidence]) -> list[str]:
    """Return the verdict on a light as one line, then what would help, the most important first."""
    passed_on = (
        f"the colours keep {verdict.efficiency:.0%} of the probability's information about churn "
        f"(the model's own {verdict.model_efficiency:.0%})"
        if np.isfinite(verdict.efficiency)
        else "on these rows the probability has no certain information about churn that the colours could keep"
    )
    shares = ", ".join(f"{row.colour} {row.share:.0%}" for row in evidence)
    flagged = [row for row in evidence if row.colour in (Colour.AMBER, Colour.RED)]
    caught, share = sum(row.recall for row in flagged), sum(row.share for row in flagged)
    head = f"light: {verdict.verdict}; {passed_on}; {shares} of all rows"
    return [f"{head}; {share:.0%} flagged (red or amber) hold {caught:.0%} of the churned", *verdict.advice]


@dataclass(frozen=True)
class EvaluationReport:
    """Metrics of one model on one block ("5 folds by account"), and its colours, which folds do not have."""

    model: str
    block: str
    within: str
    evaluation: Evaluation
    evidence: tuple[ColourEvidence, ...] = ()
    model_evidence: tuple[ColourEvidence, ...] = ()
    rules: tuple[RuleEvidence, ...] = ()
    light_verdict: LightVerdict | None = None

    @property
    def light_lines(self) -> list[str]:
        """The verdict in words, then what would help; empty without colours."""
        return [] if self.light_verdict is None else light_lines(self.light_verdict, self.evidence)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; NaN as None."""
        light = None if self.light_verdict is None else plain_dicts([self.light_verdict])[0]
        return {
            "model": self.model,
            "block": self.block,
            "within": self.within,
            "evaluation": self.evaluation.to_dict(),
            "evidence": plain_dicts(self.evidence),
            "model_evidence": plain_dicts(self.model_evidence),
            "rules": plain_dicts(self.rules),
            "light": light,
        }


def plain_dicts(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return records as plain values."""
    return [{name: plain(value) for name, value in asdict(row).items()} for row in rows]


def plain(value: Any) -> Any:
    """Return a date as text and NaN as None."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    return None if value != value else value


def _figures(trained: Trained, data: CutPanel) -> dict[str, Figure]:
    """Return the figures of a model by name; "cost" needs the settings of that policy, "drift" two snapshots."""
    from churnrisk import plots

    panel, test, decision = data.panel, data.cut.test, data.project.decision
    X, accounts = panel.X[test], panel.groups[test]
    scored = (panel.y[test].to_numpy(), trained.classifier.predict_proba(X)[:, 1])
    drawn = {
        "precision_recall": plots.plot_precision_recall(*scored),
        "calibration": plots.plot_calibration(*scored, groups=accounts),
        "lift": plots.plot_lift(*scored, groups=accounts),
        "gain": plots.plot_gain(*scored, groups=accounts),
        "recall_at_capacity": plots.plot_recall_at_capacity(
            *scored, snapshots=panel.dates[test].nunique(), capacity=decision.capacity, groups=accounts
        ),
    }
    value = annual_value(X)
    if value is not None and (value > 0).any() and decision.save_rate and decision.cost_per_contact:
        drawn["cost"] = plots.plot_cost(
            *scored,
            cost_per_contact=decision.cost_per_contact,
            save_rate=decision.save_rate,
            value=value,
            weighted=True,
            thresholds={"amber from": trained.light.amber_from_, "red from": trained.light.red_from_},
        )
    if panel.dates.nunique() > 1:
        # The drift index does not grow with the number of rows, its computing time does.
        drawn["drift"] = plots.plot_drift(panel.X.sample(min(len(panel.X), _DRIFT_ROWS), random_state=0))
    figures = {name: cast("Figure", axes.figure) for name, axes in drawn.items()}
    return figures | {
        "feature_effects": plots.plot_feature_effects(trained.classifier, panel.X[data.cut.fit], top=6)
    }


def _probe_of(classifier: Any, X: pd.DataFrame) -> dict[str, Any]:
    """Return rows with the model's log-odds of them, by which :func:`require_own_thresholds` knows the model."""
    plain = X.astype(object).where(X.notna(), None)
    rows = {str(name): plain[name].tolist() for name in plain}
    categorical = [str(name) for name in X.select_dtypes("category")]
    return {
        "rows": rows,
        "categorical": categorical,
        "log_odds": classifier.decision_function(_frame(rows, categorical)).tolist(),
    }


def _frame(rows: dict[str, list[Any]], categorical: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype="object").astype("category" if name in categorical else "float64")
            for name, values in rows.items()
        }
    )


def restore_settings(project: Project, stored: Mapping[str, Any]) -> tuple[Project, datetime]:
    """Return the project as it was set at a training, with the data of today, and the time of the training."""
    from pydantic import TypeAdapter

    sections: dict[str, Any] = {
        name: TypeAdapter(kind).validate_python(stored[name]) for name, kind in _SECTIONS.items()
    }
    return replace(project, **sections), datetime.fromisoformat(stored["now"])


def require_own_thresholds(model: LoadedModel) -> None:
    """Refuse a model whose log-odds of the probe are not as stored; models stored without a probe pass."""
    probe = model.documents.get("policy.json", {}).get("probe")
    if not probe:
        return
    found = model.classifier.decision_function(_frame(probe["rows"], probe["categorical"]))
    gap = float(np.abs(found - np.asarray(probe["log_odds"])).max(initial=0.0))
    if not gap <= TOLERANCE:  # nor NaN
        raise UsageError(
            f"the thresholds of model version {model.version} were set for another model: on the rows stored with "
            f"them the log-odds differ by up to {gap:.2g}. Train again with `churnrisk train`, or go back with "
            "`churnrisk rollback`."
        )


def changed_settings(model: LoadedModel, project: Project) -> tuple[str, ...]:
    """Return a note when ``[decision]`` asks for other thresholds than the model has."""
    stored = model.thresholds.get_params()
    settings = project.decision.light_settings().items()
    changed = [f"{name} = {value!r}" for name, value in settings if stored.get(name, value) != value]
    if not changed:
        return ()
    return (
        f"[decision] says {', '.join(changed)}, but the thresholds of model version {model.version} were set "
        "otherwise and stay until you train again",
    )


def features_of(model: LoadedModel, project: Project, tables: Tables) -> tuple[Feature, ...]:
    """Return today's declarations of the model's columns; without a model all that the rules and plays may read."""
    today = select_features(project.features, tables.available)
    if not model.version:
        return today
    if why := mismatch(model, today):
        raise UsageError(f"model version {model.version} {why}. Train again with `churnrisk train`.")
    by_name = {feature.name: feature for feature in today}
    return tuple(by_name[name] for name in model.columns)


def mismatch(model: LoadedModel, today: Sequence[Feature]) -> str:
    """Return why today's features do not fit the model: what is missing or redefined; empty if all is well."""
    sql = {feature.name: feature.sql for feature in today}
    changed = sorted(one.name for one in model.features if sql.get(one.name, one.sql) != one.sql)
    redefined = f"was trained on other definitions of {', '.join(changed)}" if changed else ""
    return " and ".join(filter(None, (_unfed_text(unfed_columns(model, sql)), redefined)))


def unfed_columns(model: LoadedModel, names: Iterable[object]) -> list[str]:
    """Return the columns that the model reads and that are not among the names."""
    return sorted(set(model.columns) - set(names))


def require_columns(model: LoadedModel, X: pd.DataFrame) -> None:
    """Refuse a model that reads columns which today's panel lacks."""
    if missing := unfed_columns(model, X):
        raise UsageError(
            f"model version {model.version} {_unfed_text(missing)}. "
            "Bring the tables back, or train again with `churnrisk train`."
        )


def _unfed_text(missing: Sequence[str]) -> str:
    return f"reads {', '.join(missing)}, which today's tables and settings do not feed" if missing else ""
