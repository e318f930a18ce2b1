"""Drift is an effect size: it tells a moved signal from a small sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from churnrisk.model import LARGE, SOME, drift_by_snapshot, population_stability


def normal(mean: float, rows: int, seed: int) -> pd.Series:
    return pd.Series(np.random.default_rng(seed).normal(mean, 1.0, rows))


@pytest.mark.parametrize("rows", [60, 600, 60_000])
def test_the_same_values_do_not_drift_whatever_the_number_of_rows(rows: int) -> None:
    found = [population_stability(normal(0, rows, seed), normal(0, rows, seed + 99)) for seed in range(20)]
    assert np.mean(found) < SOME * 2 / 3


@pytest.mark.parametrize("rows", [2_000, 200_000])
def test_a_shift_has_the_same_size_for_few_and_many_rows(rows: int) -> None:
    # between normal distributions half a deviation apart the index is 0.25, a little less when cut into tenths
    found = [population_stability(normal(0, rows, seed), normal(0.5, rows, seed + 99)) for seed in range(10)]
    assert np.mean(found) == pytest.approx(0.24, abs=0.02)


def test_values_that_vanish_count() -> None:
    there = normal(0, 5_000, 1)
    half_gone = there.where(np.arange(len(there)) % 2 == 0)
    assert population_stability(there, half_gone) > LARGE
    assert population_stability(half_gone, half_gone) == 0.0


def test_a_shared_value_that_spreads_is_seen() -> None:
    zeros = pd.Series(np.repeat([0.0, 1.0], [900, 100]))
    ones = pd.Series(np.repeat([0.0, 1.0], [500, 500]))
    assert population_stability(zeros, ones) > LARGE
    assert population_stability(zeros, zeros) == 0.0


def test_names_drift_by_level_and_a_new_level_counts() -> None:
    kinds = pd.CategoricalDtype(["free", "pro", "new"])
    old = pd.Series(["free", "pro"] * 500, dtype=kinds)
    new = pd.Series(["free", "pro", "new", None] * 250, dtype=kinds)
    assert population_stability(old, old) == 0.0
    assert population_stability(old, new) > LARGE


def test_an_empty_snapshot_has_no_drift() -> None:
    assert population_stability(pd.Series(dtype=float), normal(0, 5, 1)) is None


def test_a_column_without_any_value_has_not_moved() -> None:
    nothing = pd.Series([np.nan] * 50)
    assert population_stability(nothing, nothing) == 0.0


def test_each_snapshot_is_held_against_the_first() -> None:
    dates = pd.date_range("2026-01-01", periods=3, freq="30D")
    index = pd.MultiIndex.from_product([range(1_000), dates], names=["account_id", "as_of"])
    shift = index.get_level_values("as_of").map(dict(zip(dates, (0.0, 0.0, 2.0), strict=True))).to_numpy()
    moved = drift_by_snapshot(pd.DataFrame({"moves": normal(0, 3_000, 1).to_numpy() + shift}, index=index))
    assert moved.index.tolist() == list(dates[1:])
    assert (moved["moves"] > LARGE).tolist() == [False, True]
