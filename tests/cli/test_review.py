"""Reviews and the filters of the red list through the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.main import get_command

from churnrisk.cli.app import app
from churnrisk.records import RedListQuery


def rows(cli, folder, *options):
    return json.loads(cli("--project", folder, "redlist", "--format", "json", *options).out)


@pytest.fixture
def first(cli, scored):
    return rows(cli, scored)[0]["account_id"]


def test_a_review_is_on_the_red_list_in_the_trail_and_can_be_taken_back(cli, scored, first):
    second = rows(cli, scored)[1]["account_id"]
    made = cli(
        *("--project", scored, "review", first, second, "--as", "contacted", "--note", "call on Friday"),
        *("--assign", "Lee", "--author", "Ada"),
    )
    assert made.code == 0
    assert "review 1, 2 accounts: contacted, assigned to Lee, note" in made.err
    top = rows(cli, scored)[0]
    assert (top["disposition"], top["assignee"], top["touched_by"]) == ("contacted", "Lee", "Ada")
    assert "touched" in cli("--project", scored, "redlist", "-n", "1").out
    assert "note by Ada on" in cli("--project", scored, "explain", first).out
    view = json.loads(cli("--project", scored, "explain", first, "--format", "json").out)
    assert (view["version"], view["note"]) == (1, "call on Friday")
    shown = json.loads(cli("--project", scored, "reviews", first, "--format", "json").out)
    assert {entry["field"] for entry in shown} == {"disposition", "assignee", "note"}
    assert {entry["via"] for entry in shown} == {"cli"}
    assert (
        "nothing written" in cli("--project", scored, "review", "--undo", "--author", "Ada", "--dry-run").err
    )
    back = cli("--project", scored, "review", "--undo", "--author", "Ada")
    assert "undid: contacted" in back.err
    assert rows(cli, scored)[0]["disposition"] is None
    assert cli("--project", scored, "review", "--undo", "--author", "Ada").code == 2


def test_a_snoozed_account_leaves_the_list_and_a_later_run_does_not_bring_it_back(cli, scored, first):
    snoozed = cli(
        *("--project", scored, "review", first, "--as", "snoozed", "--until", "2999-01-01"),
        *("--reason", "on holiday", "--author", "Ada"),
    )
    assert snoozed.code == 0
    assert "1 snoozed not listed" in cli("--project", scored, "redlist").out
    cli("--project", scored, "score", "--as-of", "2026-05-02", "--force")
    for options in ((), ("--as-of", "2026-05-02")):
        assert first not in {row["account_id"] for row in rows(cli, scored, *options)}
    (only,) = rows(cli, scored, "--snoozed", "only")
    assert (only["account_id"], only["disposition"], only["snoozed_until"]) == (
        first,
        "snoozed",
        "2999-01-01T00:00:00Z",
    )


def test_churned_accounts_leave_the_list_in_every_colour(cli, scored, first):
    cli("--project", scored, "review", first, "--as", "churned", "--author", "Ada")
    everyone = rows(cli, scored, "--colour", "red,amber,green,grey")
    assert first not in {row["account_id"] for row in everyone}
    assert len(everyone) == 699
    assert "1 churned not listed" in cli("--project", scored, "redlist").out


def test_an_override_is_in_the_same_trail(cli, scored, first):
    cli(
        *("--project", scored, "override", first, "--colour", "green", "--reason", "renewed"),
        *("--until", "2999-01-01", "--author", "Bob"),
    )
    (entry,) = json.loads(cli("--project", scored, "reviews", "--format", "json").out)
    assert (entry["author"], entry["field"], entry["after"]) == (
        "Bob",
        "override",
        "green until 2999-01-01: renewed",
    )
    cli("--project", scored, "review", "--undo", "--author", "Bob")
    assert "0 active" in cli("--project", scored, "overrides").out


def test_reviews_are_held_against_what_happened(cli, scored, first):
    cli("--project", scored, "review", first, "--as", "saved", "--author", "Ada")
    ran = cli("--project", scored, "reviews", "--outcomes", "--format", "json")
    (judged,) = json.loads(ran.out)
    assert (judged["account_id"], judged["disposition"], judged["right"]) == (first, "saved", None)
    assert judged["outcome"].startswith("open until")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["review"], "at least one account id"),
        (["review", "nobody", "--as", "saved"], "no published run holds account 'nobody'"),
        (["review", "C10001", "--as", "gone"], "a disposition is one of contacted"),
        (["review", "C10001", "--as", "snoozed"], "a snooze expects an end date and a reason"),
        (["review", "C10001"], "expects a disposition, a note, an assignee or an override"),
        (["review", "--undo", "C10001"], "without accounts"),
        (["review", "--undo", "--id", "99"], "expected a change to take back, found none"),
        (["reviews", "nobody"], "no published run holds account 'nobody'"),
        (["redlist", "--snoozed", "maybe"], "snoozed should be 'hide', 'only' or 'all', found 'maybe'"),
        (["redlist", "--reason", "astrology"], "reason should be 'recency'"),
        (["redlist", "--sort", "mood"], "sort should be 'loss'"),
        (
            ["redlist", "--renews-within", "-3"],
            "renews_within should be greater than or equal to 0, found '-3'",
        ),
    ],
)
def test_what_cannot_be_done_is_reported_in_one_sentence(cli, scored, arguments, message):
    ran = cli("--project", scored, *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert ran.out == ""


def test_filters_of_the_red_list_narrow_it_and_keep_its_order(cli, scored, tmp_path):
    everyone = rows(cli, scored)
    soon = rows(cli, scored, "--renews-within", "60")
    assert soon == [
        row for row in everyone if row["days_to_renewal"] is not None and 0 <= row["days_to_renewal"] <= 60
    ]
    found = rows(cli, scored, "--search", everyone[3]["account_id"].lower())
    assert [row["account_id"] for row in found] == [everyone[3]["account_id"]]
    owner = everyone[0]["owner"]
    mine = rows(cli, scored, "--mine", "--author", owner.upper())
    assert mine == [row for row in everyone if row["owner"] == owner]
    by_day = [row["days_in_colour"] for row in rows(cli, scored, "--sort", "days")]
    assert by_day == sorted(by_day, reverse=True)
    target = tmp_path / "complaints.csv"
    cli("--project", scored, "redlist", "--reason", "complaints", "--output", target)
    listed = list(csv.DictReader(io.StringIO(target.read_text())))
    assert 0 < len(listed) < len(everyone)


def test_mine_needs_to_know_who_is_asking(cli, scored, monkeypatch):
    for name in ("CHURNRISK_AUTHOR", "USER"):
        monkeypatch.delenv(name, raising=False)
    assert "--mine expects to know who you are" in cli("--project", scored, "redlist", "--mine").err


def test_the_help_names_the_defaults_of_the_query():
    options = {option.name: option.help for option in get_command(app).commands["redlist"].params}
    query = RedListQuery()
    for name, default in (
        ("colour", ",".join(query.colours)),
        ("snoozed", query.snoozed),
        ("sort", query.sort),
    ):
        assert options[name].endswith(f"default: {default}.")
