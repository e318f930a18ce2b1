import io

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_validate

from churnrisk.errors import ContractError
from churnrisk.model import ChurnClassifier, PanelSplit
from churnrisk.tracking import distrusted

from .conftest import MONOTONE, make_panel

pytestmark = pytest.mark.slow


def test_contributions_and_baseline_sum_to_the_uncalibrated_log_odds(fitted, panel):
    X = panel[0].iloc[:300]
    shares = fitted.contributions(X, calibrated=False)
    assert list(shares.columns) == list(X.columns)
    assert np.allclose(fitted.raw_baseline_ + shares.sum(axis=1), fitted.raw_log_odds(X), atol=1e-9)
    assert (shares["nothing"] == 0).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "none"])
def test_contributions_and_baseline_sum_to_the_calibrated_log_odds(panel, method):
    X, y, _ = panel
    model = ChurnClassifier(candidates=("additive",), calibration=method, max_iter=40).fit(X, y)
    later, labels, _ = make_panel(seed=7)
    model.calibrate(later, labels)
    total = model.baseline_ + model.contributions(later).sum(axis=1)
    assert model.calibration_ == method
    assert np.allclose(total, model.decision_function(later), atol=1e-8)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_never_changes_the_order(additive, panel, method):
    model = _copy(additive)
    model.calibration = method
    X = panel[0]
    later, labels, _ = make_panel(seed=3)
    raw = np.sort(np.unique(model.raw_log_odds(X)))
    model.calibrate(later, labels)
    assert (np.diff(model.calibrator_.apply(raw)) > 0).all()


def _copy(model):
    stored = io.BytesIO()
    joblib.dump(model, stored)
    stored.seek(0)
    return joblib.load(stored)


def test_calibration_mends_probabilities_that_are_too_high(panel):
    X, y, _ = panel
    model = ChurnClassifier(candidates=("logistic",)).fit(X, y)
    later, _, z = make_panel(seed=5)
    labels = np.random.default_rng(0).random(len(z)) < 1 / (1 + np.exp(-(z - 1.5)))
    before = model.predict_proba(later)[:, 1].mean()
    after = model.calibrate(later, labels).predict_proba(later)[:, 1].mean()
    assert before > labels.mean() + 0.1
    assert after == pytest.approx(labels.mean(), abs=0.01)


def test_the_model_finds_most_of_the_signal_that_is_there(fitted):
    X, y, z = make_panel(seed=11)
    assert roc_auc_score(y, fitted.predict_proba(X)[:, 1]) > roc_auc_score(y, z) - 0.03


def test_monotone_constraints_hold_for_boosted_trees(additive, panel):
    row = panel[0].iloc[[0] * 60].copy()
    row["days_since_last_event"] = np.linspace(0, 200, 60)
    assert (np.diff(additive.predict_proba(row)[:, 1]) >= 0).all()


def test_additive_wins_a_tie_with_the_full_model(panel):
    X, y, _ = panel
    model = ChurnClassifier(candidates=("additive", "full"), monotone=MONOTONE, max_iter=60).fit(X, y)
    assert model.chosen_ == "additive"
    assert model.exact_
    assert {r["candidate"] for r in model.cv_results_} == {"additive", "full"}
    assert "time-ordered" in model.cv_folds_


def test_the_full_model_wins_where_features_interact():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(4000, 2)), columns=["left", "right"])
    y = (rng.random(4000) < np.where(X.left * X.right > 0, 0.8, 0.2)).astype(int)
    model = ChurnClassifier(max_iter=60).fit(X, y)
    assert model.chosen_ == "full"
    total = model.baseline_ + model.contributions(X.iloc[:50]).sum(axis=1)
    assert np.allclose(total, model.decision_function(X.iloc[:50]), atol=1e-9)


@pytest.mark.parametrize(
    "given",
    [RandomForestClassifier(20, min_samples_leaf=20, random_state=0), LogisticRegression(max_iter=500)],
)
def test_any_scikit_learn_classifier_can_be_given(panel, given):
    X, y, _ = panel
    model = ChurnClassifier(estimator=given).fit(X, y)
    shares = model.contributions(X.iloc[:30])
    assert model.chosen_ == "given"
    assert roc_auc_score(y, model.predict_proba(X)[:, 1]) > 0.7
    total = model.baseline_ + shares.sum(axis=1)
    assert np.allclose(total, model.decision_function(X.iloc[:30]), atol=1e-8)


def test_unseen_and_missing_categories_get_a_probability(fitted, panel):
    X = panel[0].iloc[:3].copy()
    X["plan"] = pd.Categorical(["never seen", None, "pro"])
    assert np.isfinite(fitted.predict_proba(X)).all()


def test_nullable_integers_and_text_give_the_same_model(panel):
    X, y, _ = panel
    other = X.assign(
        complaints_open=X["complaints_open"].astype("Int64"), plan=X["plan"].astype(str).astype(object)
    )
    one, two = (ChurnClassifier(candidates=("logistic",)).fit(frame, y) for frame in (X, other))
    assert np.array_equal(one.predict_proba(X), two.predict_proba(other))


def test_refitting_gives_the_same_probabilities(additive, panel):
    X, y, _ = panel
    assert np.array_equal(clone(additive).fit(X, y).predict_proba(X), additive.predict_proba(X))


