"""What became of the accounts, by an open project."""

from __future__ import annotations

import pytest

from churnrisk.errors import UsageError


def test_lifetimes_are_those_of_the_accounts_with_a_sign_up(project) -> None:
    lives = project.lifetimes()
    assert 450 < len(lives) <= 500
    assert lives["account_id"].is_unique
    assert 0 < lives["lost"].sum() < len(lives)
    assert (lives["entered"] <= lives["days"]).all()


def test_an_account_shows_what_the_runs_published(trained) -> None:
    trained.score()
    worst = trained.redlist(limit=1).rows[0]
    view = trained.account(worst.account_id)
    assert view.latest.churn_probability == worst.churn_probability
    assert view.row.reasons


def test_the_lost_are_looked_up_in_the_runs_before(trained) -> None:
    with pytest.raises(UsageError, match="nothing has been scored"):
        trained.missed()
    trained.score(as_of=trained.panel().X.index[-1][1].date())
    ledger = trained.missed()
    assert ledger.accounts
    assert sum(ledger.verdicts.values()) == len(ledger.accounts)
