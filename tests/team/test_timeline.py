"""What happened at an account, read from real files and a real database."""

import sqlite3
from datetime import datetime, timedelta

import pandas as pd
import pytest

from churnrisk.errors import NotFoundError
from churnrisk.settings import load_project
from churnrisk.store import HistoryStore, NewRun
from churnrisk.team import timeline

AS_OF = datetime(2026, 6, 1)
NOW = datetime(2026, 7, 1, 9)
TABLES = {
    "accounts": "account_id\na\nb\n",
    "events": "id,at,what,loaded\n"
    + "".join(f" a ,{AS_OF - timedelta(days=day):%Y-%m-%d},login,2026-01-01\n" for day in range(1, 22))
    + "a,2026-05-31,export,2026-06-05\na,2026-06-03,login,2026-06-03\na,2027-01-01,login,2027-01-01\n"
    + "b,2026-05-30,login,2026-05-30\n",
    "complaints": "account_id,opened_at,resolved_at,severity,category,csat\n"
    "a,2026-05-01 10:00:00,2026-05-03 12:00:00,critical,billing,2\n"
    "a,2026-05-20 10:00:00,2026-06-10 10:00:00,low,,\n"
    "b,2026-05-20 10:00:00,,low,,\n",
    "subscriptions": "account_id,started_at,ended_at,plan,mrr,renewal_at\n"
    "a,2026-02-01,2026-06-15,pro,100,2026-12-01\n",
    "surveys": "account_id,answered_at,score,kind\na,2026-05-15,9,nps\nb,2026-05-15,1,nps\n",
}
TOML = """
[tables.accounts]
path = "accounts.csv"
[tables.events]
{events}
[tables.events.columns]
account_id = "ID"
occurred_at = "at"
feature = "what"
recorded_at = "loaded"
[tables.complaints]
path = "complaints.csv"
[tables.subscriptions]
path = "subscriptions.csv"
[tables.surveys]
path = "surveys.csv"
[churn]
definition = "contractual"
"""


@pytest.fixture(params=["file", "sql", "database"])
def project(tmp_path, request):
    """Events as a file, as SQL over it, and in a database of the user's."""
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    frame = pd.read_csv(tmp_path / "events.csv")
    connection = sqlite3.connect(tmp_path / "own.db")
    frame.to_sql("events", connection, index=False)
    connection.close()
    how = {
        "file": 'path = "events.csv"',
        "sql": "sql = \"select * from read_csv('events.csv', all_varchar = true)\"",
        "database": 'url = "sqlite:///own.db"\ntable = "events"',
    }
    (tmp_path / "churnrisk.toml").write_text(TOML.format(events=how[request.param]))
    made = load_project(tmp_path)
    scored = pd.DataFrame(
        {"account_id": ["a", "b"], "owner": ["Kim", "Lee"], "colour": "red", "decided_by": "model"}
    )
    with HistoryStore(made.store_url) as store:
        store.publish(NewRun(AS_OF, AS_OF, "i", "m", "p"), scored)
    return made


def read(project, account="a", **more):
    with HistoryStore(project.store_url) as store:
        return timeline(project, store, account, **({"as_of": AS_OF, "now": NOW, "days": 35} | more))


def test_use_is_counted_by_week_and_says_what_the_run_could_not_know(project):
    found = read(project)
    assert found.features == ("login", "export")
    assert (found.since, found.until) == (datetime(2026, 4, 27), datetime(2026, 6, 4))
    assert [(week.start.day, week.events, week.later) for week in found.weeks] == [
        (27, 0, 0),
        (4, 0, 0),
        (11, 7, 0),
        (18, 7, 0),
        (25, 7, 1),
        (1, 0, 1),
    ]
    assert dict(found.weeks[4].by_feature) == {"login": 7, "export": 1}


def test_complaints_surveys_and_contract_dates_are_listed_the_latest_first(project):
    told = [(one.at.date().isoformat(), one.kind, one.text, one.after_run) for one in read(project).events]
    assert told == [
        ("2026-12-01", "renewal", "Renewal date", False),
        ("2026-06-15", "contract ended", "Contract on plan pro ended", True),
        ("2026-06-10", "complaint resolved", "Low complaint resolved after 21 days", True),
        ("2026-05-20", "complaint opened", "Low complaint", False),
        ("2026-05-15", "survey", "NPS: 9 of 10", False),
        (
            "2026-05-03",
            "complaint resolved",
            "Critical complaint about billing resolved after 2 days, rated 2",
            False,
        ),
        ("2026-05-01", "complaint opened", "Critical complaint about billing", False),
    ]


def test_nothing_of_other_accounts_and_nothing_from_the_future_is_shown(project):
    found = read(project, "b")
    assert sum(week.events + week.later for week in found.weeks) == 1
    assert [one.kind for one in found.events] == ["complaint opened", "survey"]
    assert read(project, now=AS_OF).until == AS_OF


@pytest.mark.parametrize("project", ["file"], indirect=True)
def test_a_feature_that_is_called_others_counts_once(project):
    names = [f"feature {number}" for number in range(8)] + ["others"]
    with (project.data / "events.csv").open("a") as events:
        events.writelines(f"c,2026-05-30,{name},2026-05-30\n" for name in names for _ in range(3))
    with (project.data / "accounts.csv").open("a") as accounts:
        accounts.write("c\n")
    frame = pd.DataFrame({"account_id": ["c"], "colour": ["red"], "decided_by": ["model"]})
    with HistoryStore(project.store_url) as store:
        store.publish(NewRun(AS_OF, AS_OF, "i2", "m", "p"), frame)
    found = read(project, "c")
    assert len(found.features) == len(set(found.features))
    assert sum(found.weeks[-1].by_feature.values()) == 27
    assert found.weeks[-1].by_feature["others"] == 6


@pytest.mark.parametrize("account", ["b", "nobody", "' or '1'='1"])
def test_an_account_outside_the_scope_is_not_found(project, account):
    with pytest.raises(NotFoundError):
        read(project, account, scope="Kim")
