"""The smallest realistic change: real features in a real engine, a model whose log-odds can be read off."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from churnrisk.features import (
    FEATURE_TABLE,
    FeatureConfig,
    LeverEffects,
    build_features,
    pairs_of,
    select_features,
    select_levers,
)
from churnrisk.lights import DEFAULT_RULES, Rule, apply_rules
from churnrisk.model import ChurnClassifier, ReasonProfile
from churnrisk.records import Colour, WhatIf
from churnrisk.scoring import WhatIfFinder, add_what_ifs
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.store import read_what_if, with_texts
from tests.world import Row, World, at, opened, row

pytestmark = pytest.mark.slow

AS_OF = at(300)
INPUTS = FEATURE_TABLE.inputs
ACCOUNTS = 260
GREEN_BELOW, RED_FROM = 0.25, 0.6
ORDER = ["green", "amber", "red"]


def make_world() -> World:
    """Accounts that use the product more or less, a third of them with an open complaint."""
    rng = random.Random(5)
    tables: dict[str, list[Row]] = {name: [] for name in ("accounts", "events", "complaints")}
    for i in range(ACCOUNTS):
        name = f"a{i:03}"
        tables["accounts"].append(row("accounts", account_id=name, signed_up_at=at(0)))
        for _ in range(rng.randrange(1, 60)):
            happened = at(rng.randrange(200, 300 - rng.randrange(0, 60))) + timedelta(hours=8)
            used = {"feature": f"f{rng.randrange(5)}", "user_id": f"u{rng.randrange(4)}"}
            tables["events"].append(row("events", account_id=name, occurred_at=happened, **used))
        if i % 3 == 0:
            severity = float(rng.randrange(1, 5))
            opened_at = at(rng.randrange(260, 295))
            tables["complaints"].append(
                row("complaints", account_id=name, opened_at=opened_at, severity=severity)
            )
    return World(tables)


class Case:
    """Features of a world, a model fitted to them, and the colours of model and rules."""

    def __init__(self, tables, candidate: str, rules=DEFAULT_RULES, *, complaints_matter=True) -> None:
        self.tables = tables
        build_panel(tables, ChurnConfig(definition="inactivity"), [AS_OF], data_end=at(10_000))
        self.features = select_features(FeatureConfig(), tables.available)
        frame = build_features(tables, self.features, labelled_only=False)
        self.X = frame.X
        rng = np.random.default_rng(0)
        risk = (
            2.5 * complaints_matter * (self.X["open_complaints"] > 0)
            - 0.5 * self.X["active_days_7"]
            - 0.5 * self.X["users_30"]
            + 0.5
        )
        churned = rng.random(len(self.X)) < expit(risk)
        monotone = {f.name: f.monotone for f in self.features if f.monotone}
        many, labels = pd.concat([self.X] * 4), np.tile(churned, 4)
        self.classifier = ChurnClassifier(
            candidates=(candidate,), monotone=monotone, n_models=1, max_iter=60
        ).fit(many, labels)
        self.profile = ReasonProfile.fit(self.X, churned, self.features)
        self.rules = rules
        self.p = self.classifier.predict_proba(self.X)[:, 1]
        self.colours = self.assign_colours(self.p, self.X)
        self.levers = select_levers(FeatureConfig(), tables.available)
        self.finder = WhatIfFinder(
            self.classifier, rules, lambda rows, p: light(p), self.profile, self.features, self.levers
        )

    def assign_colours(self, p, X) -> list[str]:
        return apply_rules(X, light(p), self.rules)["colour"].tolist()

    def find(self) -> list[WhatIf]:
        accounts = self.X.index.get_level_values("account_id")
        scores = pd.DataFrame({"account_id": accounts, "colour": self.colours, "raw_colour": self.colours})
        add_what_ifs(scores, self.X, self.finder, self.tables.engine, INPUTS, kinds=None, as_of=AS_OF)
        return scores["turnaround"].tolist()


def light(p):
    return np.select([p >= RED_FROM, p >= GREEN_BELOW], ["red", "amber"], "green").astype(object)


@pytest.fixture(scope="module", params=["additive", "logistic", "full"])
def case(request):
    with opened(make_world()) as tables:
        yield Case(tables, request.param)


@pytest.fixture(scope="module")
def found(case):
    return case.find()


def test_every_red_and_amber_account_gets_an_answer_and_no_green_one(case, found):
    assert [what_if is not None for what_if in found] == [colour != "green" for colour in case.colours]
    assert sum(what_if is not None and bool(what_if.levers) for what_if in found) > 20
    assert any(what_if is not None and len(what_if.levers) == 2 for what_if in found)


def after(case, names: tuple[str, ...]) -> pd.DataFrame:
    """All rows with all doses of some levers, and what model and rules say of them."""
    by_name = {lever.name: lever for lever in case.levers}
    levers = [by_name[name] for name in names]
    effects = LeverEffects(
        case.tables.engine, INPUTS, case.features, case.X.index.get_level_values("account_id"), as_of=AS_OF
    )
    (changed,) = effects.features(levers)
    if changed.empty:
        return changed.assign(p=0.0, colour="", does=False)
    X = case.X.iloc[changed["place"]].copy()
    for name in changed.columns.intersection(X.columns):
        X[name] = changed[name].to_numpy()
    p = case.classifier.predict_proba(X)[:, 1]
    realistic = np.ones(len(X), dtype=bool)
    for aim in {aim for lever in levers for aim in lever.aims} & set(X.columns):
        was = case.X[aim].to_numpy()[changed["place"]]
        low, high = case.profile.low[aim], case.profile.high[aim]
        realistic &= (X[aim].to_numpy() <= np.maximum(high, was)) & (
            X[aim].to_numpy() >= np.minimum(low, was)
        )
    turned = [ORDER.index(c) for c in case.assign_colours(p, X)]
    now = [ORDER.index(case.colours[place]) for place in changed["place"]]
    better = (np.array(turned) < np.array(now)) & (p <= case.p[changed["place"]] + 1e-9)
    return changed.assign(p=p, colour=[ORDER[code] for code in turned], does=better & realistic)


def test_a_what_if_is_what_the_model_and_the_rules_say(case, found):
    for names in {what_if.levers for what_if in found if what_if is not None and what_if.levers}:
        every = after(case, names)
        for place, what_if in enumerate(found):
            if what_if is None or what_if.levers != names:
                continue
            mine = every[(every["place"] == place) & every["does"]]
            match = mine[np.isclose(mine["p"], what_if.probability, atol=1e-9)]
            assert len(match)
            assert what_if.colour in set(match["colour"])
            assert ORDER.index(what_if.colour) < ORDER.index(case.colours[place])
            assert what_if.probability <= case.p[place] + 1e-9


def test_a_pair_is_offered_only_where_no_single_lever_does(case, found):
    does = set()
    for lever in case.levers:
        every = after(case, (lever.name,))
        does |= set(every.loc[every["does"], "place"])
    for place, what_if in enumerate(found):
        if what_if is not None:
            assert (len(what_if.levers) == 1) == (place in does)


def test_nothing_is_offered_only_where_no_pair_does_either(case, found):
    none = {place for place, what_if in enumerate(found) if what_if is not None and what_if.colour is None}
    assert none
    for pair in pairs_of(case.levers):
        every = after(case, tuple(lever.name for lever in pair))
        assert not none & set(every.loc[every["does"], "place"])


def test_the_smallest_dose_that_does_is_offered(case, found):
    for name in ("more days", "more people"):
        every = after(case, (name,))
        smallest = every[every["does"]].groupby("place")["dose_0"].min()
        for place, what_if in enumerate(found):
            if what_if is not None and what_if.levers == (name,):
                lever = next(lever for lever in case.levers if lever.name == name)
                assert what_if.steps == (lever.step(int(smallest[place])),)


def test_a_rule_that_stays_in_force_is_not_turned():
    with opened(make_world()) as tables:
        always = Rule("always", "tenure_days >= 0", "red", "x")
        what_ifs = Case(tables, "logistic", (always,)).find()
        assert {what_if.colour for what_if in what_ifs} == {None}
        assert "would give a better colour" in what_ifs[0].text


def test_resolving_the_complaint_lifts_the_rule_and_all_signals_of_it():
    with opened(make_world()) as tables:
        rule = Rule("open", "open_complaints >= 1", "red", "x")
        case = Case(tables, "additive", (rule,), complaints_matter=False)
        what_ifs = case.find()
        only_rule = [i for i in range(ACCOUNTS) if case.colours[i] == "red" and case.p[i] < GREEN_BELOW]
        assert len(only_rule) > 5
        for place in only_rule:
            assert what_ifs[place].levers == ("resolve complaints",)
            assert what_ifs[place].colour is Colour.GREEN
            (change,) = what_ifs[place].changes
            assert (change.feature, change.now, change.then) == ("open_complaints", 1.0, 0.0)


def test_a_colour_that_is_only_held_needs_no_step(case):
    accounts = case.X.index.get_level_values("account_id")
    scores = pd.DataFrame({"account_id": accounts, "colour": "amber", "raw_colour": "green"})
    add_what_ifs(scores, case.X, case.finder, case.tables.engine, INPUTS, kinds=None, as_of=AS_OF)
    what_if = scores["turnaround"].iloc[0]
    assert (what_if.colour, what_if.levers) == (Colour.GREEN, ())
    assert "say green already" in what_if.text


def test_peers_bound_what_is_realistic(case):
    """Where the peers never do it, it is not offered."""
    nobody = {aim: -1e9 for lever in case.levers for aim in lever.aims}
    never = ReasonProfile({}, {}, {}, by="segment", peers={"idle": ReasonProfile(nobody, {}, nobody)})
    scores = pd.DataFrame(
        {
            "account_id": case.X.index.get_level_values("account_id"),
            "colour": case.colours,
            "raw_colour": case.colours,
        }
    )
    add_what_ifs(
        scores,
        case.X,
        replace(case.finder, profile=never),
        case.tables.engine,
        INPUTS,
        kinds=pd.Series("idle", index=scores.index),
        as_of=AS_OF,
    )
    levers = {name for what_if in scores["turnaround"].dropna() for name in what_if.levers}
    assert levers <= {"resolve complaints"}


def test_the_sentence_promises_no_cause():
    what_if = WhatIf(
        Colour.AMBER, ("a", "b"), ("resolve the open complaint", "get 2 more people active"), 0.123
    )
    assert what_if.text == (
        "Resolve the open complaint and get 2 more people active: by the model and the rules, the next scoring would "
        "then say amber (churn 12.3% within the horizon), all else equal. No promise of cause."
    )


def test_a_rule_that_may_improve_turns_an_account_that_the_model_does_not():
    with opened(make_world()) as tables:
        many = Rule("many people", "users_30 >= 3", "green", "x", may_improve=True)
        case = Case(tables, "additive", (many,))
        always_red = replace(case.finder, light=lambda rows, p: np.full(len(p), "red", dtype=object))
        accounts = case.X.index.get_level_values("account_id")
        colours = ["green" if n >= 3 else "red" for n in case.X["users_30"]]
        scores = pd.DataFrame({"account_id": accounts, "colour": colours, "raw_colour": colours})
        add_what_ifs(scores, case.X, always_red, tables.engine, INPUTS, kinds=None, as_of=AS_OF)
        turned = scores["turnaround"].dropna().tolist()
        assert {what_if.levers for what_if in turned if what_if.levers} >= {("more people",)}
        assert {what_if.colour for what_if in turned} <= {Colour.GREEN, None}


def test_any_text_in_labels_comes_out_as_it_went_in(case):
    odd = 'a "quoted" \\ label,\n\x07 of \U0001f600 \u2028'
    features = [replace(feature, label=odd) for feature in case.features]
    accounts = case.X.index.get_level_values("account_id")
    scores = pd.DataFrame({"account_id": accounts, "colour": case.colours, "raw_colour": case.colours})
    add_what_ifs(
        scores,
        case.X,
        replace(case.finder, features=features),
        case.tables.engine,
        INPUTS,
        kinds=None,
        as_of=AS_OF,
    )
    changes = [
        change for text in with_texts(scores)["turnaround"].dropna() for change in read_what_if(text).changes
    ]
    assert {change.label for change in changes} == {odd}
