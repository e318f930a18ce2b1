"""Tables that can be read, but whose list would be wrong: each is named, with the setting that resolves it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

import churnrisk as cr
from churnrisk.contract import Reach, distrust, reaches, validate
from churnrisk.records import Violation
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables
from churnrisk.training import CheckReport

NOW = datetime(2026, 12, 1)
CASES = Path(__file__).parents[3] / "shared" / "cases"
START = date(2026, 1, 1)
ACCOUNTS = "account_id\n" + "".join(f"A{number:03}\n" for number in range(20))


def table(header: str, days: list[int], row: Callable[[int, str], str]) -> str:
    """Return a CSV text with a row per day number; ``row`` gets a number and the day."""
    dated = (row(number, str(START + timedelta(days=day))) for number, day in enumerate(days))
    return "\n".join([header, *dated]) + "\n"


def events(days: list[int]) -> str:
    return table("account_id,occurred_at", days, lambda n, day: f"A{n % 20:03},{day} 10:00:00")


def complaints(days: list[int]) -> str:
    return table("account_id,opened_at", days, lambda n, day: f"A{n % 20:03},{day}")


def doubts(
    folder: Path,
    data_until: date | None = None,
    accounts: str = ACCOUNTS,
    /,
    **tables: str | tuple[str, TableConfig],
) -> tuple[list[Violation], dict[str, Reach]]:
    configs = {}
    for name, given in {"accounts": accounts, **tables}.items():
        text, config = given if isinstance(given, tuple) else (given, TableConfig(path=f"{name}.csv"))
        (folder / f"{name}.csv").write_text(text)
        configs[name] = config
    with Engine(EngineConfig(threads=1), base=folder) as engine:
        opened = open_tables(engine, configs)
        found = validate(engine, opened.available, native=opened.native, readings=opened.readings, now=NOW)
        reach = reaches(engine.rows, opened.available, now=NOW)
        return distrust(
            engine.rows,
            opened.available,
            readings=opened.readings,
            reach=reach,
            found=found,
            now=NOW,
            data_until=data_until,
        ), reach


def test_events_that_stop_before_the_other_tables_are_refused(tmp_path: Path) -> None:
    (found,), _ = doubts(tmp_path, events=events(list(range(200))), complaints=complaints([10, 50, 260]))
    assert (found.level, found.table) == ("error", "events")
    assert "61 days before complaints (2026-09-18)" in found.rule
    assert "data_until = 2026-07-20 under [snapshots]" in found.fix


def test_an_end_that_all_tables_reach_settles_it(tmp_path: Path) -> None:
    tables = {"events": events(list(range(200))), "complaints": complaints([10, 50, 260])}
    assert doubts(tmp_path, date(2026, 7, 20), **tables)[0] == []


@pytest.mark.parametrize("behind", [1, 3])
def test_a_table_may_be_behind_by_its_own_gaps(tmp_path: Path, behind: int) -> None:
    tables = {"events": events(list(range(0, 201 - behind))), "complaints": complaints([10, 200])}
    assert doubts(tmp_path, **tables)[0] == []


def test_accounts_that_still_sign_up_show_that_the_events_stopped(tmp_path: Path) -> None:
    accounts = "account_id,signed_up_at\n" + "".join(
        f"A{n:03},{START + timedelta(days=13 * n)}\n" for n in range(20)
    )
    (found,), _ = doubts(tmp_path, None, accounts, events=events(list(range(200))))
    assert "days before accounts" in found.rule


def test_a_rare_table_has_no_rhythm_to_be_behind_of(tmp_path: Path) -> None:
    tables = {"events": events(list(range(300))), "complaints": complaints([10, 90])}
    assert doubts(tmp_path, **tables)[0] == []


def test_one_stray_row_does_not_move_the_end(tmp_path: Path) -> None:
    (found,), reach = doubts(tmp_path, events=events([*range(200), 290]), complaints=complaints([10, 199]))
    assert reach["events"].last == date(2026, 7, 19)
    assert (found.level, found.examples) == ("warn", ("2026-10-18",))


def test_a_row_that_other_tables_reach_too_is_no_stray(tmp_path: Path) -> None:
    found, reach = doubts(
        tmp_path, events=events([*range(200), 290]), complaints=complaints(list(range(0, 291, 5)))
    )
    assert reach["events"].last == date(2026, 10, 18)
    assert [one.level for one in found] == ["warn"]
    assert "no row between 2026-07-20 and 2026-10-18" in found[0].rule


def test_a_hole_in_the_events_is_named(tmp_path: Path) -> None:
    days = [*range(100), *range(145, 250)]
    found, reach = doubts(tmp_path, events=events(days))
    assert reach["events"].holes == ((date(2026, 4, 11), date(2026, 5, 26)),)
    assert [one.level for one in found] == ["warn"]


@pytest.mark.parametrize(
    ("ours", "theirs", "form"),
    [
        ("A{n:03}", "a{n:03}", "upper"),
        ("a{n:03}", "A{n:03}", "lower"),
        ("{n}", "{n:06}", "no_leading_zeros"),
        ("{n}", "{n}.0", "no_decimals"),
        ("K{n:03}", "K {n:03}", "no_spaces"),
        ("001A0000004aB{n:02}", "001A0000004aB{n:02}IAB", "first_15"),
    ],
)
def test_accounts_that_lose_their_events_by_a_spelling_are_refused(
    tmp_path: Path, ours: str, theirs: str, form: str
) -> None:
    accounts = "account_id\n" + "".join(ours.format(n=n + 10) + "\n" for n in range(20))
    rows = [(ours if n % 5 else theirs).format(n=n + 10) for n in range(20)]
    lines = "".join(f"{account},{START + timedelta(days=n)}\n" for n, account in enumerate(rows))
    text = "account_id,occurred_at\n" + lines
    (found,), _ = doubts(tmp_path, None, accounts, events=text)
    assert (found.level, found.count) == ("error", 4)
    assert "4 of them lose all their events" in found.rule
    assert f'ids = "{form}" under [tables.events]' in found.fix
    settled = TableConfig(path="events.csv", ids=form)
    assert doubts(tmp_path, None, accounts, events=(text, settled))[0] == []


def test_ids_of_nobody_beside_accounts_without_rows_are_refused(tmp_path: Path) -> None:
    text = events(list(range(100))).replace("A003", "q77").replace("A004", "q78")
    (found,), _ = doubts(tmp_path, events=text)
    assert found.level == "error"
    assert "2 of 20 accounts have no row, and 2 ids are of no account" in found.rule
    vouched = TableConfig(path="events.csv", ids="exact")
    assert doubts(tmp_path, events=(text, vouched))[0] == []


@pytest.mark.parametrize(
    ("scores", "scale"), [([1, 3, 5, 4, 5, 2], "1-5"), ([0, 3, 5, 4, 5, 2], "0-5"), ([1, 7, 6, 4] * 5, "1-7")]
)
def test_scores_that_never_come_near_ten_are_asked_about(
    tmp_path: Path, scores: list[int], scale: str
) -> None:
    lines = "".join(f"A{n:03},2026-03-01,{score}\n" for n, score in enumerate(scores))
    text = "account_id,answered_at,score\n" + lines
    (found,), _ = doubts(tmp_path, surveys=text)
    assert found.level == "error"
    assert f'scale = "{scale}" under [tables.surveys]' in found.fix
    for vouched in ("0-10", scale):
        settled = TableConfig(path="surveys.csv", scale=vouched)
        assert doubts(tmp_path, surveys=(text, settled))[0] == []


def test_each_kind_of_survey_has_its_own_scale(tmp_path: Path) -> None:
    lines = "".join(
        f"A{n:03},2026-03-01,{n % 5 + 1},csat\nA{n:03},2026-03-02,{n % 11},nps\n" for n in range(20)
    )
    (found,), _ = doubts(tmp_path, surveys="account_id,answered_at,score,kind\n" + lines)
    assert "no score of 'csat' is above 5" in found.rule
    assert 'scale = {csat = "1-5"}' in found.fix


def test_attributes_show_how_far_the_data_reach(tmp_path: Path) -> None:
    terms = "account_id,started_at,ended_at\nA001,2026-01-01,2026-08-01\nA002,2026-02-01,\n"
    monthly = "account_id,valid_from,size\n" + "".join(f"A002,2026-{n:02}-28,{n}\n" for n in range(1, 11))
    found, reach = doubts(tmp_path, subscriptions=terms, attributes=monthly)
    assert found == []
    assert reach["attributes"].last == date(2026, 10, 28)


def test_past_ends_that_no_other_table_confirms_may_be_planned(tmp_path: Path) -> None:
    text = "account_id,started_at,ended_at\nA001,2026-01-01,2026-08-01\nA002,2026-02-01,2027-01-01\n"
    (found,), reach = doubts(tmp_path, subscriptions=text)
    assert (found.level, found.count) == ("warn", 1)
    assert "data_until = 2026-08-02" in found.fix
    assert reach["subscriptions"].last == date(2026, 2, 1)
    assert doubts(tmp_path, date(2026, 8, 2), subscriptions=text)[0] == []


@pytest.mark.parametrize("severities", ["1234", "12", "5"])
def test_severities_in_numbers_need_their_order(tmp_path: Path, severities: str) -> None:
    lines = "".join(f"A{n:03},2026-03-{n + 1:02},{severities[n % len(severities)]}\n" for n in range(20))
    text = "account_id,opened_at,severity\n" + lines
    found, _ = doubts(tmp_path, complaints=text)
    assert [(one.level, one.column) for one in found] == [("error", "severity")]
    assert 'severity_order = "1 is worst"' in found[0].fix
    settled = TableConfig(path="complaints.csv", severity_order="1 is least")
    assert doubts(tmp_path, complaints=(text, settled))[0] == []


def checked(case: str, folder: Path) -> CheckReport:
    """Check a public case as `churnrisk check` does on the day that its README names."""
    shutil.copytree(CASES / case / "input", folder / case)
    return cr.load(folder / case, now=datetime(2026, 11, 30)).check()


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")
@pytest.mark.parametrize(
    ("case", "rule", "fix"),
    [
        (
            "01-events-export-stopped",
            "events end on 2026-08-31, 61 days before complaints",
            "data_until = 2026-09-01",
        ),
        (
            "06-ids-differ-in-case-for-some",
            "4 of them lose all their events",
            'ids = "upper" under [tables.events]',
        ),
        ("21-priority-1-is-the-worst", "severities are numbers", 'severity_order = "1 is worst"'),
    ],
)
def test_a_public_case_is_refused_with_its_reason(tmp_path: Path, case: str, rule: str, fix: str) -> None:
    errors = [one for one in checked(case, tmp_path).violations if one.level == "error"]
    assert [rule in one.rule and fix in one.fix for one in errors] == [True]


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")
def test_planned_ends_are_no_observations(tmp_path: Path) -> None:
    found = checked("03-planned-end-dates-extend-the-span", tmp_path)
    assert found.violations == []
    assert found.span is not None
    assert found.span.end == datetime(2026, 10, 27)  # the day after the last event
