import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.lights import lifecycle_stage, load_playbook

HAPPY = {
    "open_complaints": 0.0,
    "overdue_ratio": 0.5,
    "days_since_last_event": 3.0,
    "active_days_365": 120.0,
}


def stage_of(tenure, score, **signals):
    return lifecycle_stage(pd.Series([tenure]), pd.Series([score]), pd.DataFrame([HAPPY | signals])).item()


def test_without_signals_the_stage_follows_tenure_first_and_then_the_last_answer():
    tenure = pd.Series([10, 89, 90, 400, 400, np.nan], index=list("abcdef"))
    score = pd.Series([10, 3, np.nan, 9, 8, 10], index=tenure.index)
    stages = ["adopter", "adopter", "loyalist", "advocate", "loyalist", "advocate"]
    assert lifecycle_stage(tenure, score).to_dict() == dict(zip("abcdef", stages, strict=True))


@pytest.mark.parametrize(
    ("score", "signals", "stage"),
    [
        (np.nan, {}, "loyalist"),
        (7.0, {}, "loyalist"),
        (9.0, {}, "advocate"),
        (6.0, {}, "adopter"),
        (9.0, {"open_complaints": 1.0}, "adopter"),
        (np.nan, {"overdue_ratio": 3.0, "days_since_last_event": 15.0}, "adopter"),
        (np.nan, {"overdue_ratio": 3.0, "days_since_last_event": 14.0}, "loyalist"),
        (9.0, {"overdue_ratio": 1.1, "days_since_last_event": 100.0}, "advocate"),  # a quarterly shop
        (np.nan, {"active_days_365": 1.0, "overdue_ratio": np.nan}, "adopter"),
        (np.nan, {"active_days_365": 0.0, "days_since_last_event": np.nan}, "adopter"),
        (np.nan, dict.fromkeys(HAPPY, np.nan), "loyalist"),
    ],
)
def test_a_customer_of_years_whose_value_is_not_proven_is_an_adopter_again(score, signals, stage):
    assert stage_of(1000.0, score, **signals) == stage


def test_signals_that_the_tables_do_not_feed_raise_no_doubt():
    stages = lifecycle_stage(pd.Series([400.0, 400.0]), pd.Series([np.nan, 5.0]), pd.DataFrame(index=[0, 1]))
    assert stages.to_list() == ["loyalist", "adopter"]


@given(
    tenure=st.floats(0, 4000),
    score=st.none() | st.integers(0, 10),
    complaints=st.integers(0, 3),
    overdue=st.floats(0, 10),
    days=st.integers(1, 300),
)
def test_nobody_in_doubt_is_offered_anything_even_when_green(tenure, score, complaints, overdue, days):
    signals = {
        "open_complaints": float(complaints),
        "overdue_ratio": overdue,
        "days_since_last_event": float(days),
    }
    score = np.nan if score is None else float(score)
    row = pd.DataFrame({"colour": ["green"], "stage": [stage_of(tenure, score, **signals)]})
    (play,) = load_playbook().choose(row, pd.DataFrame([signals | {"tenure_days": tenure}]))
    if score <= 6 or complaints or (overdue >= 3 and days > 14) or tenure < 90:
        assert play not in ("next offer", "review or referral ask")
