"""Why scores and colours move: the parts sum to the change, and each lands where it belongs."""

import json
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from churnrisk.lights import Rule, TrafficLight, apply_rules, decide
from churnrisk.model import ChurnClassifier, ReasonProfile
from churnrisk.records import Colour, Feature, Run
from churnrisk.scoring import MIN_CHANGE, Mover, PreviousRun, colour_causes
from churnrisk.store import contributions_texts

THEN, NOW = datetime(2026, 6, 1), datetime(2026, 7, 1)
FEATURES = (
    Feature(
        "days_idle", "recency", "days", "", "days since last event", "No activity for {value:.0f} days", +1
    ),
    Feature("users", "breadth", "people", "", "active people", "only {value:.0f} people active", -1),
)


def snapshot(rng, n, as_of):
    X = pd.DataFrame(
        {
            "days_idle": np.round(rng.exponential(20, n)),
            "users": np.round(rng.uniform(1, 9, n)),
            "tickets": rng.normal(size=n),
            "plan": pd.Categorical(rng.choice(["basic", "pro"], n), categories=["basic", "pro"]),
        }
    )
    X.loc[rng.random(n) < 0.1, "users"] = np.nan
    X.index = pd.MultiIndex.from_product(
        [[f"a{i}" for i in range(n)], [as_of]], names=["account_id", "as_of"]
    )
    return X


def outcome(rng, X):
    idle = X["days_idle"].to_numpy() * (1 + (X["plan"] == "pro").to_numpy())
    return (rng.random(len(X)) < expit(idle / 20 - 2 + X["tickets"].to_numpy())).astype(int)


@pytest.fixture(scope="module")
def models():
    """Models of every kind of contribution and calibration, by name."""
    rng = np.random.default_rng(5)
    X = snapshot(rng, 1500, THEN)
    later = snapshot(rng, 1500, NOW)
    y, y_later = outcome(rng, X), outcome(rng, later)
    made = {}
    for name in ("logistic", "additive", "full"):
        for calibration in ("sigmoid", "isotonic"):
            classifier = ChurnClassifier(
                candidates=(name,), calibration=calibration, max_iter=30, n_models=1, n_splits=2
            )
            made[f"{name} {calibration}"] = classifier.fit(X, y).calibrate(later, y_later)
    return made


def published(X, log_odds, *, colour="amber", grey=()):
    frame = pd.DataFrame({"log_odds": log_odds}, index=X.index.get_level_values("account_id"))
    frame["probability"] = expit(frame["log_odds"])
    for name in ("colour", "raw_colour", "model_colour"):
        frame[name] = colour
    frame["decided_by"] = "model"
    frame.loc[list(grey), ["log_odds", "probability"]] = np.nan
    return frame


def mover(classifier, version="2", policy="p", light=None, rules=()):
    light = light or (lambda p: np.where(np.isnan(p), "grey", "amber").astype(object))
    return Mover(
        classifier,
        version,
        policy,
        FEATURES,
        ReasonProfile({}, {"days_idle": 10.0}, {}),
        light,
        lambda X, colours: apply_rules(X, colours, rules)["colour"],
    )


def run_before(scores, X, *, version="2", policy="p", log_odds=None):
    run = Run(1, "k", THEN, THEN, version, policy, "i", len(scores), 0, len(scores), 0, 0)
    return PreviousRun(run, scores, X, log_odds)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["logistic", "additive", "full"]),
    calibration=st.sampled_from(["sigmoid", "isotonic"]),
    other=st.sampled_from([None, "logistic sigmoid", "full isotonic"]),
    loadable=st.booleans(),
)
def test_the_parts_sum_to_the_change_in_log_odds(models, seed, kind, calibration, other, loadable):
    rng = np.random.default_rng(seed)
    classifier = models[f"{kind} {calibration}"]
    X, then = snapshot(rng, 30, NOW), snapshot(rng, 30, THEN)
    model_before = models[other] if other else classifier
    # published on other data than today's, by perhaps another model; some accounts were grey
    old = published(then, model_before.decision_function(snapshot(rng, 30, THEN)), grey=["a3", "a4"])
    before = run_before(
        old,
        then.iloc[rng.permutation(30)[:25]],
        version="1" if other else "2",
    )
    if other and loadable:
        before = PreviousRun(before.run, old, before.X, model_before.decision_function(before.X))
    scores = published(X, classifier.decision_function(X)).reset_index()
    found = mover(classifier).moves(scores, X, before)
    change = scores["log_odds"].to_numpy() - old["log_odds"].to_numpy()
    described = np.abs(np.nan_to_num(change)) >= MIN_CHANGE
    assert [move is not None for move in found] == described.tolist()
    for move, total in zip(found, change, strict=True):
        if move is not None:
            assert move.log_odds == total
            assert sum(part.log_odds for part in move.parts) == pytest.approx(total, abs=1e-9)


