"""Sentences for people."""

import pytest

from churnrisk.model import ReasonProfile, sentence
from churnrisk.records import Feature

PROFILE = ReasonProfile({"x": 2.0}, {"x": 5.0}, {"x": 9.0})


def signal(why, *, monotone=0, unit="", why_missing=""):
    return Feature("x", "recency", unit, "", "signal", why, monotone, why_missing=why_missing)


@pytest.mark.parametrize(
    ("why", "value", "text"),
    [
        ("Only {value:.0f} events in the last 7 days", 1.0, "Only 1 event in the last 7 days"),
        ("Only {value:.0f} events in the last 7 days", 0.0, "No events in the last 7 days"),
        ("Active on only {value:.0f} of the last 30 days", 0.0, "Not active on any of the last 30 days"),
        ("Silent {value:.1f} times as long as usual", 124.1, "Silent 124.1 times as long as usual"),
        ("No activity for {value:.0f} days", 21.0, "No activity for 21 days"),
    ],
)
def test_numbers_and_nouns_agree(why, value, text):
    assert sentence(signal(why), value, PROFILE, for_churn=True).startswith(text)


def test_a_directed_sentence_is_told_on_the_churn_side_alone():
    only = signal("Only {value:.0f} people active", monotone=-1, unit="people")
    assert sentence(only, 3.0, PROFILE, for_churn=True) == "Only 3 people active"
    assert sentence(only, 8.0, PROFILE, for_churn=True) == "Signal: 8 people (usually 2–9)"
    assert sentence(only, 3.0, PROFILE, for_churn=False) == "Signal: 3 people (usually 2–9)"


def test_a_trend_that_merely_rises_less_than_others_is_not_falling():
    trend = signal("Activity is falling", monotone=-1, unit="trend")
    assert sentence(trend, 1.0, PROFILE, for_churn=True).startswith("Signal: 1")
    assert sentence(trend, -0.5, PROFILE, for_churn=True) == "Activity is falling"


def test_a_missing_value_has_words_of_its_own():
    assert sentence(signal("", why_missing="Never asked"), None, PROFILE, for_churn=True) == "Never asked"
    assert sentence(signal(""), None, PROFILE, for_churn=True) == "No signal on record"
