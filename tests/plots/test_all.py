"""What holds for every picture of a model."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from churnrisk import plots
from churnrisk.errors import ContractError
from churnrisk.plots import STYLES

from .reading import drawn, labels

MONEY = {"cost_per_contact": 10.0, "save_rate": 0.3, "value": 500.0}
OF_A_MODEL = [
    pytest.param(plots.plot_calibration, {}, id="calibration"),
    pytest.param(plots.plot_precision_recall, {}, id="precision_recall"),
    pytest.param(plots.plot_lift, {}, id="lift"),
    pytest.param(plots.plot_gain, {}, id="gain"),
    pytest.param(plots.plot_recall_at_capacity, {"snapshots": 2, "capacity": 40}, id="recall"),
    pytest.param(plots.plot_cost, MONEY, id="cost"),
]


@pytest.mark.parametrize(("plot", "terms"), OF_A_MODEL)
def test_it_draws_on_the_axes_it_is_given_and_changes_nothing_else(plot, terms, scored):
    y, p, _ = scored
    before = dict(matplotlib.rcParams)
    axes = Figure().add_subplot()
    assert plot(y, p, ax=axes, **terms) is axes
    assert plot(y, p, **terms) is not axes
    assert axes.get_title()
    assert axes.get_xlabel()
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(("plot", "terms"), OF_A_MODEL)
def test_a_second_model_looks_different_in_colour_and_line_and_shares_the_yardstick(plot, terms, scored):
    y, p, _ = scored
    axes = plot(y, p, name="ours", **terms)
    plot(y, p[::-1], name="theirs", ax=axes, **terms)
    shown = labels(axes)
    assert len(shown) == len(set(shown))
    assert {"ours", "theirs"} <= {label.split()[0].strip(":,") for label in shown}
    series = [item for item in axes.lines if item.get_gid()]
    assert [item.get_color() for item in series] == [style.colour for style in STYLES[:2]]
    assert series[0].get_linestyle() != series[1].get_linestyle()
    assert len(drawn(axes)) > 10_000


@pytest.mark.parametrize(("plot", "terms"), OF_A_MODEL)
@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([1, 0, 1], [0.2, 0.1], "one probability"),
        ([1, 0], [0.2, np.nan], "1 missing"),
        ([0, 0], [0.2, 0.1], "0 churned of 2"),
    ],
)
def test_rows_that_say_nothing_are_refused(plot, terms, y, p, message):
    with pytest.raises(ContractError, match=message):
        plot(y, p, **terms)


def test_the_styles_differ_in_shape_as_well_as_in_colour():
    assert len({style.colour for style in STYLES}) == len({style.mark for style in STYLES}) == len(STYLES)
