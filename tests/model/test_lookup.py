"""The grid looks up what a search finds, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.model import WORTH_A_GRID, Grid, look_up

numbers = st.floats(-1e9, 1e9, allow_subnormal=False)


def steps_of(inner):
    edges = np.append(np.unique(np.asarray(inner, dtype=float)), np.inf)
    return edges, np.arange(len(edges) + 1, dtype=float) * 1.7 - 3


def searched(steps, column):
    return steps[1][np.searchsorted(steps[0], column)]


@settings(max_examples=200, deadline=None)
@given(inner=st.lists(numbers, min_size=1, max_size=60, unique=True), seed=st.integers(0, 10**6))
def test_a_grid_finds_what_a_search_finds(inner, seed):
    steps = steps_of(inner)
    grid = Grid.of(*steps)
    if grid is None:
        return
    rng = np.random.default_rng(seed)
    edges = steps[0][:-1]
    near = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    column = np.concatenate(
        [
            near,
            rng.uniform(edges[0] - 1, edges[-1] + 1, 500),
            [np.nan, 1e300, -1e300, np.inf, -np.inf, 0.0, -0.0],
        ]
    )
    found = np.empty(len(column))
    grid.look_up(column, found)
    assert np.array_equal(found, searched(steps, column))


@pytest.mark.parametrize(
    "inner", [[3.0], np.arange(40) + 0.5, np.sort(np.random.default_rng(0).normal(size=200))]
)
def test_the_usual_columns_get_a_grid(inner):
    assert Grid.of(*steps_of(inner)) is not None


@pytest.mark.parametrize("inner", [[], [0.0, 1e-9, 1e9], [-1.7e308, 1.7e308]])
def test_columns_without_a_grid_are_searched(inner):
    steps = steps_of(inner)
    assert Grid.of(*steps) is None
    column = np.resize(np.array([-1.0, 0.0, 1e-9, 2.0, 1e12, np.nan]), WORTH_A_GRID)
    assert np.array_equal(look_up(steps, column), searched(steps, column))


@pytest.mark.parametrize("rows", [7, WORTH_A_GRID + 5])
def test_few_and_many_rows_are_looked_up_alike(rows):
    steps = steps_of([1.5, 2.5, 9.0, 40.0])
    column = np.random.default_rng(1).integers(0, 50, rows).astype(float)
    column[::5] = np.nan
    out = np.empty(rows)
    assert look_up(steps, column, out) is out
    assert np.array_equal(out, searched(steps, column))
    expected = searched(steps, column)
    assert np.array_equal(look_up(steps, column, column), expected)


def test_a_column_that_says_nothing_may_be_written_over_too():
    column = np.array([1.0, np.nan, 3.0])
    assert look_up((np.array([np.inf]), np.array([0.5, -2.0])), column, column).tolist() == [0.5, -2.0, 0.5]
