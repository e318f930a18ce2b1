import numpy as np
import pandas as pd
import pytest

from churnrisk.errors import ContractError
from churnrisk.model import KaplanMeier
from churnrisk.plots import plot_retention, plot_survival

from .reading import drawn, labels, line

LIVES = pd.DataFrame(
    {
        "began_at": pd.to_datetime(["2026-01-05", "2026-01-20", "2026-01-31", "2026-02-02", "2026-02-10"]),
        "days": [40, 100, 90, 20, 75],
        "entered": [0, 0, 0, 0, 0],
        "lost": [True, False, True, True, False],
    }
)


def test_the_curve_is_that_of_kaplan_and_meier():
    axes = plot_survival(LIVES)
    days, share = line(axes, "all accounts (5, 3 lost)")
    assert days.tolist() == [0, 20, 40, 90, 100]
    assert share == pytest.approx([1, 4 / 5, 3 / 5, 3 / 10, 3 / 10])
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    found = KaplanMeier.fit(LIVES["days"], LIVES["lost"])
    assert (band.min(), band.max()) == (pytest.approx(found.low.min()), 1.0)


def test_lives_that_are_seen_late_count_from_then_on():
    late = LIVES.assign(entered=[30, 0, 0, 0, 0])
    _, share = line(plot_survival(late), "all")
    assert share[1] == pytest.approx(3 / 4)


def test_each_kind_of_account_has_a_curve_of_its_own():
    axes = plot_survival(LIVES, by=LIVES["began_at"].dt.to_period("M"))
    assert labels(axes) == ["2026-01 (3, 2 lost)", "2026-02 (2, 1 lost)"]
    assert len({item.get_color() for item in axes.lines}) == 2
    assert len({item.get_marker() for item in axes.lines}) == 2


def test_retention_has_a_row_per_month_of_sign_up_and_no_cell_that_the_data_do_not_reach():
    axes = plot_retention(LIVES, months=4)
    cells = axes.collections[0].get_array()
    assert cells[0].filled(np.nan)[:3] == pytest.approx([1.0, 2 / 3, 1 / 3])
    assert cells[1].filled(np.nan)[:2] == pytest.approx([0.5, 0.5])
    assert cells.mask.tolist() == [[False, False, False, True], [False, False, True, True]]
    assert [text.get_text() for text in axes.texts] == ["100", "67", "33", "50", "50"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["2026-01 (3)", "2026-02 (2)"]
    assert len(drawn(axes)) > 5_000


def test_only_the_latest_cohorts_are_shown():
    axes = plot_retention(LIVES, cohorts=1)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["2026-02 (2)"]


@pytest.mark.parametrize(("plot", "column"), [(plot_survival, "lost"), (plot_retention, "began_at")])
def test_a_missing_column_is_told(plot, column):
    with pytest.raises(ContractError, match=f"found no {column}"):
        plot(LIVES.drop(columns=column))


def test_without_a_life_of_a_month_there_is_no_retention():
    with pytest.raises(ContractError, match="found none among 5"):
        plot_retention(LIVES.assign(days=3))
