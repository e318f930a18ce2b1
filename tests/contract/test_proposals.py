"""Where values do not fit, the check names the setting that reads them, found from the values."""

from __future__ import annotations

from pathlib import Path

import pytest

from churnrisk.records import Violation
from churnrisk.sources import TableConfig
from tests.contract.checking import ACCOUNTS, rows, violations


def check(
    folder: Path, header: str, *values: str, table: str = "events", **config: object
) -> list[Violation]:
    """Check a table whose rows are accounts A0, A1 … with these values."""
    lines = [f"A{number % 30};{value}" for number, value in enumerate(values)]
    text = "\n".join([f"account_id;{header}", *lines]) + "\n"
    configs = {table: TableConfig(path=f"{table}.csv", delimiter=";", **config)}  # type: ignore[arg-type]
    return violations(folder, configs=configs, **{table: text})


def about(found: list[Violation], column: str) -> Violation:
    (one,) = [item for item in found if item.column == column and item.level == "error"]
    return one


@pytest.mark.parametrize(
    ("date_format", "values"),
    [
        ("%d/%m/%Y", ["31/12/2025", "05/03/2025"]),
        ("%m/%d/%Y", ["12/31/2025", "05/03/2025"]),
        ("%d.%m.%Y %H:%M", ["31.12.2025 10:00", "1.3.2025 09:30"]),
        ("%d.%m.%Y, %H:%M:%S", ["31.12.2025, 10:00:01", "01.03.2025, 09:30:00"]),
        ("%m/%d/%Y %I:%M %p", ["12/31/2025 1:05 PM", "01/03/2025 11:30 AM"]),
        ("%d-%b-%Y", ["31-Dec-2025", "03-May-2025"]),
        ("%b %d, %Y", ["Dec 31, 2025", "May 3, 2025"]),
        ("%B %d, %Y", ["December 31, 2025", "May 3, 2025"]),
        ("%a, %d %b %Y %H:%M:%S %z", ["Wed, 31 Dec 2025 10:00:00 +0100"]),
        ("%Y%m%d", ["20251231", "20250301"]),
        ("%Y-%m", ["2025-12", "2025-03"]),
        ("epoch_s", ["1748736000", "1764547200"]),
        ("epoch_ms", ["1748736000000", "1764547200000"]),
        ("epoch_us", ["1748736000000000"]),
        ("excel", ["46022", "45992.4167"]),
    ],
)
def test_the_format_of_dates_is_proposed(tmp_path: Path, date_format: str, values: list[str]) -> None:
    found = about(check(tmp_path, "occurred_at", *values), "occurred_at")
    assert f'Set date_format = "{date_format}" under [tables.events] in churnrisk.toml' in found.fix
    assert check(tmp_path, "occurred_at", *values, date_format=date_format) == []


def test_days_and_months_that_may_be_swapped_are_asked_for(tmp_path: Path) -> None:
    fix = about(check(tmp_path, "occurred_at", "05/03/2025", "01/02/2025", "02/01/2025"), "occurred_at").fix
    assert 'one of these, as the values fit each: date_format = "%d/%m/%Y" or date_format = "%m/%d/%Y"' in fix


def test_another_column_of_the_table_shows_which_comes_first(tmp_path: Path) -> None:
    text = ["05/03/2025;06/03/2025 10:00", "04/02/2025;31/03/2025 09:00"]
    found = check(tmp_path, "opened_at;resolved_at", *text, table="complaints")
    line = 'date_format = { opened_at = "%d/%m/%Y", resolved_at = "%d/%m/%Y %H:%M" }'
    assert line in about(found, "opened_at").fix
    assert line in about(found, "resolved_at").fix


def test_a_format_for_all_columns_is_split_where_one_has_another(tmp_path: Path) -> None:
    text = ["31/03/2025;2025-04-01", "01/03/2025;2025-04-02"]
    found = check(tmp_path, "opened_at;resolved_at", *text, table="complaints", date_format="%d/%m/%Y")
    assert 'Set date_format = { opened_at = "%d/%m/%Y" } under' in about(found, "resolved_at").fix


def test_dates_of_several_shapes_have_no_format(tmp_path: Path) -> None:
    fix = about(check(tmp_path, "occurred_at", "31/03/2025", "soon", "March"), "occurred_at").fix
    assert "Correct the values, or set date_format (a strptime format, epoch_s, epoch_ms or excel)" in fix


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"decimal": ","}, ["12,5", "7"]),
        ({"decimal": ",", "thousands": "."}, ["1.234,50 €", "99,00 €"]),
        ({"thousands": ","}, ["1,234.50", "$12.00"]),
        ({"thousands": " "}, ["1 234", "99.5"]),
        ({"decimal": ",", "thousands": " "}, ["1\u202f234,5", "9\u00a0999,5"]),
        ({"thousands": "'"}, ["CHF 1'234.50"]),
        ({"decimal": ",", "thousands": "."}, ["1.234.567", "1.200"]),
    ],
)
def test_the_separators_of_numbers_are_proposed(
    tmp_path: Path, settings: dict[str, str], values: list[str]
) -> None:
    dated = [f"2025-06-0{day + 1};{value}" for day, value in enumerate(values)]
    fixes = {item.fix for item in check(tmp_path, "occurred_at;quantity", *dated) if item.level == "error"}
    lines = " and ".join(f'{name} = "{value}"' for name, value in settings.items())
    assert fixes
    assert all(f"et {lines} under [tables.events]" in fix for fix in fixes), fixes
    assert check(tmp_path, "occurred_at;quantity", *dated, **settings) == []


