"""Time to churn: curves against known hazards, censoring, ageing columns, and scikit-learn's conventions."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from churnrisk.model import ChurnHazard, KaplanMeier

pytestmark = pytest.mark.slow

PERIOD = 30


def make_lives(accounts=3000, *, seed=0, seen=8):
    """Lives of known monthly hazards: complaints raise them, and a renewal doubles the odds five times over."""
    rng = np.random.default_rng(seed)
    complaints = rng.poisson(0.7, accounts).astype(float)
    to_renewal = rng.integers(1, 360, accounts).astype(float)
    at = np.arange(seen) * PERIOD
    left = to_renewal[:, None] - at
    renews = (left > 0) & (left <= PERIOD)
    hazard = 1 / (1 + np.exp(-(-4 + 0.9 * complaints[:, None] + 3 * renews)))
    gone = rng.random(hazard.shape) < hazard
    churned = gone.any(axis=1)
    windows = np.where(churned, gone.argmax(axis=1) + 1, seen)
    X = pd.DataFrame(
        {
            "complaints_open": complaints,
            "days_to_renewal": to_renewal,
            "plan": pd.Categorical(rng.choice(["basic", "pro"], accounts)),
        },
        index=pd.MultiIndex.from_arrays(
            [
                [f"a{i:04d}" for i in range(accounts)],
                pd.to_datetime("2024-01-01") + pd.to_timedelta(30 * (np.arange(accounts) % 6), unit="D"),
            ],
            names=["account_id", "as_of"],
        ),
    )
    return X, windows * float(PERIOD), churned, np.cumprod(1 - hazard, axis=1)


AGEING = {"days_to_renewal": -1}


@pytest.fixture(scope="module")
def lives():
    return make_lives()


@pytest.fixture(scope="module")
def hazard(lives):
    X, days, churned, _ = lives
    return ChurnHazard(period_days=PERIOD, ageing=AGEING).fit(X, days, churned)


def test_curves_follow_the_true_ones(hazard):
    X, _, _, truth = make_lives(seed=1)
    predicted = hazard.predict_survival(X, np.arange(1, 9) * PERIOD)
    assert np.abs(predicted.mean(axis=0) - truth.mean(axis=0)).max() < 0.02
    assert np.abs(predicted - truth).mean() < 0.04


def test_a_renewal_in_200_days_and_one_in_20_are_told_apart(hazard, lives):
    soon, late = lives[0].iloc[:2].copy(), lives[0].iloc[:2].copy()
    soon["days_to_renewal"], late["days_to_renewal"] = 20.0, 200.0
    days = [30, 180, 210]
    near, far = hazard.predict_survival(soon, days), hazard.predict_survival(late, days)
    assert (near[:, 0] < far[:, 0] - 0.1).all()
    fall_near, fall_far = near[:, 1] - near[:, 2], far[:, 1] - far[:, 2]
    assert (fall_far > 3 * fall_near).all(), "the renewal in 200 days falls into the seventh period"
    assert (hazard.expected_days(late) > hazard.expected_days(soon)).all()


def test_who_is_cut_off_counts_until_then_and_no_further(lives):
    X, days, churned, truth = lives
    end = np.random.default_rng(2).integers(1, 9, len(X)) * float(PERIOD)
    known, lost = np.minimum(days, end), churned & (days <= end)
    at_days = np.arange(1, 9) * PERIOD
    fitted = ChurnHazard(period_days=PERIOD, ageing=AGEING).fit(X, known, lost)
    predicted = fitted.predict_survival(X, at_days).mean(axis=0)
    as_survivors = 1 - np.array([(lost & (known <= day)).mean() for day in at_days])
    assert np.abs(predicted - truth.mean(axis=0)).max() < 0.03
    assert as_survivors[-1] - truth.mean(axis=0)[-1] > 0.1, "taking them for survivors would flatter"
    assert np.abs(predicted - KaplanMeier.fit(known, lost).at(at_days)).max() < 0.03


def test_within_a_period_the_hazard_is_constant_and_beyond_the_last_nothing_is_said(hazard, lives):
    X = lives[0].iloc[:5]
    predicted = hazard.predict_survival(X, [0, 15, 30, hazard.limit_days_, hazard.limit_days_ + 1])
    assert predicted[:, 0].tolist() == [1.0] * 5
    np.testing.assert_allclose(predicted[:, 1] ** 2, predicted[:, 2])
    assert np.isfinite(predicted[:, 3]).all()
    assert np.isnan(predicted[:, 4]).all()


def test_the_first_period_may_be_told_by_another_model(hazard, lives):
    X = lives[0].iloc[:3]
    alone = hazard.predict_survival(X, [30, 60])
    predicted = hazard.predict_survival(X, [30, 60], first=[0.5, 0.1, 0.0])
    np.testing.assert_allclose(predicted[:, 0], [0.5, 0.9, 1.0])
    np.testing.assert_allclose(predicted[:, 1] / predicted[:, 0], alone[:, 1] / alone[:, 0])


def test_median_and_mean_belong_to_the_curve(hazard, lives):
    X = lives[0].assign(complaints_open=np.arange(len(lives[0])) % 7)
    median, mean = hazard.median_days(X), hazard.expected_days(X)
    reached = np.isfinite(median)
    assert 0 < reached.sum() < len(X)
    for row in np.flatnonzero(reached)[:20]:
        assert hazard.predict_survival(X.iloc[[row]], [median[row]])[0, 0] == pytest.approx(0.5)
    assert (hazard.predict_survival(X[~reached], [hazard.limit_days_]) > 0.5).all()
    fine = np.linspace(0, hazard.limit_days_, 2401)
    area = np.trapezoid(hazard.predict_survival(X.iloc[:20], fine), fine, axis=1)
    np.testing.assert_allclose(mean[:20], area, rtol=1e-4)
    assert hazard.median_days(X.iloc[:1], first=[0.75])[0] == pytest.approx(15.0)


def test_calibration_on_later_rows_moves_the_level_to_theirs(hazard, lives):
    X, days, churned, _ = make_lives(seed=3)
    sampled = ~churned | (np.arange(len(X)) % 3 == 0)
    calibrated = clone(hazard).fit(*lives[:3]).calibrate(X[sampled], days[sampled], churned[sampled])
    before = hazard.predict_survival(X[sampled], [240]).mean()
    after = calibrated.predict_survival(X[sampled], [240]).mean()
    observed = KaplanMeier.fit(days[sampled], churned[sampled]).at(240)
    assert abs(after - observed) < 0.03 < abs(before - observed)


def test_many_rows_are_a_sample_of_accounts(lives):
    X, days, churned, truth = lives
    few = ChurnHazard(ageing=AGEING, max_rows=6000).fit(X, days, churned)
    predicted = few.predict_survival(X, [240]).mean()
    assert few.model_.n_features_in_ == 4
    assert abs(predicted - truth[:, -1].mean()) < 0.06


def test_the_curve_ends_where_too_few_were_seen(lives):
    X, days, churned, _ = lives
    cut = np.minimum(days, np.where(np.arange(len(X)) < 30, 240, 90))
    fitted = ChurnHazard().fit(X, cut, churned & (days <= cut))
    assert fitted.limit_days_ == 90


def test_bad_input_is_told_in_one_error(lives):
    X, days, churned, _ = lives
    with pytest.raises(ValueError, match="expected days of 0 or more"):
        ChurnHazard().fit(X, np.where(np.arange(len(X)) == 3, np.nan, days), churned)
    with pytest.raises(ValueError, match="expected 50 rows or more"):
        ChurnHazard().fit(X, np.full(len(X), 29.0), np.zeros(len(X), dtype=bool))
    with pytest.raises(ValueError, match="at least 10 churned"):
        ChurnHazard().fit(X, days, np.arange(len(X)) < 3)
    with pytest.raises(ValueError, match="the model's own"):
        ChurnHazard().fit(X.assign(periods_ahead=1.0), days, churned)


# Half a day, because scikit-learn gives targets of 0 and 1 only, which would all fall into the first of longer periods.
@parametrize_with_checks([ChurnHazard(period_days=0.5, min_at_risk=1, min_class_count=1)])
def test_the_estimator_keeps_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)
