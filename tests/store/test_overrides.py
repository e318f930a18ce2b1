from datetime import datetime, timedelta

import pytest

from churnrisk.errors import UsageError
from churnrisk.store import (
    HistoryStore,
    NewOverride,
    OverrideChange,
    active_overrides,
    add_review,
    end_override,
    with_overrides,
)

START = datetime(2026, 1, 1)
END = datetime(2026, 2, 1)


@pytest.fixture
def store(store, new_run, scored):
    store.publish(new_run(), scored("red"))
    return store


def override(**changes):
    made = {"colour": "green", "author": "kim", "reason": "renewed by phone", "created_at": START}
    return NewOverride("a0", **({"expires_at": END} | made | changes))


def add(store, colour="green"):
    change = OverrideChange(colour, "renewed by phone", END)
    review = add_review(store, {"a0": None}, {}, change, author="kim", via="cli", now=START, what="override")
    return review.override_ids[0]


def test_an_override_is_in_force_from_its_start_to_just_before_its_expiry(store):
    add(store)
    moments = [START - timedelta(seconds=1), START, END - timedelta(seconds=1), END]
    assert [len(active_overrides(store, at=moment)) for moment in moments] == [0, 1, 1, 0]


def test_an_override_survives_scoring_runs(url, new_run, scored):
    with HistoryStore(url) as store:
        store.publish(new_run(), scored("red"))
        add(store)
        store.publish(new_run(month=2), scored("red"))
    with HistoryStore(url) as store:
        found = active_overrides(store, at=START)
        assert found.loc["a0", ["colour", "author", "reason"]].tolist() == [
            "green",
            "kim",
            "renewed by phone",
        ]


def test_the_last_override_of_an_account_wins(store):
    add(store, "green")
    add(store, "red")
    assert active_overrides(store, at=START)["colour"].to_dict() == {"a0": "red"}


def test_an_override_can_be_ended_once(store):
    made = add(store)
    end_override(store, made, author="Ada", via="cli", at=START + timedelta(days=3))
    assert len(active_overrides(store, at=START + timedelta(days=2))) == 1
    assert active_overrides(store, at=START + timedelta(days=3)).empty
    with pytest.raises(UsageError, match="open override"):
        end_override(store, made, author="Ada", via="cli", at=END)


@pytest.mark.parametrize(
    "changes", [{"colour": "grey"}, {"author": " "}, {"reason": ""}, {"expires_at": START}]
)
def test_an_override_without_author_reason_or_expiry_is_refused(changes):
    with pytest.raises(UsageError, match="an override expects"):
        override(**changes)


def test_an_override_that_begins_or_ends_changes_the_inputs_and_nothing_else_does(store):
    seen = [with_overrides(store, "i", at=START)]
    made = add(store)
    seen += [with_overrides(store, "i", at=moment) for moment in (START, START + timedelta(days=1), END)]
    end_override(store, made, author="Ada", via="cli", at=START + timedelta(days=3))
    seen.append(with_overrides(store, "i", at=START + timedelta(days=4)))
    before, active, still_active, expired, ended = seen
    assert before == "i"
    assert active == still_active
    assert expired == ended
    assert len({before, active, expired}) == 3