def test_a_setting_that_reads_all_values_is_asked_for_however_few_need_it(tmp_path: Path) -> None:
    dated = ["2025-06-01;1,234,567"] + [f"2025-06-01 10:00:{second:02};{second}" for second in range(59)]
    fix = about(check(tmp_path, "occurred_at;quantity", *dated), "quantity").fix
    assert 'Set thousands = "," under' in fix


@pytest.mark.parametrize("number", ["1.234", "1.234 €"])
def test_a_point_before_three_digits_is_asked_for(tmp_path: Path, number: str) -> None:
    found = about(
        check(tmp_path, "occurred_at;quantity", f"2025-06-01;{number}", "2025-06-02;999"), "quantity"
    )
    assert 'set decimal = "." or decimal = "," and thousands = "." under [tables.events]' in found.fix
    assert (found.count, found.examples) == (1, (number,))
    for vouched in ({"thousands": "."}, {"decimal": "."}):
        assert check(tmp_path, "occurred_at;quantity", f"2025-06-01;{number}", **vouched) == []


@pytest.mark.parametrize("other", ["12.5", "0.125"])
def test_a_point_that_separates_decimals_elsewhere_is_no_doubt(tmp_path: Path, other: str) -> None:
    assert check(tmp_path, "occurred_at;quantity", "2025-06-01;1.234", f"2025-06-02;{other}") == []


def test_texts_for_unknown_are_proposed_as_nulls(tmp_path: Path) -> None:
    values = ["2025-06-01;N/A", "2025-06-02;-", "2025-06-03;5", "2025-06-04;5"]
    found = about(check(tmp_path, "occurred_at;quantity", *values), "quantity")
    assert 'Set nulls = ["-", "N/A"] under [tables.events]' in found.fix
    assert check(tmp_path, "occurred_at;quantity", *values, nulls=("-", "N/A")) == []


def test_nulls_and_a_format_are_proposed_together(tmp_path: Path) -> None:
    found = about(check(tmp_path, "occurred_at", "31/12/2025", "unknown", nulls=("?",)), "occurred_at")
    assert 'Set date_format = "%d/%m/%Y" and nulls = ["?", "unknown"] under' in found.fix


def test_own_columns_follow_the_same_settings(tmp_path: Path) -> None:
    text = ACCOUNTS.replace("signed_up_at", "logins").replace("2025-01-01", "1.234")
    events = rows("account_id,occurred_at", [], good="A{i},2025-06-01 10:00:{n:02}")
    found = about(violations(tmp_path, accounts=text, events=events), "logins")
    assert found.rule == "a point may separate thousands or decimals"
    few = text.replace("1.234", '"1,5"', 3).replace("1.234", "2")
    (found,) = violations(tmp_path, accounts=few, events=events)
    assert (found.column, found.level, found.count) == ("logins", "warn", 3)
    assert 'Set decimal = "," under [tables.accounts]' in found.fix


def test_letters_before_a_severity_need_an_order(tmp_path: Path) -> None:
    values = [f"2025-06-0{day};P{day}" for day in range(1, 5)]
    found = about(check(tmp_path, "opened_at;severity", *values, table="complaints"), "severity")
    assert 'severity_order = "1 is worst" or severity_order = "1 is least"' in found.fix
    assert not check(tmp_path, "opened_at;severity", *values, table="complaints", severity_order="1 is worst")


def test_scores_outside_their_scale_are_named_with_it(tmp_path: Path) -> None:
    values = ["2025-06-01;5", "2025-06-02;1", "2025-06-03;7"]
    found = about(check(tmp_path, "answered_at;score", *values, table="surveys", scale="1-5"), "score")
    assert found.rule.startswith("is outside the scale 1-5")
    assert not check(tmp_path, "answered_at;score", *values[:2], table="surveys", scale="1-5")


def test_times_without_a_zone_beside_others_name_the_setting(tmp_path: Path) -> None:
    values = ["2025-06-01T10:00:00Z", "2025-06-01 10:00:01"]
    (found,) = check(tmp_path, "occurred_at", *values)
    assert 'timezone = "Europe/Berlin"' in found.fix
    assert check(tmp_path, "occurred_at", *values, timezone="Europe/Berlin") == []


def test_amounts_in_several_currencies_are_refused(tmp_path: Path) -> None:
    one = ["2025-06-01;$5", "2025-06-02;5 USD", "2025-06-03;5"]
    assert check(tmp_path, "started_at;mrr", *one, table="subscriptions") == []
    found = about(check(tmp_path, "started_at;mrr", *one, "2025-06-04;5 €", table="subscriptions"), "mrr")
    assert (found.rule, found.count, found.examples) == (
        "amounts are in several currencies",
        1,
        ("EUR", "USD"),
    )


def test_what_is_set_for_other_columns_is_not_contradicted(tmp_path: Path) -> None:
    values = ["2025-06-01;1,5;2.5", "2025-06-02;2,5;3.5"]
    (found,) = check(tmp_path, "started_at;mrr;seats", *values, table="subscriptions", decimal=",")
    assert found.column == "seats"
    assert "Correct the values" in found.fix
