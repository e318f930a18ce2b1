"""A promise that later outcomes break is withdrawn by itself, over real tables and a real history."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from churnrisk.errors import BrokenPromiseError
from churnrisk.lights import Promise, TrafficLight
from churnrisk.model import ReasonProfile
from churnrisk.monitoring import IN_FORCE, NO_PROMISE, WITHDRAWN, promises
from churnrisk.records import Colour
from churnrisk.scoring import ScoringTask, record_outcomes
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore, NewRun
from churnrisk.tracking import LoadedModel
from churnrisk.training import checked_tables, tracking_of
from tests.projects import INACTIVITY

START = datetime(2025, 1, 1)
FIRST = datetime(2025, 3, 1)
GREEN = 400


def as_model(**settings):
    rng = np.random.default_rng(1)
    p = np.where(rng.random(4_000) < 0.15, 0.6, 0.01)
    y = (rng.random(4_000) < p).astype(int)
    light = TrafficLight(**settings).fit(p, y)
    if settings.get("policy", "certified") == "certified":
        saved = light.to_dict()
        saved["fitted"] |= {"green_max_churn_": 0.02, "red_min_churn_": 0.4}
        saved["fitted"] |= {"green_rungs_": [0.02], "red_rungs_": [0.4]}
        light = TrafficLight.from_dict(saved)
    return LoadedModel(
        classifier=None,
        light=light,
        rules=(),
        profile=ReasonProfile({}, {}, {}),
        features=(),
        documents={},
        version=1,
        run_id="",
        tags={},
    )


@pytest.fixture
def project(tmp_path):
    (tmp_path / "churnrisk.toml").write_text(INACTIVITY)
    return load_project(tmp_path)


def write_tables(folder, until):
    """400 green accounts, of which a tenth falls silent every 30 days, and 50 red ones that all stay, so far."""
    last = {f"green{n:03d}": 60 + 30 * (n // 40) for n in range(GREEN)} | {
        f"red{n:02d}": 400 for n in range(50)
    }
    pd.DataFrame({"account_id": list(last)}).to_csv(folder / "accounts.csv", index=False)
    days = (until - START).days
    rows = [
        (name, START + timedelta(days=d)) for name, end in last.items() for d in range(0, min(end, days), 5)
    ]
    pd.DataFrame(rows, columns=["account_id", "occurred_at"]).to_csv(folder / "events.csv", index=False)


def publish(store, as_of, *, published_at=None, model="1"):
    names = [f"green{n:03d}" for n in range(GREEN)] + [f"red{n:02d}" for n in range(50)]
    frame = pd.DataFrame(
        {"account_id": names, "colour": [name.rstrip("0123456789") for name in names], "decided_by": "model"}
    )
    published_at = published_at or as_of + timedelta(hours=9)
    return store.publish(NewRun(as_of, published_at, f"{published_at}", model, "p"), frame).run


def record(project, model, now):
    write_tables(project.directory, now)
    with (
        HistoryStore(project.store_url) as store,
        checked_tables(project, now=now, progress=lambda _: None) as checked,
    ):
        run = NewRun(now, now, "", str(model.version), "")
        task = ScoringTask(project, checked, model, tracking_of(project), store, run, lambda _: None)
        return record_outcomes(task, data_are_new=True)


def read(project):
    with HistoryStore(project.store_url) as store:
        return promises(store)


def score_every(project, model, days, *, runs, hindsight=False):
    """Publish runs and record outcomes after each, as a batch job does; return what was withdrawn when."""
    when = []
    for place in range(runs):
        as_of = FIRST + timedelta(days=days * place)
        now = as_of + (timedelta(days=200) if hindsight else timedelta(hours=9))
        with HistoryStore(project.store_url) as store:
            publish(store, as_of, published_at=now)
        when += [(as_of, one) for one in record(project, model, now).withdrawn]
    return when


def test_a_broken_promise_is_withdrawn_by_itself_and_the_run_that_finds_it_no_longer_makes_it(project):
    ((when, gone), *others) = score_every(project, as_model(), 30, runs=6)
    # no earlier than two windows have ended
    assert when >= FIRST + timedelta(days=60)
    assert (gone.colour, gone.at_most, gone.model_version, gone.horizon_days) == ("green", 0.02, "1", 30)
    assert gone.withdrawn_at == when + timedelta(hours=9)
    assert gone.first_as_of == FIRST
    assert gone.windows == (gone.last_as_of - FIRST).days // 30 + 1 >= 2
    green, amber, red = read(project).colours
    assert [one.outcome.promise for one in green.runs if one.as_of >= when] == [""] * (
        6 - (when - FIRST).days // 30
    )
    assert all(one.outcome.at_most == 0.02 for one in green.runs if one.as_of < when)
    assert (green.state, amber.state) == (WITHDRAWN, NO_PROMISE)
    assert green.text == (
        f"No promise: withdrawn since {gone.withdrawn_at:%Y-%m-%d}, because churn of at most 2.00% within 30 days was "
        f"promised and {gone.churned} of {gone.rows} churned ({gone.churned / gone.rows:.2%}) in {gone.windows} "
        f"separate windows since 2025-03-01 (e-value {gone.e_value:,.0f})."
    )
    # nobody who is red left, though at least 40 % were promised to
    assert [one.colour for _, one in others] == ["red"]
    assert red.state == WITHDRAWN
    with pytest.raises(BrokenPromiseError, match=r"model version 1 to hold, found green: .* Train again"):
        read(project).require_kept()


def test_nightly_runs_bet_once_per_horizon(project):
    nightly = score_every(project, as_model(), 11, runs=9)
    ((when, gone),) = [(at, one) for at, one in nightly if one.colour == "green"]
    assert gone.windows <= 4
    assert gone.rows <= gone.windows * GREEN
    assert when >= FIRST + timedelta(days=60)


def test_runs_published_in_hindsight_prove_nothing(project):
    assert score_every(project, as_model(), 30, runs=3, hindsight=True) == []
    green, *_ = read(project).colours
    assert (green.state, green.evidence) == (IN_FORCE, None)
    assert green.text == "Not judged yet: every run was published after its outcomes had happened."
    assert all(run.in_hindsight for run in green.runs)


def test_a_run_replaced_in_hindsight_before_it_was_counted_still_counts(project):
    model = as_model()
    score_every(project, model, 30, runs=1)
    with HistoryStore(project.store_url) as store:
        publish(store, FIRST, published_at=datetime(2025, 9, 1))
    record(project, model, datetime(2025, 9, 1, 9))
    green, *_ = read(project).colours
    (window,) = green.evidence.windows
    assert (window.as_of, window.accounts, window.churned) == (FIRST, GREEN, 40)
    assert [run.in_hindsight for run in green.runs] == [True]


def test_a_new_model_starts_without_evidence_and_promises_again(project):
    model = as_model()
    score_every(project, model, 30, runs=6)
    with HistoryStore(project.store_url) as store:
        publish(store, datetime(2025, 9, 1), model="2")
    record(project, replace(model, version=2), datetime(2025, 9, 1, 9))
    green, *_ = read(project).colours
    assert (green.state, green.withdrawn) == (IN_FORCE, ())
    read(project).require_kept()


def test_a_light_that_promises_nothing_has_nothing_to_watch(project):
    assert score_every(project, as_model(policy="fixed", amber_from=0.1, red_from=0.5), 30, runs=3) == []
    assert [one.text for one in read(project).colours] == ["No promise, so there is nothing to watch."] * 3


def test_before_the_first_outcome_it_says_when_that_will_be(project):
    with HistoryStore(project.store_url) as store:
        publish(store, datetime(2025, 10, 1))
    record(project, as_model(), datetime(2025, 10, 1, 9))
    green, *_ = read(project).colours
    assert green.text == "Not judged yet: the first outcomes will be known on 2025-10-31."


class Ladder(TrafficLight):
    """A light that has certified two easier promises of green, of which the outcomes refute the first too."""

    @property
    def rungs_(self):
        easier = (Promise(Colour.GREEN, at_most=0.03), Promise(Colour.GREEN, at_most=0.5))
        return {**super().rungs_, Colour.GREEN: (*super().rungs_[Colour.GREEN], *easier)}


def test_the_next_certified_promise_takes_the_place_of_the_broken_one(project):
    model = as_model()
    withdrawn = score_every(
        project, replace(model, light=Ladder.from_dict(model.light.to_dict())), 30, runs=4
    )
    ((when, gone),) = [(at, one) for at, one in withdrawn if one.colour == "green"]
    green, *_ = read(project).colours
    assert gone.at_most == 0.02
    assert {one.outcome.at_most for one in green.runs if one.as_of < when} == {0.02}
    assert {one.outcome.at_most for one in green.runs if one.as_of >= when} == {0.5}
    assert green.state == IN_FORCE
    assert green.text.startswith(
        "Not contradicted: in 2 separate windows of 30 days since 2025-03-01 80 of 760 churned"
    )
    assert [one.at_most for one in green.withdrawn] == [0.03, 0.02]
    assert f"A stricter promise is withdrawn since {gone.withdrawn_at:%Y-%m-%d}, because" in green.text
