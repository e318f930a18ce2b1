import math

import numpy as np
import pandas as pd
import pytest

from churnrisk.lights import stability

NAMES = {"g": "green", "a": "amber", "r": "red", "x": "grey"}


def history(*paths, churned=()):
    """Build colours from one word per account, a letter per snapshot; "-" is no row at all."""
    cells = [
        (
            f"a{i}",
            pd.Timestamp("2026-01-01") + pd.Timedelta(days=30 * t),
            NAMES[letter],
            int((i, t) in churned),
        )
        for i, path in enumerate(paths)
        for t, letter in enumerate(path)
        if letter != "-"
    ]
    frame = pd.DataFrame(cells, columns=["account_id", "as_of", "colour", "churned"])
    frame = frame.set_index(["account_id", "as_of"])
    return stability(frame["colour"], frame["churned"])


@pytest.mark.parametrize(
    ("path", "flaps", "chances"),
    [
        ("gag", 1, 1),
        ("gaga", 2, 2),
        ("gar", 0, 1),
        ("gaag", 0, 2),
        ("ggg", 0, 1),
        ("ga-g", 0, 0),
        ("gxg", 0, 0),
        ("ga", 0, 0),
    ],
)
def test_a_flap_is_a_change_that_is_undone_at_the_next_snapshot(path, flaps, chances):
    # the second account gives every snapshot its column
    found = history(path, "aaaa"[: len(path)])
    assert (found.flaps, found.chances) == (flaps, chances + max(len(path) - 2, 0))


def test_recall_is_the_share_of_churned_rows_in_red_or_amber():
    found = history("gg", "ga", "rr", "xx", churned={(0, 1), (1, 1), (2, 0), (3, 1)})
    assert (found.caught, found.churned) == (2, 3)
    assert found.recall == pytest.approx(2 / 3)


def test_rates_without_anything_to_count_are_missing():
    found = history("g")
    assert math.isnan(found.flap_rate)
    assert math.isnan(found.recall)


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [[f"a{i}" for i in range(50)], pd.date_range("2026-01-01", periods=6)], names=["account_id", "as_of"]
    )
    colours = pd.Series(rng.choice(["green", "amber", "red"], len(index)), index=index)
    churned = pd.Series(rng.integers(0, 2, len(index)), index=index)
    mixed = rng.permutation(len(index))
    assert stability(colours, churned) == stability(colours.iloc[mixed], churned.iloc[mixed])
