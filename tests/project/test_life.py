"""A model's life from Python: trained, promoted on evidence, repeated bit for bit, explained."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

import churnrisk as cr
from churnrisk.errors import ContractError, UsageError
from churnrisk.project import OpenProject
from tests.project.conftest import NOW, QUICK


def last_decision(project: OpenProject) -> dict[str, object]:
    champion = next(info for info in project.models() if "champion" in info.aliases)
    return dict(json.loads(champion.tags["churnrisk.promotions"])[-1]["decision"])


def test_a_training_repeated_from_its_run_is_the_same_bit_for_bit(trained) -> None:
    elsewhere = cr.load(trained.settings.directory, model={"seed": 99}, churn={"horizon_days": 60})
    found = elsewhere.reproduce("champion")

    assert (found.version, found.identical, found.largest_difference) == (1, True, 0.0)
    assert found.rows == len(trained.panel().X)
    assert found.notes == ()
    assert len(trained.models()) == 1


def test_a_training_is_repeated_though_the_tables_have_grown(trained) -> None:
    usage = next(trained.settings.data.glob("usage_events*"))
    frame = pd.read_csv(usage)
    later = frame.sample(frac=0.1, random_state=1).assign(Timestamp=str(NOW + timedelta(days=3)))
    if "LoadedAt" in later:
        later["LoadedAt"] = later["Timestamp"]
    pd.concat([frame, later]).to_csv(usage, index=False)
    assert trained.reproduce().identical


def test_what_a_champion_has_learned_from_is_no_evidence_against_a_candidate(trained) -> None:
    model = {**QUICK["model"], "test_snapshots": 4}
    wider = cr.load(trained.settings.directory, model=model, now=NOW)
    wider.train()
    wider.promote(author="ada", force=True)
    # the training measured the champion on snapshots that it was calibrated on
    decided = last_decision(wider)
    assert decided["evidence"] is None or decided["evidence"]["measured_at"] == "promotion"


def test_a_training_on_other_rows_is_not_repeated(trained) -> None:
    surveys = trained.settings.data / "nps.csv"
    lines = surveys.read_text().splitlines(keepends=True)
    surveys.write_text("".join(lines[: len(lines) // 2]))
    with pytest.raises(ContractError, match=r"found others in the fit and calibration and test blocks"):
        trained.reproduce()


def test_a_promotion_is_measured_against_the_champion_of_today_and_keeps_its_evidence(trained) -> None:
    first = last_decision(trained)
    assert (first["author"], first["evidence"], first["champion"]) == ("test", None, None)
    trained.train()
    trained.train()
    trained.promote(2, author="ada")
    at_training = last_decision(trained)
    trained.promote(3, author="bob")
    later = last_decision(trained)

    assert (at_training["champion"], later["champion"]) == (1, 2)
    assert at_training["evidence"]["measured_at"] == "training"
    # version 3 was measured beside version 1, which is no longer the champion
    assert later["evidence"]["measured_at"] == "promotion"
    assert later["evidence"]["rows"] == at_training["evidence"]["rows"] > 100
    assert later["evidence"]["log_loss"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert trained.rollback(author="eve", reason="a test").version == 2


def test_a_model_of_another_catalogue_is_one_clear_error(trained) -> None:
    own = replace(trained.settings.features, own=(cr.Signal("busy", "events_30 > 10"),))
    project = OpenProject(replace(trained.settings, features=own), now=NOW)
    project.train()
    project.promote(2, author="ada", force=True)

    redefined = replace(own, own=(cr.Signal("busy", "events_30 > 99"),))
    other = OpenProject(replace(trained.settings, features=redefined), now=NOW)
    with pytest.raises(UsageError, match="model version 2 was trained on other definitions of busy"):
        other.score()
    with pytest.raises(
        UsageError, match="model version 2 reads busy, which today's tables and settings do not"
    ):
        trained.score()


def test_reasons_come_with_values_for_classifiers_and_stored_models(trained) -> None:
    panel = trained.panel()
    rows, model = panel.X.head(5), trained.model()
    reasons = cr.explain(model, rows, top=2)

    assert list(reasons.index.names) == ["account_id", "as_of", "rank"]
    assert reasons.groupby(["account_id", "as_of"]).size().between(1, 2).all()
    assert reasons["text"].map(len).gt(5).all()
    contributions = model.classifier.contributions(rows)
    account, as_of, _ = reasons.index[0]
    assert reasons["contribution"].iloc[0] == contributions.loc[(account, as_of), reasons["feature"].iloc[0]]
    bare = cr.explain(model.classifier, rows, top=2)
    assert bare["feature"].tolist() == reasons["feature"].tolist()
    assert bare["usual_low"].isna().all()


@pytest.mark.parametrize(
    ("model", "columns", "top", "said"),
    [
        (cr.ChurnClassifier(), slice(None), 3, "found one that is not"),
        (None, slice(1, None), 3, "found no "),
        (None, slice(None), 0, "top=0"),
    ],
)
def test_reasons_that_cannot_be_given_are_one_clear_error(trained, model, columns, top, said) -> None:
    X = trained.panel().X.head(3)
    with pytest.raises(cr.ChurnRiskError, match=said):
        cr.explain(model or trained.model(), X.iloc[:, columns], top=top)


def test_the_panel_carries_groups_value_and_features(trained) -> None:
    panel = trained.panel()
    assert list(panel.X.index.names) == ["account_id", "as_of"]
    assert len(panel.groups) == len(panel.y) == len(panel.X)
    assert set(panel.y.unique()) == {0, 1}
    assert panel.value is not None
    assert panel.value.equals(panel.X["mrr"] * 12)
    assert [feature.name for feature in panel.features] == list(panel.X.columns)
    blocks = trained.blocks(panel)
    dates = panel.X.index.get_level_values("as_of")
    embargo = pd.Timedelta(days=trained.splitter().embargo_days)
    assert dates[blocks.test].min() - dates[blocks.calibration].max() >= embargo


def test_evaluation_and_signals_come_as_tables(trained) -> None:
    measured = trained.evaluate().evaluation.to_frame()
    assert measured.loc[("model", "auc"), "low"] < measured.loc[("model", "auc"), "value"]
    assert list(measured.columns) == ["value", "low", "high"]
    signals = trained.signals()
    assert set(signals.index) == {feature.name for feature in trained.panel().features}
    assert np.isfinite(signals["auc"]).sum() > 20


def test_the_classifier_of_a_project_has_its_constraints_embargo_and_seed(project) -> None:
    features = project.panel().features
    classifier = project.classifier(features, max_iter=30)
    assert classifier.max_iter == 30
    assert classifier.candidates == ("logistic",)
    assert classifier.monotone["days_since_last_event"] == 1
    assert (
        classifier.embargo_days
        == project.settings.churn.outcome_delay.days
        == project.splitter().embargo_days
    )


def test_a_panel_of_one_snapshot_cannot_train_and_nothing_is_registered(project) -> None:
    day = project.panel().X.index.get_level_values("as_of").max().date()
    once = cr.load(project.settings.directory, now=NOW, snapshots={"first": day, "last": day})
    with pytest.raises(
        ContractError, match=r"need at least 3 as-of dates .*, found 1 as-of date.*Widen the history"
    ):
        once.train()
    assert once.models() == []
