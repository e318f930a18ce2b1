import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import ContractError
from churnrisk.model import ReasonProfile, explain, quantity, sentence
from churnrisk.records import Feature

from .conftest import FEATURES


def explained(contributions, values, features=FEATURES, **more):
    index = pd.MultiIndex.from_tuples(
        [(f"a{i}", pd.Timestamp("2024-05-01")) for i in range(len(values))], names=["account_id", "as_of"]
    )
    X = pd.DataFrame(values, index=index)
    shares = pd.DataFrame(contributions, index=index, columns=X.columns)
    profile = ReasonProfile(
        {"days_since_last_event": 1.0, "nps": 6.0},
        {"days_since_last_event": 5.0, "nps": 8.0},
        {"days_since_last_event": 20.0, "nps": 9.0},
    )
    out = explain(shares, X, features, profile, **more)
    return out["reasons"].tolist()


def test_the_largest_positive_contribution_comes_first_in_its_own_words():
    values = [{"days_since_last_event": 41.0, "complaints_open": 2.0, "nps": 8.0}]
    reasons = explained([[1.5, 0.4, -0.2]], values)[0]
    assert reasons[0].text == "No activity for 41 days"
    assert [r.feature for r in reasons] == ["days_since_last_event", "complaints_open"]
    assert (reasons[0].usual_low, reasons[0].usual_high) == (1.0, 20.0)


def test_a_value_on_the_safe_side_is_told_neutrally():
    reasons = explained([[0.3]], [{"days_since_last_event": 2.0}])[0]
    assert reasons[0].text.startswith("Days since last event: 2 days (usually 1")


def test_a_missing_value_is_told_as_missing():
    reason = explained([[0.3]], [{"nps": np.nan}])[0][0]
    assert reason.text == "No last NPS answer on record"
    assert reason.value is None


def test_every_row_has_a_reason_even_without_a_positive_contribution():
    reasons = explained([[-0.5, -0.1]], [{"days_since_last_event": 41.0, "nps": 3.0}])[0]
    assert [r.feature for r in reasons] == ["nps"]
    assert reasons[0].text.startswith("Last NPS answer: 3")


def test_any_text_and_number_comes_out_as_it_went_in():
    odd = 'a "quoted" \\ name,\n\x07 of \U0001f600 \u2028'
    features = [
        Feature("plan", "value", "", "", odd, "{value}"),
        Feature("x", "value", "", "", "x", "{value:.1f}"),
    ]
    previous = pd.DataFrame({"plan": ["'old'"], "x": [-np.inf]}, index=pd.Index(["a0"], name="account_id"))
    values = [{"plan": odd, "x": -0.0}, {"plan": odd, "x": 0.0}, {"plan": odd, "x": np.inf}]
    first, second, third = explained([[0.4, 0.3]] * 3, values, features, previous=previous)
    assert (first[0].text, first[0].value, first[0].previous) == (odd, odd, "'old'")
    assert (first[1].text, first[1].previous) == ("0.0", -np.inf)
    assert second[1].text == "0.0"
    assert third[1].value == np.inf


def test_at_most_two_reasons_of_one_family():
    features = [Feature(f"f{i}", "recency", "days", "", f"f {i}", "{value}") for i in range(3)]
    features.append(Feature("g", "value", "", "", "g", "{value}"))
    reasons = explained([[0.9, 0.8, 0.7, 0.1]], [{"f0": 1.0, "f1": 1.0, "f2": 1.0, "g": 1.0}], features)[0]
    assert [r.feature for r in reasons] == ["f0", "f1", "g"]


def test_the_previous_value_comes_from_the_last_snapshot():
    previous = pd.DataFrame({"days_since_last_event": [9.0]}, index=pd.Index(["a0"], name="account_id"))
    values = [{"days_since_last_event": 41.0}, {"days_since_last_event": 41.0}]
    first, second = explained([[1.0], [1.0]], values, previous=previous)
    assert first[0].previous == 9.0
    assert second[0].previous is None


def test_categories_are_told_by_name():
    assert explained([[0.4]], [{"plan": "basic"}])[0][0].text == "Plan basic"


@pytest.mark.slow
@given(
    cells=st.lists(
        st.tuples(st.floats(-3, 3), st.one_of(st.just(np.nan), st.floats(-1e7, 1e7))), min_size=1, max_size=30
    )
)
def test_reasons_are_positive_and_no_text_ever_says_nan(cells):
    values = [{"days_since_last_event": v, "nps": v} for _, v in cells]
    for reasons, (share, _) in zip(explained([[s, s / 2] for s, _ in cells], values), cells, strict=True):
        assert 1 <= len(reasons) <= 2
        assert all(r.contribution > 0 for r in reasons) or share <= 3e-4
        assert "nan" not in json.dumps([r.text for r in reasons]).lower()


