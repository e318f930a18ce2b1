"""What the report adds up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from openpyxl import load_workbook

from churnrisk.present import html, wording, write_workbook
from churnrisk.records import AccountState, Colour, Place, Places, RedList

from .conftest import ROW

Make = Callable[..., RedList]


def test_value_at_risk_is_added_up_by_segment_and_colour(make_redlist: Make) -> None:
    redlist = make_redlist(
        {"segment": "SMB", "annual_value": 100.0},
        {"segment": "SMB", "annual_value": 50.0, "colour": Colour.AMBER},
        {"segment": "Enterprise", "annual_value": 300.0},
        {"segment": "Enterprise", "annual_value": 999.0, "colour": Colour.GREEN},
        {"segment": None, "annual_value": 1.0},
    )
    chart = html.charts(redlist)[0]
    shown = [(bar.label, bar.red, bar.amber) for bar in chart.bars]
    assert shown == [
        ("Enterprise", "300", "0"), ("SMB", "100", "50"), ("no segment", "1", "0"),
    ]  # fmt: skip


def test_renewal_quarters_are_in_order_of_time(make_redlist: Make) -> None:
    dates = [datetime(2027, 1, 1), datetime(2026, 9, 30), None, datetime(2026, 10, 1)]
    redlist = make_redlist(*[{"renewal_at": date} for date in dates])
    chart = html.charts(redlist)[1]
    assert [bar.label for bar in chart.bars] == ["2026 Q3", "2026 Q4", "2027 Q1", "no renewal date"]


def test_without_values_accounts_are_counted(make_redlist: Make) -> None:
    chart = html.charts(make_redlist({"annual_value": None}, {"annual_value": None}))[0]
    assert chart.counted == "accounts"
    assert chart.bars[0].red == "2"


def test_many_segments_are_folded_so_that_the_sum_stays(make_redlist: Make) -> None:
    redlist = make_redlist(*[{"segment": f"S{i:02}", "annual_value": 10.0} for i in range(12)])
    chart = html.charts(redlist)[0]
    assert len(chart.bars) == 8
    assert chart.bars[-1].label == "5 others"
    assert sum(float(bar.red) for bar in chart.bars) == 120


def test_many_quarters_are_folded_at_their_end(make_redlist: Make) -> None:
    redlist = make_redlist(*[{"renewal_at": datetime(2026 + i // 4, 1 + 3 * (i % 4), 1)} for i in range(12)])
    chart = html.charts(redlist)[1]
    assert [bar.label for bar in chart.bars][-2:] == ["2027 Q3", "5 later"]


@pytest.mark.parametrize(
    ("snoozed", "churned", "said"),
    [(0, 0, ""), (3, 0, "Not listed: 3 snoozed."), (1200, 2, "Not listed: 1,200 snoozed and 2 churned.")],
)
def test_hidden_accounts_are_counted(snoozed: int, churned: int, said: str, make_redlist: Make) -> None:
    assert html.left_out(replace(make_redlist({}), snoozed=snoozed, churned=churned)) == said


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "0 %"), (0.0123, "1.2 %"), (0.0996, "10 %"), (0.624, "62 %"), (1.0, "100 %")]
)
def test_percentages_are_as_exact_as_they_are_small(share: float, shown: str) -> None:
    assert wording.percent(share) == shown


@pytest.mark.parametrize(
    ("left", "shown"),
    [(None, wording.UNKNOWN), (0, "today"), (1, "in 1 day"), (30, "in 30 days"), (-3, "3 days ago")],
)
def test_renewals_count_from_the_day_of_the_run(left: int | None, shown: str) -> None:
    assert wording.renewal(replace(ROW, days_to_renewal=left)) == shown


@pytest.mark.parametrize(("days", "shown"), [(0, "since this run"), (1, "for 1 day"), (30, "for 30 days")])
def test_how_long_an_account_has_its_colour_is_shown(days: int, shown: str) -> None:
    assert wording.since(days) == shown


def test_the_last_touch_names_what_who_and_when() -> None:
    state = AccountState(1, touched_at=datetime(2026, 7, 3), touched_by="ana", touched_what="contacted")
    assert wording.touched(replace(ROW, state=state)) == "contacted by ana on 3 Jul 2026"
    assert wording.touched(ROW) == ""


@pytest.mark.parametrize(
    ("before", "shown"), [(None, ""), (0.62, "unchanged"), (0.61, "+1 point"), (0.8, "-18 points")]
)
def test_probability_changes_are_in_points(before: float | None, shown: str) -> None:
    row = replace(ROW, churn_probability=0.62, previous_probability=before)
    assert wording.probability_change(row) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (1234.5, "1,234"),
        (-5.0, "-5"),
        (-0.2, "0"),
        (None, wording.UNKNOWN),
        (float("inf"), wording.UNKNOWN),
    ],
)
def test_amounts_are_in_whole_units(amount: float | None, shown: str) -> None:
    assert wording.money(amount) == shown


@pytest.mark.parametrize(
    ("places", "says"),
    [
        (
            Places(50, 50, 0, 1_204, 0),
            "50 accounts are this run's work (capacity 50), 1,204 more amber on watch",
        ),
        (Places(50, 1, 0, 0, 0), "1 account is this run's work (capacity 50), 0 more amber on watch"),
        (Places(50, 50, 12, 9, 0), "62 red, capacity 50: 12 red beyond capacity, 9 amber on watch"),
        (
            Places(50, 5, 2, 9, 3),
            "7 red, 2 of them beyond the team's capacity of 50, 9 amber on watch, 3 handled before this run",
        ),
    ],
)
def test_what_the_capacity_makes_of_the_list_is_one_sentence(places: Places, says: str) -> None:
    assert wording.cut(places) == says


def test_every_door_says_where_the_list_is_cut(make_redlist: Make, tmp_path: Path) -> None:
    rows = make_redlist({"place": Place.WORK, "rank": 1}, {"place": Place.BEYOND}, {"place": None})
    redlist = replace(rows, places=Places(1, 1, 1, 0, 0))
    page = html.render_report(redlist, company="Acme")
    assert "2 red, capacity 1: 1 red beyond capacity, 0 amber on watch." in page
    assert [page.count(f"<strong>{place}</strong>") for place in ("work 1", "beyond capacity")] == [1, 1]
    book = load_workbook(write_workbook(tmp_path / "red.xlsx", redlist))
    assert "capacity 1" in book["Totals"]["A3"].value
    names = [cell.value for cell in book["Red list"][1]]
    cells = [[row[names.index(name)].value for name in ("Place", "Rank")] for row in book["Red list"]["2:4"]]
    assert cells == [["work", 1], ["beyond", None], [None, None]]