def test_an_additive_model_moves_only_by_signals_that_changed(models):
    rng = np.random.default_rng(1)
    for name in ("additive sigmoid", "additive isotonic", "logistic isotonic"):
        then = snapshot(rng, 20, THEN)
        X = then.assign(days_idle=then["days_idle"] + 60).set_axis(
            pd.MultiIndex.from_product([then.index.get_level_values(0), [NOW]], names=then.index.names)
        )
        classifier = models[name]
        scores = published(X, classifier.decision_function(X)).reset_index()
        before = run_before(published(then, classifier.decision_function(then)), then)
        found = [move for move in mover(classifier).moves(scores, X, before) if move]
        assert found
        assert all([part.feature for part in move.parts] == ["days_idle"] for move in found)
        assert all(part.log_odds > 0 for move in found for part in move.parts)


def test_a_signal_is_shown_with_the_value_it_had(models):
    classifier = models["additive sigmoid"]
    then = snapshot(np.random.default_rng(2), 1, THEN).assign(days_idle=2.0)
    X = then.assign(days_idle=40.0)
    before = run_before(published(then, classifier.decision_function(then)), then)
    scores = published(X, classifier.decision_function(X)).reset_index()
    (worse,) = mover(classifier).moves(scores, X, before)
    assert worse.parts[0].text == "no activity for 40 days (was 2 days)"
    assert worse.text.startswith("+")
    assert worse.text.endswith(" no activity for 40 days (was 2 days)")
    before = run_before(published(X, classifier.decision_function(X)), X)
    scores = published(then, classifier.decision_function(then)).reset_index()
    (better,) = mover(classifier).moves(scores, then, before)
    assert better.parts[0].text == "days since last event: 2 days (was 40 days)"
    assert better.log_odds == -worse.log_odds


def test_late_rows_and_a_new_model_are_separate_parts(models):
    old_model, classifier = models["logistic sigmoid"], models["additive sigmoid"]
    rng = np.random.default_rng(3)
    as_published, then = snapshot(rng, 40, THEN), snapshot(rng, 40, THEN)
    X = then  # nothing happened since
    scores = published(X, classifier.decision_function(X)).reset_index()
    old = published(then, old_model.decision_function(as_published))
    before = run_before(old, then, version="1", log_odds=old_model.decision_function(then))
    for i, move in enumerate(mover(classifier).moves(scores, X, before)):
        if move is None:
            continue
        parts = {part.kind: part.log_odds for part in move.parts}
        late = old_model.decision_function(then)[i] - old["log_odds"].iloc[i]
        assert parts.get("freshness", 0.0) == pytest.approx(late, abs=1e-9)
        assert parts["model"] == pytest.approx(move.log_odds - late, abs=1e-9)
        assert set(parts) <= {"freshness", "model"}


def test_a_model_that_is_gone_leaves_one_part_for_model_and_data(models):
    classifier = models["additive sigmoid"]
    X = snapshot(np.random.default_rng(3), 5, NOW)
    scores = published(X, classifier.decision_function(X)).reset_index()
    before = run_before(published(X, classifier.decision_function(X) - 1), X, version="1")
    for move in mover(classifier).moves(scores, X, before):
        (part,) = move.parts
        assert part.kind == "model and data"
        assert part.text == "new model version 2 and rows that came late"
        assert part.log_odds == pytest.approx(1)


def test_a_snapshot_that_is_gone_leaves_one_undivided_part(models):
    classifier = models["additive sigmoid"]
    X = snapshot(np.random.default_rng(3), 5, NOW)
    scores = published(X, classifier.decision_function(X)).reset_index()
    before = run_before(published(X, classifier.decision_function(X) + 1), X.iloc[:0])
    kinds = [[part.kind for part in move.parts] for move in mover(classifier).moves(scores, X, before)]
    assert kinds == [["undivided"]] * 5


def test_small_moves_new_accounts_and_green_ones_that_stay_are_not_described(models):
    classifier = models["additive sigmoid"]
    X = snapshot(np.random.default_rng(4), 4, NOW)
    now = classifier.decision_function(X)
    old = published(X, now - np.array([0.05, 2, 2, 2])).drop(index="a3")
    old.loc["a2", "colour"] = "green"
    scores = published(X, now).reset_index()
    scores.loc[2, "colour"] = "green"
    moves = mover(classifier).moves(scores, X, run_before(old, X))
    assert moves.notna().tolist() == [False, True, False, False]
    assert mover(classifier).moves(scores.iloc[:1], X.iloc[:1], run_before(old, X)).isna().all()


