"""The ledger of missed churners over a real history and real tables."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

from churnrisk.errors import UsageError
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore, NewRun
from churnrisk.team import MISSED, SEEN, UNSCORED, ScoreBefore, missed_churners

TOML = """
[tables.accounts]
path = "accounts.csv"
[tables.subscriptions]
path = "subscriptions.csv"
[churn]
definition = "contractual"
"""
LOST = datetime(2026, 6, 15)
REASONS = (
    '[{"feature": "silent_30d", "family": "recency", "text": "Silent", "value": 1.0, "contribution": 0.5}]'
)


@pytest.fixture
def project(tmp_path):
    """Twenty accounts; those named "lost…" end with 14 June 2026, the other sixteen stay."""
    accounts = [f"lost{i}" for i in range(4)] + [f"stays{i:02d}" for i in range(16)]
    pd.DataFrame({"account_id": accounts}).to_csv(tmp_path / "accounts.csv", index=False)
    rows = [
        {
            "account_id": name,
            "started_at": datetime(2025, 1, 1),
            # the last day of the contract
            "ended_at": LOST - timedelta(days=1) if name.startswith("lost") else None,
            "plan": "Starter" if name in ("lost0", "lost1", "lost2", "stays00") else "Pro",
        }
        for name in accounts
    ]
    rows.append({"account_id": "stays00", "started_at": datetime(2026, 8, 20), "plan": "Starter"})
    pd.DataFrame(rows).to_csv(tmp_path / "subscriptions.csv", index=False)
    (tmp_path / "churnrisk.toml").write_text(TOML)
    return load_project(tmp_path)


def publish(project, days_before, *, model="m", **colours):
    """Publish a run so many days before the loss; accounts that are not named are green."""
    everybody = [f"lost{i}" for i in range(4)] + [f"stays{i:02d}" for i in range(16)]
    said = {name: colours.get(name, "green") for name in everybody}
    frame = pd.DataFrame({"account_id": list(said), "colour": list(said.values())})
    frame = frame[frame["colour"] != "absent"].assign(decided_by="model", probability=0.25, segment="SMB")
    frame["reasons"] = frame["colour"].map({"red": REASONS, "amber": REASONS}).fillna("[]")
    as_of = LOST - timedelta(days=days_before)
    with HistoryStore(project.store_url) as store:
        store.publish(NewRun(as_of, as_of, "i", model, "p"), frame)
    return as_of


def ledger(project):
    return missed_churners(project, now=datetime(2026, 9, 1), progress=lambda stage: None)


def test_every_lost_account_has_its_colour_score_and_reasons_at_each_lead(project):
    runs = {lead: publish(project, lead + 2, lost0="red" if lead == 30 else "green") for lead in (30, 60, 90)}
    found = {one.account_id: one for one in ledger(project).accounts}
    assert set(found) == {"lost0", "lost1", "lost2", "lost3"}
    assert found["lost0"].churned_at == LOST
    assert found["lost0"].before == {
        30: ScoreBefore(runs[30], "red", 0.25, ("Silent",)),
        60: ScoreBefore(runs[60], "green", 0.25, ()),
        90: ScoreBefore(runs[90], "green", 0.25, ()),
    }


def test_verdicts_tell_warned_missed_and_unscored_apart(project):
    publish(project, 90, lost0="amber", lost2="grey", lost3="absent")
    publish(project, 30, lost2="grey", lost3="absent")
    found = ledger(project)
    assert {one.account_id: one.verdict for one in found.accounts} == {
        "lost0": SEEN,
        "lost1": MISSED,
        "lost2": UNSCORED,
        "lost3": UNSCORED,
    }
    assert found.verdicts == {UNSCORED: 2, SEEN: 1, MISSED: 1}
    assert found.colours == {
        30: {"green": 2, "grey": 1, "not in the run": 1},
        60: {"no run": 4},
        90: {"amber": 1, "green": 1, "grey": 1, "not in the run": 1},
    }


def test_the_share_caught_stands_beside_the_share_flagged_in_the_same_runs(project):
    publish(project, 90, lost0="amber", lost2="grey", stays00="red", stays01="amber")
    publish(
        project,
        30,
        lost0="red",
        lost1="amber",
        lost3="absent",
        **{f"stays{i:02d}": "amber" for i in range(16)},
    )
    found = ledger(project)
    # grey and absent accounts have no colour: 19 of the 20 have one at both runs
    assert found.caught == {30: 2 / 3, 60: None, 90: 1 / 3}
    assert found.flagged == {30: pytest.approx(18 / 19), 60: None, 90: pytest.approx(3 / 19)}


def test_the_nearest_run_counts_and_only_within_fifteen_days(project):
    publish(project, 30 + 15, lost0="amber")
    assert set(ledger(project).colours[30]) == {"amber", "green"}
    assert ledger(project).accounts[0].before[90] is None
    publish(project, 30 - 4, lost0="red")
    assert set(ledger(project).colours[30]) == {"red", "green"}
    assert set(ledger(project).colours[60]) == {"amber", "green"}


def test_the_live_run_of_a_date_counts_and_not_the_one_it_replaced(project):
    publish(project, 30, lost0="green")
    publish(project, 30, model="m2", lost0="red")
    assert ledger(project).verdicts == {MISSED: 3, SEEN: 1}


def test_what_the_missed_have_in_common_is_counted_against_all_green_accounts(project):
    publish(project, 30)
    found = ledger(project)
    assert found.verdicts == {MISSED: 4}
    assert found.green == 20
    (plan,) = found.common
    assert (plan.what, plan.value, plan.missed, plan.green) == ("plan", "Starter", 3, 4)
    assert plan.ratio == pytest.approx((3 / 4) / (4 / 20))
    assert any("main signals are not compared" in note for note in found.notes)


def test_too_few_runs_are_noted_with_the_dates_that_help(project):
    publish(project, 30)
    (note,) = [note for note in ledger(project).notes if "lack a run" in note]
    assert note.startswith("4 of 4 lost accounts lack a run")
    assert "`churnrisk score --as-of 2026-04-15`" in note


def test_losses_far_from_any_run_are_counted_and_not_listed(project):
    publish(project, 300)
    found = ledger(project)
    assert found.accounts == ()
    assert found.out_of_reach == 4
    assert found.colours[30] == {"no run": 4}


def test_before_the_first_run_the_command_to_run_is_named(project):
    with pytest.raises(UsageError, match="churnrisk score"):
        ledger(project)
