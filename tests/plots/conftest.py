import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from churnrisk.model import ChurnClassifier
from tests.model.conftest import MONOTONE, make_panel


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On so few rows several threads only wait for each other."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def panel():
    return make_panel()


@pytest.fixture(scope="session")
def additive(panel):
    X, y, _ = panel
    return ChurnClassifier(candidates=("additive",), monotone=MONOTONE, max_iter=80).fit(X, y)


@pytest.fixture(scope="session")
def scored():
    """Outcomes and the probabilities they were drawn from, with the account of each row."""
    X, y, z = make_panel(accounts=600, dates=2)
    return y, 1 / (1 + np.exp(-z)), X.index.get_level_values("account_id")
