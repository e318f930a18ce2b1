"""The backtest on a small made-up company: it knows nothing too early and counts everything once."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from churnrisk.errors import ContractError, UsageError
from churnrisk.records import Colour
from churnrisk.sample import make_world, write_world
from churnrisk.settings import load_project
from churnrisk.training import backtest, colours_at, training_panel

pytestmark = pytest.mark.slow

NOW = datetime(2026, 7, 1)
SETTINGS = 'candidates = ["logistic"]\ncalibration_snapshots = 2'


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """A project of 500 accounts over 13 months, its panel, and its backtest."""
    folder = tmp_path_factory.mktemp("world")
    write_world(make_world(seed=11, accounts=500, months=13), folder)
    settings = (folder / "churnrisk.toml").read_text()
    settings = settings.replace("calibration_snapshots = 5", SETTINGS)
    settings = settings.replace('policy = "certified"', "green_max_churn = 0.035\nred_min_churn = 0.08")
    (folder / "churnrisk.toml").write_text(settings)
    project = load_project(folder)
    steps = []
    found = backtest(project, now=NOW, progress=steps.append)
    panel = training_panel(project, now=NOW, progress=steps.append)
    return project, panel, found, steps


def test_every_row_of_every_snapshot_is_counted_once(company):
    _, panel, found, _ = company
    rows = panel.X.groupby(level="as_of").size()
    for date in found.snapshots:
        at = [row for row in found.rows if row.as_of == date]
        assert [row.colour for row in at] == [Colour.GREEN, Colour.AMBER, Colour.RED]
        assert sum(row.accounts for row in at) == rows[date]
        assert sum(row.share for row in at) == pytest.approx(1.0)
        assert sum(row.churned for row in at) == panel.y.xs(date, level="as_of").sum()
    assert sum(row.rows for row in found.evidence) == sum(row.accounts for row in found.rows)


def test_snapshots_without_enough_history_are_named_with_the_reason(company):
    _, panel, found, steps = company
    dates = panel.X.index.get_level_values("as_of").unique()
    assert len(found.snapshots) + len(found.skipped) == len(dates)
    assert found.skipped[0][0] == dates.min()
    assert "as-of date" in found.skipped[0][1]
    assert sum(step.startswith("snapshot ") for step in steps) == len(dates)


def test_colours_depend_on_no_outcome_that_was_not_known_yet(company):
    project, panel, _, _ = company
    quick = replace(project, model=replace(project.model, test_snapshots=1))
    dates = panel.X.index.get_level_values("as_of")
    date = dates.unique().sort_values()[-2]
    later = dates > date - project.churn.outcome_delay
    other = replace(panel, y=panel.y.where(~later, 1 - panel.y))
    assert later.sum() > 0
    found, expected = (colours_at(one, date, quick, previous=None).colours for one in (other, panel))
    pd.testing.assert_frame_equal(found.drop(columns="churned"), expected.drop(columns="churned"))


def test_an_outcome_is_kept_broken_or_unclear_as_the_bounds_say(company):
    found = company[2]
    judged = [row for row in found.rows if row.outcome]
    assert judged
    for row in judged:
        most = 1.0 if row.at_most is None else row.at_most
        least = 0.0 if row.at_least is None else row.at_least
        assert (row.outcome == "kept") == (least <= row.churn_rate <= most)
        if row.outcome == "broken":
            assert row.churn_low > most * 0.5 or row.churn_high < least * 2
    assert sum(found.outcomes(Colour.GREEN).values()) == sum(
        row.colour == Colour.GREEN and row.accounts > 0 for row in found.rows
    )
    assert not any(row.outcome for row in found.rows if row.colour == Colour.AMBER)


def test_the_models_own_colours_are_judged_beside_the_final_ones(company):
    found = company[2]
    judged = sum(row.model_outcome != "" for row in found.rows if row.colour == Colour.GREEN)
    assert sum(found.outcomes(Colour.GREEN, of_model=True).values()) == judged
    # green only loses accounts to rules and hysteresis, so where it is left the model had one
    assert all(row.model_outcome for row in found.rows if row.colour == Colour.GREEN and row.outcome)


def test_hysteresis_lowers_the_flap_rate_and_loses_no_churner(company):
    # Thresholds that stay: certified ones come and go with so few churners, which nothing can smooth.
    fixed = {"policy": "fixed", "amber_from": 0.03, "red_from": 0.08}
    free = {"green_max_churn": None, "red_min_churn": None}
    steady = replace(company[0], decision=replace(company[0].decision, **fixed, **free))
    found = backtest(steady, now=NOW, progress=lambda step: None)
    assert 0 < found.final.flap_rate < found.without_hysteresis.flap_rate
    assert found.final.recall >= found.without_hysteresis.recall


def test_rules_only_move_accounts_out_of_green(company):
    found = company[2]
    green = [evidence[0].rows for evidence in (found.evidence, found.evidence_without_hysteresis)]
    assert green[0] <= green[1] <= found.evidence_without_rules[0].rows


def test_the_summary_holds_plain_values_only(company):
    import json

    content = json.loads(json.dumps(company[2].to_dict(), allow_nan=False))
    assert content["candidate"] == "logistic"
    assert content["summary"]["snapshots"] == len(company[2].snapshots)
    assert np.isclose(sum(content["summary"]["shares"].values()), 1.0)


def test_every_snapshot_tells_how_much_its_colours_pass_on(company):
    _, panel, found, _ = company
    assert [one.as_of for one in found.lights] == list(found.snapshots)
    for one in found.lights:
        rows = panel.y.xs(pd.Timestamp(one.as_of), level="as_of")
        assert (one.accounts, one.churned) == (len(rows), rows.sum())
        assert 0.5 < one.auc <= 1.0
        assert 0.0 < one.recency_auc < 1.0
    known = [one.model_efficiency for one in found.lights if not np.isnan(one.model_efficiency)]
    summary = found.to_dict()["summary"]
    assert summary["median_efficiency_of_model"] == pytest.approx(np.median(known))
    assert 0.0 < summary["efficiency"] < 1.0
    assert 0.0 < summary["efficiency_of_model"] < 1.0
    assert summary["flagged"] == pytest.approx(summary["shares"]["amber"] + summary["shares"]["red"])


def test_a_split_by_accounts_has_no_past_to_walk_through(company):
    project = company[0]
    flat = replace(project, model=replace(project.model, split="accounts"))
    with pytest.raises(UsageError, match="walks through time"):
        backtest(flat, now=NOW, progress=print)


def test_too_few_churners_to_train_on_are_too_few_to_look_back_on(company):
    project = company[0]
    few = replace(project, engine=replace(project.engine, max_panel_rows=250))
    with pytest.raises(ContractError, match="training needs at least 10 churned"):
        backtest(few, now=NOW, progress=lambda _: None)
