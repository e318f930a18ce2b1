from datetime import datetime

import pandas as pd
import pytest

from churnrisk.history import HistoryStore, NewRun


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture
def store(url):
    with HistoryStore(url) as opened:
        yield opened


@pytest.fixture
def new_run():
    def make(month=1, model="m1", **changes):
        made = {
            "as_of": datetime(2026, month, 1),
            "published_at": datetime(2026, month, 2, 6, 30),
            "inputs_digest": "i1",
            "model_version": model,
            "policy_version": "p1",
        }
        return NewRun(**(made | changes))

    return make


@pytest.fixture
def scored():
    def make(*colours):
        return pd.DataFrame(
            {
                "account_id": [f"a{i}" for i in range(len(colours))],
                "colour": list(colours),
                "raw_colour": list(colours),
                "decided_by": "model",
                "probability": 0.25,
            }
        )

    return make
