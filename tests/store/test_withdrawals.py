"""Withdrawn promises, and what a promise's evidence needs, in SQLite and PostgreSQL."""

from datetime import datetime, timedelta

import pandas as pd

from churnrisk.monitoring import promises
from churnrisk.store import (
    ColourOutcome,
    HistoryStore,
    NewRun,
    Withdrawal,
    add_withdrawals,
    read_withdrawals,
    write_outcomes,
)

FIRST = datetime(2025, 3, 1)


def test_withdrawing_again_changes_nothing(url):
    when = datetime(2026, 7, 1)
    gone = Withdrawal("3", "green", 0.021, None, when, 30, datetime(2026, 1, 1), when, 3, 900, 60, 250.0)
    red = Withdrawal("3", "red", None, 0.4, when, 30, datetime(2026, 1, 1), when, 3, 90, 6, 250.0)
    with HistoryStore(url) as store:
        assert add_withdrawals(store, [gone]) == (gone,)
        assert add_withdrawals(store, [gone, red]) == (red,)
        with store.database.reading() as connection:
            assert read_withdrawals(connection) == (red, gone)


def test_outcomes_keep_their_horizon_and_rows(url):
    with HistoryStore(url) as store:
        frame = pd.DataFrame({"account_id": ["a"], "colour": "green", "decided_by": "model"})
        run = store.publish(NewRun(FIRST, FIRST, "i", "m", "p"), frame).run
        one = ColourOutcome(
            run.run_id, "green", "churn of at most 2.00%", FIRST + timedelta(days=30), 400, at_most=0.02,
            tested_accounts=286, tested_rows=386, horizon_days=30, known=400, churned=4,
        )  # fmt: skip
        write_outcomes(store, [one])
        green, *_ = promises(store).colours
    assert green.latest == one
    assert (green.evidence.rows, green.evidence.churned) == (400, 4)
    assert green.text.startswith(
        "Not contradicted: in 1 separate window of 30 days since 2025-03-01 4 of 400 churned"
    )
