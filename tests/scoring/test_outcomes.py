"""What the colours promised and what came of the accounts, over real tables and a real history."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from churnrisk.lights import TrafficLight
from churnrisk.model import ReasonProfile
from churnrisk.monitoring import BROKEN, KEPT, NO_PROMISE, OPEN, UNCLEAR, promises
from churnrisk.scoring import ScoringTask, record_outcomes
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore, NewRun
from churnrisk.team import monday
from churnrisk.tracking import LoadedModel
from churnrisk.training import checked_tables, tracking_of
from tests.projects import INACTIVITY

START = datetime(2026, 1, 1)
SCORED = datetime(2026, 4, 1)
NOW = datetime(2026, 7, 1, 9)
GREEN, AMBER, RED = 200, 60, 100
#: Accounts of each colour that stop at the beginning of April.
LOST = {"green": 3, "amber": 10, "red": 60}


@pytest.fixture(scope="module")
def light():
    """A certified light: of 4,000 accounts a tenth churn, and scores rank them well."""
    random = np.random.default_rng(1)
    p = np.where(random.random(4_000) < 0.15, 0.6, 0.01)
    y = (random.random(4_000) < p).astype(int)
    return TrafficLight(policy="certified").fit(p, y)


@pytest.fixture
def model(light):
    return as_model(light)


def as_model(light, version=1):
    evidence = [{"colour": "green", "accounts": 800, "churn_rate": 0.01, "churn_low": 0.0, "churn_high": 0.02,
                 "kept": True}]  # fmt: skip
    return LoadedModel(
        classifier=None,
        light=light,
        rules=(),
        profile=ReasonProfile({}, {}, {}),
        features=(),
        documents={"evidence.json": evidence},
        version=version,
        run_id="",
        tags={},
    )


def colours():
    names = [
        f"{colour}{n:03d}"
        for colour, count in (("green", GREEN), ("amber", AMBER), ("red", RED))
        for n in range(count)
    ]
    return pd.Series({name: name[:-3] for name in names})


def write_events(folder, *, late=()):
    """Weekly events of everybody until the end of June, but the lost stop; ``late`` came back all the same."""
    found = colours()
    last = {
        name: 90 if int(name[-3:]) < LOST[colour] and name not in late else 181
        for name, colour in found.items()
    }
    pd.DataFrame({"account_id": list(last)}).to_csv(folder / "accounts.csv", index=False)
    rows = [(name, START + timedelta(days=d)) for name, end in last.items() for d in range(0, end, 7)]
    pd.DataFrame(rows, columns=["account_id", "occurred_at"]).to_csv(folder / "events.csv", index=False)


@pytest.fixture
def project(tmp_path):
    write_events(tmp_path)
    (tmp_path / "churnrisk.toml").write_text(INACTIVITY)
    return load_project(tmp_path)


def publish(store, as_of=SCORED, model="1"):
    found = colours()
    frame = pd.DataFrame(
        {"account_id": found.index, "colour": found.to_numpy(), "decided_by": "model", "owner": "Kim"}
    )
    return store.publish(NewRun(as_of, NOW, "i", model, "p"), frame).run


def record(project, model, *, data_are_new=True):
    with (
        HistoryStore(project.store_url) as store,
        checked_tables(project, now=NOW, progress=quiet) as checked,
    ):
        run = NewRun(SCORED, NOW, "", str(model.version), "")
        task = ScoringTask(project, checked, model, tracking_of(project), store, run, quiet)
        return record_outcomes(task, data_are_new=data_are_new).runs


def quiet(stage):
    pass


def read(project):
    with HistoryStore(project.store_url) as store:
        return promises(store)


def test_outcomes_are_counted_once_the_label_window_is_over(project, model):
    with HistoryStore(project.store_url) as store:
        publish(store)
        publish(store, datetime(2026, 6, 20))
    assert record(project, model) == 2
    found = read(project)
    green, amber, red = found.colours
    assert [[one.verdict for one in colour.runs] for colour in (green, amber, red)] == [
        [OPEN, KEPT],
        [OPEN, NO_PROMISE],
        [OPEN, KEPT],
    ]
    counted = {colour.colour: (colour.known, colour.churned) for colour in found.colours}
    assert counted == {"green": (200, 3), "amber": (60, 10), "red": (100, 60)}
    assert found.missed == ((SCORED, 3),)
    assert found.next_known_at == datetime(2026, 7, 20)
    # both are published in July, when April was long over
    assert [one.in_hindsight for one in green.runs] == [False, True]
    outcome = green.runs[1].outcome
    exact = binomtest(3, 200).proportion_ci(0.95, method="exact")
    assert (outcome.low, outcome.high) == pytest.approx((exact.low, exact.high))
    assert outcome.rate == 3 / 200
    assert (outcome.tested_accounts, outcome.tested_kept) == (800, True)
    assert "at most" in green.latest.promise
    assert red.latest.at_least > 0.15


def test_doing_it_again_changes_nothing(project, model):
    with HistoryStore(project.store_url) as store:
        publish(store)
    record(project, model)
    before = read(project)
    assert record(project, model, data_are_new=False) == 0
    record(project, model)
    assert read(project) == before


def test_late_data_change_what_is_known(project, model):
    with HistoryStore(project.store_url) as store:
        publish(store)
    record(project, model)
    write_events(project.directory, late=("green000", "green001"))
    record(project, model)
    assert read(project).missed == ((SCORED, 1),)


def test_a_promise_that_the_outcomes_contradict_is_broken_and_a_close_miss_unclear(
    project, light, monkeypatch
):
    with HistoryStore(project.store_url) as store:
        publish(store)
    strict = light.to_dict()
    strict["fitted"] |= {"green_max_churn_": 0.001, "red_min_churn_": 0.65}
    record(project, as_model(TrafficLight.from_dict(strict)))
    green, _, red = read(project).colours
    assert (green.count(BROKEN), red.count(UNCLEAR)) == (1, 1)
    assert (green.rate, red.rate) == (0.015, 0.6)


def test_a_run_of_a_model_that_is_gone_is_counted_without_a_promise(project, model):
    with HistoryStore(project.store_url) as store:
        publish(store, model="7")
    record(project, model)
    (green, *_) = read(project).colours
    assert (green.runs[0].verdict, green.churned, green.latest.promise) == (NO_PROMISE, 3, "")


def test_before_anything_is_stored_the_page_is_empty_and_not_wrong(project):
    with HistoryStore(project.store_url) as store:
        assert promises(store).run is None
        publish(store)
        found = promises(store)
    assert found.run.as_of == SCORED
    assert [colour.latest for colour in found.colours] == [None, None, None]
    assert (found.missed, found.next_known_at) == ((), None)


def test_the_teams_page_shows_missed_churners_with_their_run(project, model):
    with HistoryStore(project.store_url, pooled=True) as store:
        publish(store)
        assert [one.missed for one in monday(store, now=NOW).over_time] == [None]
        record(project, model)
        assert [one.missed for one in monday(store, now=NOW).over_time] == [3]
        assert [one.missed for one in monday(store, now=NOW, scope="kim").over_time] == [None]
