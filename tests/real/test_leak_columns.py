"""Columns that are consequences of the label, on the case with three of them and on a bank's real table with two."""

from __future__ import annotations

import shutil
from datetime import datetime

import pytest

import churnrisk as cr
from churnrisk.settings import load_project
from churnrisk.training import training_panel
from tests.real.test_real_sets import DATA, HERE

CASE = DATA.parent / "cases" / "10-leak-columns-flat-sheet" / "input"
CONSEQUENCES = ["Cancellation Flag", "Churn Score", "Churn Reason"]
NOW = datetime(2026, 11, 1)

pytestmark = pytest.mark.skipif(not CASE.is_dir(), reason=f"the cases and real sets are not at {DATA.parent}")


def flat(path, account, label, *, churned=None, **sections):
    """A flat table with a label, as `init` maps one."""
    source = f"from read_csv('{path}')"
    ids = f'select "{account}" as account_id'
    tables = {
        "accounts": f"{ids} {source}",
        "attributes": f'{ids}, date \'2000-01-01\' as valid_from, * exclude ("{account}", "{label}") {source}',
        "labels": f"{ids}, date '2000-07-01' as as_of, {churned or label} as churned {source}",
    }
    return {
        "tables": {name: {"sql": sql} for name, sql in tables.items()},
        "churn": {"definition": "labels", "horizon_days": 30},
        "model": {"split": "accounts", "candidates": ["logistic"]},
        **sections,
    }


def opened(folder, **sections):
    lines = []
    for name, table in sections.pop("tables").items():
        lines += [f"[tables.{name}]", f"sql = '''{table['sql']}'''"]
    (folder / "churnrisk.toml").write_text("\n".join(lines))
    return cr.load(folder, now=NOW, **sections)


@pytest.fixture
def case(tmp_path, blank_store):
    (tmp_path / "models").mkdir()
    shutil.copy(blank_store, tmp_path / "models")
    shutil.copy(CASE / "customers.csv", tmp_path)
    return opened(tmp_path, **flat("customers.csv", "CustomerID", "Churn"))


def test_the_three_consequences_are_named_by_check_and_signals(case):
    report = case.check(leaks=True)
    assert report.leaks == []
    assert [one.feature for one in report.suspects] == CONSEQUENCES
    signals = case.signals()
    assert sorted(signals.index[signals["left_out"]]) == sorted(CONSEQUENCES)


def test_a_model_learns_without_them_and_scores_without_a_second_look(case):
    training = case.train()
    assert not {feature.name for feature in training.features} & set(CONSEQUENCES)
    assert [
        name for name in CONSEQUENCES if any(note.startswith(f"{name} is left") for note in training.notes)
    ]
    assert training.evaluation.figures["model"]["auc"].value < 0.8
    assert case.model("candidate").documents["policy.json"]["left_out"] == CONSEQUENCES
    case.promote(author="test")
    assert case.score().run.accounts == 300
    assert case.evaluate().evaluation.rows > 0


def test_a_column_that_the_user_vouches_for_stays(tmp_path):
    shutil.copy(CASE / "customers.csv", tmp_path)
    trusting = {"features": {"trust": ["Churn Score"]}}
    panel = opened(tmp_path, **flat("customers.csv", "CustomerID", "Churn", **trusting)).panel()
    assert "Churn Score" in panel.X
    assert "Churn Reason" not in panel.X
    with pytest.raises(cr.ChurnRiskError, match="trust names Churn Scor, which are not features"):
        opened(
            tmp_path,
            **flat("customers.csv", "CustomerID", "Churn", features={"trust": ["Churn Scor"]}),
        ).panel()


def test_a_bank_loses_exactly_the_two_answers_of_a_model(tmp_path):
    path = DATA / "bankchurners" / "BankChurners.csv.gz"
    panel = opened(
        tmp_path, **flat(path, "CLIENTNUM", "Attrition_Flag", churned="Attrition_Flag = 'Attrited Customer'")
    ).panel()
    assert [one.feature[:25] for one in panel.suspects] == ["Naive_Bayes_Classifier_At"] * 2
    assert panel.X.shape == (10_127, 20)


@pytest.mark.parametrize("name", ["interconnect", "interconnect_flat", "ravenstack"])
def test_honest_columns_of_real_sets_stay(name):
    project = load_project(HERE / name, data=DATA / name.removesuffix("_flat"))
    assert training_panel(project, now=NOW, progress=lambda _: None).suspects == ()
