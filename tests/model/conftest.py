import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from churnrisk.model import ChurnClassifier
from churnrisk.records import Feature


def make_panel(accounts=400, dates=6, *, seed=0, every_days=30):
    """A panel of known log-odds: silence and complaints raise churn, breadth lowers it."""
    rng = np.random.default_rng(seed)
    as_of = pd.date_range("2024-01-01", periods=dates, freq=f"{every_days}D")
    names = [f"a{i:04d}" for i in range(accounts)]
    index = pd.MultiIndex.from_product([names, as_of], names=["account_id", "as_of"])
    n = len(index)
    silence = rng.exponential(20, n)
    breadth = rng.integers(1, 9, n).astype(float)
    complaints = rng.poisson(0.4, n).astype(float)
    plan = rng.choice(["basic", "pro", "team"], n)
    z = -1.6 + 0.04 * (silence - 20) - 0.25 * (breadth - 4) + 0.8 * complaints + 0.6 * (plan == "basic")
    nps = rng.normal(7, 2, n)
    nps[rng.random(n) < 0.3] = np.nan
    X = pd.DataFrame(
        {
            "days_since_last_event": silence,
            "features_30": breadth,
            "complaints_open": complaints,
            "nps": nps,
            "nothing": np.full(n, 3.0),
            "plan": pd.Categorical(plan),
        },
        index=index,
    )
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int8)
    return X, y, z


FEATURES = (
    Feature(
        "days_since_last_event",
        "recency",
        "days",
        "",
        "days since last event",
        "No activity for {value:.0f} days",
        monotone=1,
    ),
    Feature(
        "features_30",
        "breadth",
        "features",
        "",
        "features used in 30 days",
        "Only {value:.0f} features used",
        monotone=-1,
    ),
    Feature(
        "complaints_open",
        "complaints",
        "complaints",
        "",
        "open complaints",
        "{value:.0f} open complaints",
        monotone=1,
    ),
    Feature("nps", "satisfaction", "score", "", "last NPS answer", "NPS of {value:.0f}", monotone=-1),
    Feature("plan", "value", "name", "", "plan", "Plan {value}", categorical=True),
)
MONOTONE = {f.name: f.monotone for f in FEATURES}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On so few rows several threads only wait for each other."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def panel():
    return make_panel()


@pytest.fixture(scope="session", params=["logistic", "additive", "full"])
def fitted(request, panel):
    X, y, _ = panel
    return ChurnClassifier(candidates=(request.param,), monotone=MONOTONE, max_iter=80).fit(X, y)


@pytest.fixture(scope="session")
def additive(panel):
    X, y, _ = panel
    return ChurnClassifier(candidates=("additive",), monotone=MONOTONE, max_iter=80).fit(X, y)
