"""Overrides over a real history and real tables: made, listed, and held against what happened."""

from datetime import date, datetime, timedelta

import pandas as pd
import pytest

from churnrisk.errors import UsageError
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore, NewRun, active_overrides
from churnrisk.team import finish_override, list_overrides, make_override, review_overrides
from tests.projects import INACTIVITY

START = datetime(2026, 1, 1)
SCORED = datetime(2026, 4, 1)
NOW = datetime(2026, 4, 2, 9)


@pytest.fixture
def project(tmp_path):
    """Accounts of weekly events until the end of June; those named "left…" stop at the beginning of April."""
    last = {"left1": 90, "left2": 90, "stays1": 180, "stays2": 180, "gone": 20}
    pd.DataFrame({"account_id": list(last)}).to_csv(tmp_path / "accounts.csv", index=False)
    rows = [(name, START + timedelta(days=d)) for name, end in last.items() for d in range(0, end, 7)]
    pd.DataFrame(rows, columns=["account_id", "occurred_at"]).to_csv(tmp_path / "events.csv", index=False)
    (tmp_path / "churnrisk.toml").write_text(INACTIVITY)
    made = load_project(tmp_path)
    colours = {"left1": "green", "left2": "red", "stays1": "red", "stays2": "green", "gone": "grey"}
    frame = pd.DataFrame(
        {"account_id": list(colours), "colour": list(colours.values()), "decided_by": "model"}
    )
    with HistoryStore(made.store_url) as store:
        store.publish(NewRun(SCORED, SCORED, "i", "m", "p"), frame.assign(raw_colour=frame["colour"]))
    return made


def make(project, account="stays1", **changes):
    said = {"colour": "green", "reason": "renewed", "until": date(2026, 5, 1), "author": "Ada", "now": NOW}
    return make_override(project, account, **(said | changes))


def reviewed(project, *, now=datetime(2026, 7, 1)):
    found = review_overrides(project, now=now, progress=lambda stage: None)
    return {one.account_id: one for one in found}


def test_an_override_is_in_force_until_the_day_that_was_named_begins(project):
    told = make(project)
    assert (told.colour_before, told.expires_at) == ("red", datetime(2026, 5, 1))
    with HistoryStore(project.store_url) as store:
        assert len(active_overrides(store, at=datetime(2026, 4, 30, 23))) == 1
        assert active_overrides(store, at=datetime(2026, 5, 1)).empty


def test_an_unknown_account_is_refused_with_similar_ids_and_nothing_is_stored(project):
    with pytest.raises(UsageError, match=r"'stay1'.*stays1"):
        make(project, "stay1")
    assert list_overrides(project, now=NOW) == ()


@pytest.mark.parametrize(
    "changes", [{"until": date(2026, 4, 1)}, {"colour": "grey"}, {"reason": " "}, {"author": ""}]
)
def test_an_override_that_says_too_little_is_refused(project, changes):
    with pytest.raises(UsageError, match="an override expects"):
        make(project, **changes)


def test_the_list_tells_active_replaced_expired_and_ended_apart(project):
    for account in ("stays1", "stays1", "stays2", "left1"):
        make(project, account)
    make(project, "left2", until=date(2026, 4, 10))
    finish_override(project, 4, author="Ada", now=NOW)
    states = {one.override_id: one.state for one in list_overrides(project, now=datetime(2026, 4, 20))}
    assert states == {1: "replaced", 2: "active", 3: "active", 4: "ended", 5: "expired"}
    with pytest.raises(UsageError, match="found none with id 4"):
        finish_override(project, 4, author="Ada", now=NOW)


def test_a_review_says_who_was_right(project):
    for account, colour in (("left1", "red"), ("left2", "green"), ("stays1", "green"), ("stays2", "amber")):
        make(project, account, colour=colour)
    found = reviewed(project)
    verdicts = {
        name: (one.churned, one.model_colour, one.person_right, one.model_right)
        for name, one in found.items()
    }
    assert verdicts == {
        "left1": (True, "green", True, False),
        "left2": (True, "red", False, True),
        "stays1": (False, "red", True, False),
        "stays2": (False, "green", False, True),
    }
    assert (found["left1"].outcome, found["stays1"].outcome) == ("churned", "stayed")


def test_nobody_is_right_before_the_outcome_is_known(project):
    make(project, now=datetime(2026, 6, 20), until=date(2026, 8, 1))
    (one,) = reviewed(project).values()
    assert (one.churned, one.person_right, one.model_right) == (None, None, None)
    assert one.outcome == "open until 2026-07-20"


def test_an_override_of_an_account_that_was_gone_already_is_not_judged(project):
    make(project, "gone", colour="red")
    (one,) = reviewed(project).values()
    assert (one.person_right, one.model_right, one.model_colour) == (None, None, None)
    assert one.outcome.startswith("not eligible: no activity")


def test_the_model_is_not_judged_by_runs_after_the_override(project):
    make(project, now=datetime(2026, 3, 20))
    (one,) = reviewed(project).values()
    assert (one.person_right, one.model_colour, one.model_right) == (True, None, None)


def test_without_overrides_there_is_nothing_to_review(project):
    assert review_overrides(project, now=NOW, progress=print) == ()
