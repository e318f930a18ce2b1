import numpy as np
import pandas as pd
import pytest

from churnrisk.errors import ContractError
from churnrisk.model import population_stability
from churnrisk.plots import plot_drift

from .reading import drawn, labels, line


@pytest.fixture
def moving():
    """One signal that shifts at the third snapshot, among others that do not."""
    rng = np.random.default_rng(0)
    dates = pd.date_range("2026-01-01", periods=4, freq="30D")
    index = pd.MultiIndex.from_product([[f"a{i}" for i in range(800)], dates], names=["account_id", "as_of"])
    late = index.get_level_values("as_of") >= dates[2]
    X = pd.DataFrame({f"still_{i}": rng.normal(size=len(index)) for i in range(5)}, index=index)
    return X.assign(
        moved=rng.normal(size=len(index)) + late, plan=pd.Categorical(rng.choice(["a", "b"], len(index)))
    )


def test_each_signal_is_held_against_its_first_snapshot(moving):
    axes = plot_drift(moving, top=1)
    assert labels(axes) == ["moved"]
    dates = moving.index.get_level_values("as_of")
    first, *later = (moving.loc[dates == date, "moved"] for date in sorted(dates.unique()))
    drift = line(axes, "moved")[1]
    assert drift == pytest.approx([population_stability(first, part) for part in later])
    assert (drift > 0.25).tolist() == [False, True, True]
    assert len(drawn(axes)) > 10_000


def test_signals_beyond_the_named_ones_are_there_without_a_name(moving):
    axes = plot_drift(moving, top=2)
    assert len(labels(axes)) == 2
    # two limits beside a line for each of the seven signals
    assert len(axes.lines) == moving.shape[1] + 2


def test_the_usual_limits_are_written_on(moving):
    assert [text.get_text() for text in plot_drift(moving).texts] == ["worth a look", "large"]


@pytest.mark.parametrize(
    "rows", [lambda X: X.xs("a1"), lambda X: X[X.index.get_level_values("as_of") == "2026-01-01"]]
)
def test_a_panel_without_two_dates_has_no_drift(moving, rows):
    X = rows(moving)
    if X.index.nlevels == 1:
        X = X.reset_index(drop=True)
    with pytest.raises(ContractError, match="two as-of dates or more"):
        plot_drift(X)
