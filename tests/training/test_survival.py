"""The outlook at a renewal: the loss by the end of its window, and nothing where no renewal is known."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from churnrisk.model import ChurnClassifier, ChurnHazard
from churnrisk.snapshots import ChurnConfig
from churnrisk.training import OUTLOOK, outlook

AS_OF = datetime(2026, 7, 1)
DAYS = [0, 12, 29, 30, 89, 90, -1, None]


@pytest.fixture(scope="module")
def classifier() -> ChurnClassifier:
    """A model whose curve covers three windows of 30 days."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"complaints_open": rng.poisson(1.0, 1500).astype(float)})
    hazard = 1 / (1 + np.exp(2.5 - 0.7 * X["complaints_open"].to_numpy()))
    gone = rng.random((1500, 3)) < hazard[:, None]
    churned = gone.any(axis=1)
    windows = np.where(churned, gone.argmax(axis=1) + 1, 3)
    fitted = ChurnClassifier(candidates=("logistic",)).fit(X, gone[:, 0].astype(int))
    fitted.hazard_ = ChurnHazard(candidates=("logistic",)).fit(X, windows * 30.0, churned)
    return fitted


def outlook_of(classifier: ChurnClassifier, churn: ChurnConfig) -> tuple[pd.DataFrame, pd.Series]:
    X = pd.DataFrame({"complaints_open": [2.0] * len(DAYS)})
    renewals = [None if days is None else AS_OF + timedelta(days=days) for days in DAYS]
    found = outlook(
        classifier,
        X,
        churn=churn,
        as_of=AS_OF,
        renewal_at=np.array(renewals, dtype="datetime64[us]"),
        annual_value=np.full(len(DAYS), 1000.0),
    )
    assert found is not None
    assert tuple(found) == OUTLOOK
    return found, pd.Series(classifier.predict_proba(X)[:, 1])


def test_by_the_renewal_means_by_the_end_of_its_window(classifier: ChurnClassifier) -> None:
    found, p = outlook_of(classifier, ChurnConfig())
    lost = found["lost_by_renewal"]
    np.testing.assert_allclose(lost[:3], p[:3])
    assert p[3] < lost[3] < lost[4]
    assert lost[4] == pytest.approx(found["lost_by_end"][4]), "day 89 lies in the last of three windows"
    assert lost[5:].isna().all(), "beyond the curve, in the past, unknown"
    np.testing.assert_allclose(found["loss_by_renewal"], lost * 1000)


def test_days_count_from_the_as_of_date_and_not_from_the_end_of_the_gap(classifier: ChurnClassifier) -> None:
    at_once, _ = outlook_of(classifier, ChurnConfig())
    after, p = outlook_of(classifier, ChurnConfig(gap_days=10))
    assert (after["outlook_days"] == at_once["outlook_days"] + 10).all()
    np.testing.assert_allclose(after["expected_days"], at_once["expected_days"] + 10)
    assert after["lost_by_renewal"][3] == pytest.approx(p[3]), (
        "day 30 lies in the first window, days 10 to 40"
    )


def test_a_model_without_a_hazard_gives_no_outlook(classifier: ChurnClassifier) -> None:
    rows = pd.DataFrame({"complaints_open": np.arange(100.0) % 5})
    plain = ChurnClassifier(candidates=("logistic",)).fit(rows, (np.arange(100) % 3 == 0).astype(int))
    assert outlook(plain, rows, churn=ChurnConfig(), as_of=AS_OF, renewal_at=[], annual_value=[]) is None
