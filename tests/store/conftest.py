import os
from datetime import datetime

import pandas as pd
import pytest

from churnrisk.store import HistoryStore, NewRun
from tests.store.postgres import GIVEN, drop_schema, new_schema, server


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL database."""
    with server() as base:
        yield base


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def fresh_url(request, tmp_path_factory):
    """Return a function that makes an empty database and returns its URL."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{tmp_path_factory.mktemp('history') / 'history.db'}"
        return
    base = request.getfixturevalue("postgres")
    made = []

    def make():
        made.append(new_schema(base))
        return made[-1]

    yield make
    for url in made if os.environ.get(GIVEN) else ():  # a server of our own goes as a whole
        drop_schema(base, url)


@pytest.fixture
def url(fresh_url):
    return fresh_url()


@pytest.fixture
def sqlite_url(tmp_path):
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
