"""One account: score, history, state, overrides, deadlines."""

from datetime import date, datetime

import pandas as pd
import pytest

from churnrisk.errors import NotFoundError
from churnrisk.store import HistoryStore, NewRun, hand_out
from churnrisk.team import Change, review, view_account

NOW = datetime(2026, 7, 7, 9)


@pytest.fixture
def store(tmp_path):
    with HistoryStore(f"sqlite:///{tmp_path / 'history.db'}", pooled=True) as opened:
        for as_of, colours in (
            (datetime(2026, 6, 1), ("green", "red", "red")),
            (datetime(2026, 7, 6), ("red", "red", "green")),
        ):
            frame = pd.DataFrame(
                {
                    "account_id": ["a", "b", "c"],
                    "owner": ["Kim", "Kim", "Lee"],
                    "colour": colours,
                    "play": ["visit", "unknown", None],
                    "probability": 0.25,
                    "decided_by": "model",
                    "next_step": "Call.",
                    "stage": "loyalist",
                }
            )
            opened.publish(NewRun(as_of, as_of, "i", "m", "p"), frame)
        yield opened


def view(store, account="a", **more):
    return view_account(store, account, now=NOW, **more)


def test_the_view_is_that_of_the_latest_run_with_the_whole_history(store):
    found = view(store)
    assert [(past.as_of.month, past.colour) for past in found.history] == [(6, "green"), (7, "red")]
    assert (found.row.arrow, found.row.days_in_colour, found.stage, found.run.as_of.month) == (
        "↑",
        0,
        "loyalist",
        7,
    )


def test_an_account_that_left_is_shown_as_of_the_last_run_that_holds_it(store):
    frame = pd.DataFrame({"account_id": ["b"], "colour": ["red"], "decided_by": ["model"]})
    store.publish(NewRun(datetime(2026, 7, 7), NOW, "i", "m", "p"), frame)
    assert view(store).run.as_of == datetime(2026, 7, 6)
    assert view(store, "b").run.as_of == datetime(2026, 7, 7)


def test_the_next_step_is_due_by_play_by_colour_or_as_it_was_handed_out(store):
    assert view(store, deadlines={"visit": 5}).due_at == datetime(2026, 7, 11)
    assert view(store, "b", deadlines={"visit": 5}).due_at == datetime(2026, 6, 3)
    assert view(store, "c").due_at is None
    given = pd.DataFrame(
        {"account_id": ["a"], "play": ["visit"], "reason": ["r"], "channel": ["phone"], "colour": ["red"],
         "due_at": pd.to_datetime(["2026-07-30"])}
    )  # fmt: skip
    hand_out(store, 2, given, choose=lambda fresh, past: [True], deliver=lambda chosen: None,
             at=NOW, within=pd.Timedelta(days=1).to_pytimedelta())  # fmt: skip
    found = view(store, deadlines={"visit": 5})
    assert (found.due_at, found.actions[0].play) == (datetime(2026, 7, 30), "visit")


def test_desk_trail_and_overrides_are_part_of_it(store):
    for colour in ("green", "amber"):
        change = Change(override=colour, until=date(2026, 9, 1), reason="known")
        review(store, {"a": None}, change, author="Ada", via="web", now=NOW)
    review(store, {"a": 2}, Change("contacted", note="hello"), author="Bob", via="api", now=NOW)
    found = view(store)
    assert [(one.colour, one.in_force) for one in found.overrides] == [("amber", True), ("green", False)]
    assert (found.state.version, found.state.disposition, found.state.touched_by) == (3, "contacted", "Bob")
    assert {entry.via for entry in found.trail} == {"web", "api"}
    assert view(store, "b").trail == ()


@pytest.mark.parametrize("account", ["c", "nobody", ""])
def test_an_account_outside_the_scope_is_not_found(store, account):
    with pytest.raises(NotFoundError, match="no published run holds account"):
        view(store, account, scope="Kim")


def test_a_scope_names_the_owner_in_any_case(store):
    assert view(store, scope="kim").row.owner == "Kim"
