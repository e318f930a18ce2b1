"""Every rule of the contract finds its defect, counts it, shows it and names the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from churnrisk.contract import COMPARED_ROWS, blocking, validate
from churnrisk.sources import Engine, EngineConfig, TableConfig, open_tables
from tests.contract.checking import ACCOUNTS, NOW, events, only, rows, violations

COMPLAINTS = "account_id,opened_at,resolved_at,first_response_at,severity"
GOOD_COMPLAINT = "A{i},2025-06-01 10:00:{n:02},2025-06-02,2025-06-01 12:00,high"


def test_sound_tables_have_no_violation(tmp_path: Path) -> None:
    complaints = rows(COMPLAINTS, [], good=GOOD_COMPLAINT)
    assert violations(tmp_path, events=events(), complaints=complaints) == []


def test_an_unknown_account_is_counted_and_shown(tmp_path: Path) -> None:
    found = only(violations(tmp_path, events=events("Z9,2025-06-01,1", "Z8,2025-06-02,1")))
    assert (found.table, found.column, found.level, found.count) == ("events", "account_id", "warn", 2)
    assert found.rule == "account is not in accounts"
    assert found.examples == ("Z8", "Z9")
    assert "`ids`" in found.fix
    assert "[tables.events]" in found.fix


def test_unknown_accounts_block_only_where_the_ids_do_not_meet_at_all(tmp_path: Path) -> None:
    strangers = [f"Z{number},2025-06-01,1" for number in range(40)]
    assert only(violations(tmp_path, events=events(*strangers))).level == "error"
    assert only(violations(tmp_path, events=events(*strangers[:39]))).level == "warn"


def test_a_future_date_is_found(tmp_path: Path) -> None:
    found = only(violations(tmp_path, events=events("A1,2062-03-01,1")))
    assert (found.column, found.rule) == ("occurred_at", "date lies in the future")
    assert found.examples == ("2062-03-01 00:00:00",)


def test_now_itself_is_no_future_date(tmp_path: Path) -> None:
    assert violations(tmp_path, events=events("A1,2026-01-01 00:00:00,1")) == []


def test_a_planned_end_or_renewal_in_the_future_is_no_defect(tmp_path: Path) -> None:
    subscriptions = rows(
        "account_id,started_at,ended_at,renewal_at",
        [],
        good="A{i},2025-06-{n:02},2030-01-01,2030-01-01",
        count=1,
    )
    subscriptions = subscriptions.replace("2025-06-00", "2025-06-01")
    assert violations(tmp_path, subscriptions=subscriptions) == []


@pytest.mark.parametrize(
    ("header", "bad", "column", "rule"),
    [
        (COMPLAINTS, "A1,2025-06-05,2025-06-01,,low", "resolved_at", "is before opened_at"),
        (COMPLAINTS, "A1,2025-06-05,,2025-06-01,low", "first_response_at", "is before opened_at"),
    ],
)
def test_an_end_before_its_start_is_found(
    tmp_path: Path, header: str, bad: str, column: str, rule: str
) -> None:
    found = only(violations(tmp_path, complaints=rows(header, [bad], good=GOOD_COMPLAINT)))
    assert (found.column, found.rule, found.count) == (column, rule, 1)
    assert found.examples == ("A1: 2025-06-05 00:00:00 > 2025-06-01 00:00:00",)


def test_an_id_of_a_no_break_space_is_missing(tmp_path: Path) -> None:
    found = only(violations(tmp_path, events=events("\u00a0,2025-06-01,1", "\u3000,2025-06-01,1")))
    assert (found.column, found.count) == ("account_id", 2)


def test_a_subscription_that_ends_before_it_starts_is_found(tmp_path: Path) -> None:
    text = rows(
        "account_id,started_at,ended_at", ["A1,2025-06-05,2025-06-04"], good="A{i},2025-05-01 00:00:{n:02},"
    )
    assert only(violations(tmp_path, subscriptions=text)).rule == "is before started_at"


def test_a_duplicate_account_blocks(tmp_path: Path) -> None:
    found = only(violations(tmp_path, accounts=ACCOUNTS + "A1,2025-01-02\n", events=events()))
    assert (found.table, found.rule, found.level) == ("accounts", "key appears more than once", "error")
    assert found.examples == ("A1",)


def test_a_duplicate_label_blocks_and_a_duplicate_attribute_warns(tmp_path: Path) -> None:
    labels = rows(
        "account_id,as_of,churned",
        ["A1,2025-06-01,yes", "A1,2025-06-01,no"],
        good="A{i},2025-07-01,no",
        count=20,
    )
    attributes = rows(
        "account_id,valid_from,owner",
        ["A1,2025-06-01,x", "A1,2025-06-01,y"],
        good="A{i},2025-07-01,x",
        count=20,
    )
    found = violations(tmp_path, labels=labels, attributes=attributes)
    assert {(item.table, item.level) for item in found} == {("labels", "error"), ("attributes", "warn")}
    assert {item.column for item in found} == {"account_id, as_of", "account_id, valid_from"}


def test_repeated_rows_are_counted_without_the_first(tmp_path: Path) -> None:
    repeated = ["A3,2025-06-05,1"] * 3 + ["A4,2025-06-05,1"] * 2
    found = only(violations(tmp_path, events=events(*repeated)))
    assert (found.rule, found.count, found.level) == ("row is duplicated", 3, "warn")
    assert found.examples == ("A3", "A4")


def test_an_unparsable_date_is_a_counted_violation(tmp_path: Path) -> None:
    found = only(violations(tmp_path, events=events("A1,31.02.2025,1")))
    assert (found.column, found.count, found.examples) == ("occurred_at", 1, ("31.02.2025",))
    assert found.rule.startswith("not a date")
    assert "date_format" in found.fix
    assert "left out" in found.fix


def test_a_bad_optional_value_counts_as_unknown(tmp_path: Path) -> None:
    found = only(violations(tmp_path, events=events("A1,2025-06-01,many")))
    assert (found.column, found.examples) == ("quantity", ("many",))
    assert "unknown" in found.fix


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e15", "12,5", "0x10"])
def test_unusable_numbers_are_counted(tmp_path: Path, value: str) -> None:
    assert only(violations(tmp_path, events=events(f'A1,2025-06-01,"{value}"'))).column == "quantity"


@pytest.mark.parametrize("value", ["infinity", "0001-01-01", "0000-00-00", "2025-02-30", "1748736000"])
def test_unusable_dates_are_counted(tmp_path: Path, value: str) -> None:
    assert only(violations(tmp_path, events=events(f"A1,{value},1"))).examples == (value,)


def test_a_bad_number_in_a_csv_column_does_not_stop_the_read(tmp_path: Path) -> None:
    """DuckDB 2.0 pushes a cast into the CSV reader, where it fails instead of yielding null."""
    text = events(
        *[f"A1,2025-06-01 11:{second // 60:02}:{second % 60:02},x{second}" for second in range(50)],
        count=3000,
    )
    found = [item for item in violations(tmp_path, events=text) if item.column == "quantity"]
    assert only(found).count == 50


def test_negative_money_warns_whatever_its_share(tmp_path: Path) -> None:
    text = rows("account_id,started_at,mrr,seats", [], good="A{i},2025-06-01 00:00:{n:02},-5,-1")
    found = violations(tmp_path, subscriptions=text)
    assert [(item.column, item.rule, item.level) for item in found] == [
        ("mrr", "is negative", "warn"),
        ("seats", "is negative", "warn"),
    ]


def test_mixed_time_zones_are_found(tmp_path: Path) -> None:
    found = only(
        violations(tmp_path, events=events("A1,2025-06-01 10:00:00+02:00,1", "A1,2025-06-01T10:00:00Z,1"))
    )
    assert (found.rule, found.count) == ("some times have a zone and some have none", 2)
    assert "UTC" in found.fix


def test_times_that_all_have_a_zone_and_bare_dates_are_no_mixture(tmp_path: Path) -> None:
    text = rows("account_id,occurred_at", ["A1,2025-06-01"], good="A{i},2025-06-01T10:00:{n:02}+02")
    assert violations(tmp_path, events=text) == []


def test_a_missing_required_value_is_found_beside_a_wrong_one(tmp_path: Path) -> None:
    found = violations(tmp_path, events=events("A1,,1", "A2,soon,1", ",2025-06-01,1"))
    assert {(item.column, item.rule.split()[0]) for item in found} == {
        ("occurred_at", "not"),
        ("occurred_at", "value"),
        ("account_id", "value"),
    }


def test_a_missing_optional_value_is_no_defect(tmp_path: Path) -> None:
    assert violations(tmp_path, events=events("A1,2025-06-01,")) == []


def test_a_score_outside_its_range_is_found(tmp_path: Path) -> None:
    text = rows(
        "account_id,answered_at,score",
        ["A1,2025-06-01,11", "A1,2025-06-01,-1"],
        good="A{i},2025-06-01 00:00:{n:02},10",
    )
    found = only(violations(tmp_path, surveys=text))
    assert (found.rule, found.examples) == ("is outside 0-10", ("-1.0", "11.0"))


@pytest.mark.parametrize("text", ["account_id,occurred_at\n", "account_id,occurred_at"])
def test_a_table_without_rows_blocks(tmp_path: Path, text: str) -> None:
    found = only(violations(tmp_path, events=text))
    assert (found.table, found.rule, found.level) == ("events", "table has no rows", "error")
    assert "[tables.events]" in found.fix


def test_an_event_before_the_sign_up_day_warns(tmp_path: Path) -> None:
    found = only(violations(tmp_path, events=events("A1,2024-12-31 23:59:59,1")))
    assert (found.column, found.rule, found.level) == (
        "occurred_at",
        "is before the account's sign-up",
        "warn",
    )


def test_only_rows_before_the_sign_up_are_counted_for_any_spelling_of_the_id(
    tmp_path: Path,
) -> None:
    early = [f"{id},2024-12-{day},{len(id)}" for id in ("A1", " A1", "A2") for day in ("30", "31")]
    later = ["A1,2025-06-01,1", " A1,2025-06-02,1", "A3,2025-06-01,1"]
    found = only(violations(tmp_path, events=events(*early, *later)))
    assert (found.rule, found.count) == ("is before the account's sign-up", 6)
    assert found.examples == ("A1", "A2")


def test_an_event_earlier_on_the_sign_up_day_is_no_defect(tmp_path: Path) -> None:
    accounts = ACCOUNTS.replace("A1,2025-01-01", "A1,2025-01-01 18:00")
    assert violations(tmp_path, accounts=accounts, events=events("A1,2025-01-01 06:00,1")) == []


def test_the_sign_up_rule_needs_sign_up_dates(tmp_path: Path) -> None:
    accounts = "account_id\n" + "".join(f"A{number}\n" for number in range(30))
    assert violations(tmp_path, accounts=accounts, events=events("A1,1999-01-01,1")) == []


def test_few_defects_warn_and_many_block(tmp_path: Path) -> None:
    few, many = [f"A{n},soon,1" for n in range(2)], [f"A{n},soon,1" for n in range(3)]
    assert only(violations(tmp_path, events=events(*few))).level == "warn"
    assert only(violations(tmp_path, events=events(*many))).level == "error"


def test_everything_is_reported_at_once_with_blocking_ones_first(tmp_path: Path) -> None:
    found = violations(
        tmp_path,
        accounts=ACCOUNTS + "A1,2025-01-01\n",
        events=events("Z9,2062-01-01,many", "A1,soon,1"),
        surveys="account_id,answered_at,score\nA1,2025-06-01,50\n",
        complaints="account_id,opened_at\n",
    )
    assert {(item.table, item.column) for item in found} == {
        ("accounts", "account_id"),
        ("events", "account_id"),
        ("events", "occurred_at"),
        ("events", "quantity"),
        ("surveys", "score"),
        ("complaints", ""),
    }
    levels = [item.level for item in found]
    assert levels == sorted(levels, key=("error", "warn").index)
    assert len(blocking(found)) == levels.count("error") == 3


def test_every_violation_says_what_to_do(tmp_path: Path) -> None:
    found = violations(tmp_path, events=events("Z9,2062-01-01,many", "A1,soon,-1", "A1,1999-01-01,1"))
    assert len(found) >= 5
    assert all(len(item.fix) > 20 and item.fix.endswith(".") for item in found)


def test_with_a_date_format_other_texts_are_wrong(tmp_path: Path) -> None:
    text = rows("account_id,occurred_at", ["A1,2025-06-01"], good="A{i},28/06/2025 10:{n:02}")
    german = {"events": TableConfig(path="events.csv", date_format="%d/%m/%Y %H:%M")}
    assert only(violations(tmp_path, configs=german, events=text)).examples == ("2025-06-01",)


@pytest.mark.slow
def test_duplicates_in_a_large_table_are_searched_in_a_share_of_its_accounts(tmp_path: Path) -> None:
    pairs = COMPARED_ROWS // 2 + 50_000
    with Engine(EngineConfig(), base=tmp_path) as engine:
        engine.rows(
            f"copy (select 'A' || (i // 2 % 1000) as account_id, timestamp '2025-06-01' + interval (i // 2) second "
            f"as occurred_at from range({2 * pairs}) t(i)) to '{tmp_path}/events.parquet'"
        )
        engine.rows(
            f"copy (select 'A' || i as account_id from range(1000) t(i)) to '{tmp_path}/accounts.parquet'"
        )
        opened = open_tables(
            engine, {name: TableConfig(path=f"{name}.parquet") for name in ("accounts", "events")}
        )
        found = only(
            validate(engine, opened.available, native=opened.native, readings=opened.readings, now=NOW)
        )
    assert (found.rule, found.level) == ("row is duplicated (looked for in one of 2 accounts)", "warn")
    assert 0.4 * pairs < found.count < 0.6 * pairs


def test_repeated_rows_of_ids_that_are_numbers_are_shown_as_text(tmp_path: Path) -> None:
    accounts = "account_id\n" + "".join(f"{number}\n" for number in range(30))
    text = rows("account_id,occurred_at", ["7,2025-06-01"] * 2, good="{i},2025-05-01 00:00:{n:02}")
    found = only(violations(tmp_path, accounts=accounts, events=text))
    assert (found.rule, found.count, found.examples) == ("row is duplicated", 1, ("7",))