def test_the_planted_cause_is_the_first_reason(additive, panel):
    X, y, _ = panel
    risky = X.iloc[:20].copy()
    risky["days_since_last_event"] = 95.0
    profile = ReasonProfile.fit(X, y, FEATURES)
    out = explain(additive.contributions(risky), risky, FEATURES, profile)
    first = [reasons[0] for reasons in out["reasons"]]
    assert np.mean([r.feature == "days_since_last_event" for r in first]) > 0.8


def test_a_profile_survives_json_and_knows_retained_accounts_only(panel):
    X, y, _ = panel
    profile = ReasonProfile.fit(X, y, FEATURES)
    assert ReasonProfile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
    retained = X["features_30"][y == 0]
    assert profile.high["features_30"] == pytest.approx(retained.quantile(0.9))
    assert "plan" not in profile.low


def segments(X):
    """Every third account is small; few are of a kind of their own."""
    number = X.index.get_level_values("account_id").str[1:].astype(int)
    kinds = np.where(number % 3 == 0, "small", "large").astype(object)
    kinds[number < 20] = "rare"
    return pd.Series(kinds, index=X.index, name="segment")


def test_peers_have_ranges_of_their_own_where_they_are_enough(panel):
    X, y, _ = panel
    X = X.assign(features_30=X["features_30"] + 100 * (segments(X) == "small"))
    profile = ReasonProfile.fit(X, y, FEATURES, groups=segments(X))
    assert profile.by == "segment"
    assert set(profile.peers) == {"small", "large"}
    assert profile.of("small").low["features_30"] > 100 > profile.of("large").high["features_30"]
    assert profile.of("rare") is profile
    assert profile.of(None) is profile
    assert ReasonProfile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
    low, high = profile.bounds("features_30", np.array(["large", "small", "rare", None], dtype=object))
    assert low[1] == profile.of("small").low["features_30"]
    assert (high[2], high[3]) == (profile.high["features_30"],) * 2
    assert np.isnan(profile.bounds("plan", np.array([None], dtype=object))).all()


def test_a_profile_without_peers_is_stored_as_before(panel):
    X, y, _ = panel
    assert set(ReasonProfile.fit(X, y, FEATURES).to_dict()) == {"low", "median", "high"}


def test_reasons_say_with_whom_an_account_is_compared():
    peers = ReasonProfile({"nps": 9.0}, {"nps": 9.5}, {"nps": 10.0}, who="in segment Enterprise")
    profile = ReasonProfile(
        {"nps": 1.0}, {"nps": 2.0}, {"nps": 3.0}, by="segment", peers={"Enterprise": peers}
    )
    index = pd.MultiIndex.from_product(
        [["a", "b", "c"], [pd.Timestamp("2024-05-01")]], names=["account_id", "as_of"]
    )
    X = pd.DataFrame({"nps": [8.0, 8.0, np.nan]}, index=index)
    shares = pd.DataFrame({"nps": [1.0, 1.0, 1.0]}, index=index)
    kinds = np.array(["Enterprise", "SMB", "Enterprise"], dtype=object)
    first_reasons = [reasons[0] for reasons in explain(shares, X, FEATURES, profile, kinds=kinds)["reasons"]]
    assert first_reasons[0].text == "NPS of 8"
    assert first_reasons[0].comparison == "retained customers in segment Enterprise: 9 to 10"
    assert first_reasons[1].text == "Last NPS answer: 8 (usually 1–3)"
    assert first_reasons[1].comparison == "retained customers: 1 to 3"
    assert first_reasons[2].peers == "in segment Enterprise"
    assert first_reasons[2].comparison == "", "a range of days does not compare with never"


def test_a_neutral_sentence_names_the_peers():
    days = Feature("x", "value", "days", "", "days to renewal", "Renews in {value:.0f} days")
    peers = ReasonProfile({"x": 2.0}, {"x": 5.0}, {"x": 9.0}, who="on plan Team")
    assert sentence(days, 12.0, peers, for_churn=True) == "Renews in 12 days (usually 2–9 on plan Team)"


def test_frames_of_different_rows_are_refused(panel):
    X = panel[0]
    with pytest.raises(ContractError, match="on one index"):
        explain(X.iloc[:2], X.iloc[1:3], FEATURES, ReasonProfile({}, {}, {}))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.345, "share", "34.5 %"),
        (1.0, "days", "1 day"),
        (12345.6, "events", "12,346 events"),
        (1.0, "flag", "yes"),
    ],
)
def test_quantities_read_well(value, unit, text):
    assert quantity(value, unit) == text