def test_a_colour_that_comes_or_goes_with_eligibility_has_no_parts(models):
    classifier = models["additive sigmoid"]
    X = snapshot(np.random.default_rng(4), 1, NOW)
    old = published(X, [np.nan], colour="grey")
    scores = published(X, classifier.decision_function(X)).reset_index()
    (move,) = mover(classifier).moves(scores, X, run_before(old, X))
    assert (move.because, move.previous_colour, move.log_odds, move.parts) == (
        "eligibility",
        Colour.GREY,
        None,
        (),
    )
    assert move.since == THEN


G, A, R = "green", "amber", "red"


@pytest.mark.parametrize(
    ("old", "new", "again", "because"),
    [
        # (shown, raw, model, decided by), the same now, (by thresholds, by rules)
        ((G, G, G, "model"), (R, R, R, "model"), (G, G), "score"),
        ((G, G, G, "model"), (A, A, A, "model"), (A, G), "policy"),
        ((G, G, G, "model"), (R, R, R, "model"), (A, G), "score"),
        ((A, A, A, "model"), (G, G, G, "model"), (G, A), "policy"),
        ((G, G, G, "model"), (R, R, G, "rule"), (G, G), "rule"),
        ((G, G, G, "model"), (R, R, A, "rule"), (G, G), "rule"),
        ((G, G, G, "model"), (R, R, G, "rule"), (G, R), "policy"),
        ((R, R, G, "rule"), (G, G, G, "model"), (G, R), "rule"),
        ((R, R, G, "rule"), (G, G, G, "model"), (G, G), "policy"),
        ((A, A, G, "rule"), (R, R, R, "model"), (G, A), "score"),
        ((G, R, R, "override"), (R, R, R, "model"), (R, R), "override"),
        ((R, R, R, "model"), (G, R, R, "override"), (R, R), "override"),
        ((R, G, G, "hysteresis"), (G, G, G, "model"), (G, G), "hysteresis"),
        ((R, G, G, "hysteresis"), (A, A, A, "model"), (G, G), "hysteresis"),
        ((R, R, R, "model"), (A, G, G, "hysteresis"), (R, R), "score"),
        ((R, R, R, "model"), ("grey", "grey", "grey", "eligibility"), (R, R), "eligibility"),
    ],
)
def test_the_cause_of_a_colour_in_one_word(old, new, again, because):
    columns = ["colour", "raw_colour", "model_colour", "decided_by"]
    frames = [pd.DataFrame([row], columns=columns) for row in (new, old)]
    by_thresholds, by_rules = again
    assert list(colour_causes(*frames, by_thresholds=[by_thresholds], by_rules=[by_rules])) == [because]


@pytest.mark.parametrize(
    ("threshold", "rules", "because"),
    [
        (0.7, (), "policy"),
        (2.0, (Rule("many_tickets", "tickets > -100", "red", "x"),), "policy"),
    ],
)
def test_new_thresholds_and_new_rules_are_the_policy(models, threshold, rules, because):
    classifier = models["additive sigmoid"]
    X = snapshot(np.random.default_rng(6), 30, NOW)
    log_odds = classifier.decision_function(X)
    p = expit(log_odds)
    light = TrafficLight("fixed", amber_from=0.0, red_from=0.999).fit(p, (p > 0.5).astype(int))
    old = decide(p, X, light=light, rules=())
    old = old.droplevel("as_of").assign(log_odds=log_odds, probability=p)
    lower = TrafficLight("fixed", amber_from=0.0, red_from=min(threshold, 0.999)).fit(
        p, (p > 0.5).astype(int)
    )
    new = decide(p, X, light=lower, rules=rules).droplevel("as_of").assign(log_odds=log_odds, probability=p)
    moves = mover(classifier, policy="new", light=lower.predict, rules=rules).moves(
        new.reset_index(), X, run_before(old, X)
    )
    causes = {move.because for move in moves if move}
    assert causes == {because}


def test_contributions_are_stored_exact_and_without_the_ones_that_say_nothing():
    frame = pd.DataFrame({'a "b": 0.0,': [0.0, 1 / 3], "c": [-2 / 3, 0.0], "d": [0.0, -0.0], "e": [0.0, 0.0]})
    rows = [json.loads(row) for row in contributions_texts(frame)]
    assert rows[0].keys() == {"c"}
    assert rows[1].keys() == {'a "b": 0.0,'}
    assert rows[0]["c"] == pytest.approx(-2 / 3, abs=1e-15)
    assert [json.loads(row) for row in contributions_texts(frame[["d", "e"]])] == [{}, {}]
