import numpy as np
import pytest

from churnrisk.errors import ContractError
from churnrisk.model import ChurnClassifier
from churnrisk.plots import plot_feature_effect, plot_feature_effects

from .reading import drawn


def test_the_line_is_what_each_value_adds_to_the_log_odds(additive, panel):
    X = panel[0]
    axes = plot_feature_effect(additive, X, "days_since_last_event")
    grid, added = axes.lines[1].get_data()
    rows = X.iloc[: len(grid)].assign(days_since_last_event=grid)
    flat = rows.assign(days_since_last_event=grid[0])
    risen = additive.decision_function(rows) - additive.decision_function(flat)
    assert added - added[0] == pytest.approx(risen)
    assert added[-1] > added[0] + 1


def test_a_calibrated_model_shows_calibrated_effects(additive, panel):
    X, y, _ = panel
    before = plot_feature_effect(additive, X, "nps").lines[1].get_ydata()
    calibrated = ChurnClassifier(candidates=("additive",), max_iter=80, calibration="sigmoid").fit(X, y)
    raw = plot_feature_effect(calibrated, X, "nps").lines[1].get_ydata()
    calibrated.calibrate(X[y.cumsum() < 200], y[y.cumsum() < 200])
    assert calibrated.calibrator_.slope != 1.0
    slope = calibrated.calibrator_.slope
    assert plot_feature_effect(calibrated, X, "nps").lines[1].get_ydata() == pytest.approx(slope * raw)
    assert len(before) == len(raw)


def test_few_values_are_dots_on_the_line(additive, panel):
    X = panel[0]
    axes = plot_feature_effect(additive, X, "features_30", name="product features")
    values, added = axes.lines[2].get_data()
    assert set(values) <= set(X["features_30"])
    grid, line = axes.lines[1].get_data()
    assert np.interp(values, grid, line) == pytest.approx(added, abs=0.15)
    assert axes.get_title() == "product features"


def test_missing_values_have_a_line_of_their_own(additive, panel):
    X = panel[0]
    axes = plot_feature_effect(additive, X, "nps")
    (label,) = [text.get_text() for text in axes.get_legend().get_texts()]
    assert label == f"missing ({X['nps'].isna().mean():.0%})"
    share = additive.contributions(X[X["nps"].isna()])["nps"]
    assert axes.lines[-1].get_ydata()[0] == pytest.approx(share.iloc[0])


def test_the_density_is_that_of_the_rows(additive, panel):
    X = panel[0]
    axes = plot_feature_effect(additive, X, "features_30")
    edge = axes.collections[0].get_paths()[0].vertices
    shares = X["features_30"].value_counts()
    heights = [edge[np.abs(edge[:, 0] - value) < 0.15][:, 1].max() for value in shares.index]
    assert np.corrcoef(heights, shares)[0, 1] > 0.999


def test_names_are_bars_with_their_share_of_the_rows(additive, panel):
    X = panel[0]
    axes = plot_feature_effect(additive, X, "plan")
    added = {
        text.get_text().split()[0]: bar.get_width()
        for text, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
    }
    assert max(added, key=added.get) == "basic"
    assert axes.get_xlabel() == "log-odds added"


@pytest.mark.slow
def test_a_model_with_interactions_shows_each_row_as_a_point(panel):
    X, y, _ = panel
    full = ChurnClassifier(candidates=("full",), max_iter=40).fit(X, y)
    values, added = plot_feature_effect(full, X, "days_since_last_event").lines[-1].get_data()
    assert len(values) > 500
    assert np.corrcoef(values, added)[0, 1] > 0.5


def test_the_sheet_shows_each_feature_that_matters_once(additive, panel):
    figure = plot_feature_effects(additive, panel[0])
    titles = [axes.get_title() for axes in figure.axes]
    assert {"days_since_last_event", "plan", "complaints_open"} <= set(titles)
    assert len(titles) == len(set(titles))
    assert "nothing" not in titles
    assert len(drawn(figure.axes[0])) > 5_000


def test_a_column_that_is_not_there_is_told(additive, panel):
    with pytest.raises(ContractError, match=r"found 'churn'\. It has days_since_last_event"):
        plot_feature_effect(additive, panel[0], "churn")
