from datetime import datetime

import pytest

from churnrisk.records import Reason
from churnrisk.web import wording


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        (10.0, 12.0, "▼ −2"),  # noqa: RUF001 - as it is shown
        (1_200_000.0, 1_000_000.0, "▲ +200,000"),
        (5.0, 5.0, "no change"),
        (5.0, None, "nothing to compare with yet"),
    ],
)
def test_changes_have_a_shape_and_a_number(now, before, said):
    assert wording.change(now, before) == said


@pytest.mark.parametrize(
    ("sentence", "action", "how"),
    [
        (
            "Call them (account owner, phone, within 2 days).",
            "Call them.",
            "account owner, phone, within 2 days",
        ),
        ("Call them (now). Then mail (later).", "Call them (now). Then mail.", "later"),
        ("Just call them", "Just call them", ""),
        ("", "", ""),
    ],
)
def test_a_next_step_is_told_apart_from_who_does_it_how(sentence, action, how):
    step = wording.step(sentence)
    assert (step.action, step.how) == (action, how)


@pytest.mark.parametrize(
    ("value", "said"), [(None, "–"), ("basic", "basic"), (1234.5, "1,234"), (3.0, "3"), (0.12345, "0.123")]
)
def test_values_of_signals_are_short(value, said):
    assert wording.quantity(value) == said


def test_usual_ranges_are_shown_where_they_are_known():
    reason = Reason("f", "recency", "text", 1.0, 0.1)
    assert wording.usual(reason) == "–"
    assert wording.usual(Reason("f", "recency", "text", 1.0, 0.1, 2.0, 9.5)) == "2 to 9.5"
    assert wording.usual(Reason("f", "recency", "text", 1.0, 0.1, 2.0, 2.0)) == "2"


def test_dates_are_iso():
    assert wording.day(datetime(2026, 7, 1, 9)) == "2026-07-01"
    assert wording.moment(datetime(2026, 7, 1, 9, 5)) == "2026-07-01 09:05"
    assert wording.day(None) == wording.moment(None) == "–"


def test_one_is_not_many():
    assert wording.plural(1, "account") == "1 account"
    assert wording.plural(1200, "account") == "1,200 accounts"


def test_an_unknown_family_is_still_a_name():
    assert wording.family("value") == "Value and contract"
    assert wording.family("some_signal") == "Some signal"