def test_it_works_in_cross_validation_with_the_panel_split(panel):
    X, y, _ = panel
    model = ChurnClassifier(candidates=("logistic",))
    scores = cross_validate(model, X, y, cv=PanelSplit(2, embargo_days=30), scoring="roc_auc")["test_score"]
    assert (scores > 0.7).all()


@pytest.mark.parametrize(
    ("y", "message"), [([0] * 50, "both churned and retained"), ([1] * 4 + [0] * 46, "at least 10 churned")]
)
def test_labels_that_cannot_teach_break_the_contract(y, message):
    with pytest.raises(ContractError, match=message):
        ChurnClassifier().fit(pd.DataFrame({"x": np.arange(50.0)}), y)


def test_an_infinite_number_is_named_with_its_column(panel):
    X, y, _ = panel
    with pytest.raises(ContractError, match="days_since_last_event"):
        ChurnClassifier().fit(X.assign(days_since_last_event=np.inf), y)


def test_a_stored_model_holds_allowed_types_only_and_predicts_the_same(fitted, panel):
    X, y, _ = panel
    fitted.calibrate(X, y)
    stored = skops.io.dumps(fitted)
    found = skops.io.get_untrusted_types(data=stored)
    assert not distrusted(found)
    loaded = skops.io.loads(stored, trusted=found)
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert loaded.contributions(X.iloc[:20]).equals(fitted.contributions(X.iloc[:20]))


def test_a_signal_that_begins_late_does_not_stop_the_training():
    rng = np.random.default_rng(0)
    dates = np.repeat(pd.date_range("2025-01-01", periods=6, freq="30D"), 300)
    accounts = np.tile([f"a{i}" for i in range(300)], 6)
    x, survey = rng.normal(size=1800), rng.normal(size=1800)
    y = rng.random(1800) < 1 / (1 + np.exp(1 - x))
    index = pd.MultiIndex.from_arrays([accounts, dates], names=["account_id", "as_of"])
    X = pd.DataFrame({"x": x, "survey": np.where(dates >= dates[-1], survey, np.nan)}, index=index)
    for candidate in ("logistic", "additive", "full"):
        fitted = ChurnClassifier(candidates=(candidate,), max_iter=30).fit(X, y)
        assert np.isfinite(fitted.predict_proba(X)).all()


@pytest.mark.parametrize("candidate", ["additive", "logistic", "full"])
def test_log_odds_of_changed_columns_are_those_of_changed_rows(panel, candidate):
    X, y, _ = panel
    model = ChurnClassifier(candidates=(candidate,), n_models=2, max_iter=40).fit(X, y).calibrate(X, y)
    rows = X.iloc[:200]
    changed = pd.DataFrame(
        {"complaints_open": 0.0, "nps": rows["nps"].to_numpy()[::-1], "nothing": 5.0}, index=rows.index
    )
    whole = rows.assign(**{name: changed[name].to_numpy() for name in changed})
    predicted = model.log_odds_if(rows, changed, raw=model.raw_log_odds(rows))
    assert np.allclose(predicted, model.decision_function(whole), atol=1e-9)
    # some rows several times, with what their columns add known before
    often = np.array([3, 3, 150, 0])
    again = model.log_odds_if(
        rows, changed.iloc[often], raw=model.raw_log_odds(rows), rows=often, parts=model.parts_of(rows)
    )
    assert np.allclose(again, predicted[often], atol=1e-12)


@pytest.mark.parametrize("candidate", ["logistic", "additive", "full"])
def test_what_calibrates_knows_nothing_of_the_accounts_later_outcomes(candidate):
    X, y, _ = make_panel(accounts=400, dates=5)
    dates = X.index.get_level_values("as_of")
    later = np.asarray(dates >= dates.unique()[-2])
    made = ChurnClassifier(candidates=(candidate,), max_iter=40, min_class_count=5)
    before = made.fit_and_calibrate(X, y, later)
    accounts = X.index.get_level_values("account_id")
    for account in accounts[later].unique()[:6]:
        here = np.asarray(accounts == account) & later
        lied = y.copy()
        lied[here] = 1 - lied[here]
        after = clone(made).fit_and_calibrate(X, lied, later)
        moved = after != before
        assert not moved[here[later]].any()
        assert moved.any()  # the other shares learned from it


def test_later_outcomes_are_learned_from():
    X, y, _ = make_panel(accounts=400, dates=5)
    dates = X.index.get_level_values("as_of")
    later = np.asarray(dates >= dates.unique()[-2])
    crossed = ChurnClassifier(candidates=("additive",), max_iter=40)
    raw = crossed.fit_and_calibrate(X, y, later)
    alone = ChurnClassifier(candidates=("additive",), max_iter=40).fit(X[~later], y[~later])
    assert crossed.cv_results_ == alone.cv_results_  # chosen without them
    assert crossed.calibration_ == "sigmoid"
    assert raw.shape == (later.sum(),)
    # four models, each without a share: their mean at a row is near what the one that lacks it says, and not it
    predicted = crossed.raw_log_odds(X[later])
    assert np.corrcoef(predicted, raw)[0, 1] > 0.8
    assert (predicted != raw).all()
    assert not np.allclose(predicted, alone.raw_log_odds(X[later]))


def test_a_later_block_without_churn_cannot_calibrate(panel):
    X, y, _ = panel
    later = np.asarray(y == 0) & (np.arange(len(y)) % 5 == 0)
    with pytest.raises(ContractError, match="calibration needs both"):
        ChurnClassifier(candidates=("logistic",)).fit_and_calibrate(X, y, later)
