"""What the light cannot say stands where people look: with the account and on the page of promises."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

from churnrisk.monitoring import promises
from churnrisk.store import ColourOutcome, HistoryStore, NewRun, write_outcomes
from churnrisk.team import view_account
from churnrisk.web import promise_view

NOTE = "red: 79% churn, so it promises at least 80%, hardly more than the base rate"
AS_OF = datetime(2026, 1, 1)


@pytest.fixture
def store(tmp_path):
    with HistoryStore(f"sqlite:///{tmp_path / 'history.sqlite'}") as store:
        frame = pd.DataFrame({"account_id": ["a"], "colour": ["red"], "decided_by": ["model"]})
        run = store.publish(NewRun(AS_OF, AS_OF + timedelta(hours=9), "k", "1", "p"), frame).run
        known = AS_OF + timedelta(days=30)
        outcomes = [
            ColourOutcome(run.run_id, "green", "", known, 0),
            ColourOutcome(run.run_id, "red", "churn of at least 80.00%", known, 1, at_least=0.8, note=NOTE),
        ]
        write_outcomes(store, outcomes)
        yield store


def test_the_account_carries_the_notes_of_its_light(store):
    assert view_account(store, "a", now=AS_OF + timedelta(days=1)).light_notes == (NOTE,)


def test_the_page_of_promises_says_why_a_colour_says_little(store):
    cards = {str(card.colour): card for card in promise_view(promises(store))["cards"]}
    assert cards["red"].note == NOTE
    assert cards["green"].note == ""
