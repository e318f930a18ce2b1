"""How the tests of this folder compute features and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from churnrisk.features import FeatureConfig, FeatureFrame, OwnFeature, build_features, select_features
from churnrisk.snapshots import ChurnConfig, build_panel
from tests.world import World, at, opened

KEYS = ("f000", "f001")
CONFIG = FeatureConfig(
    key_features=KEYS,
    static=("region", "staff"),
    own=(OwnFeature("events_per_seat", "coalesce(events_30, 0) / nullif(seats, 0)"),),
)
CHURN = ChurnConfig(definition="inactivity")


def compute(
    world: World, dates: Sequence[datetime], *, config: FeatureConfig = CONFIG, churn: ChurnConfig = CHURN
) -> FeatureFrame:
    """Return the features of every account of a world at some dates."""
    with opened(world) as tables:
        build_panel(tables, churn, dates, data_end=at(10_000))
        features = select_features(config, tables.available)
        return build_features(tables, features, key_features=config.key_features, labelled_only=False)


def bits(frame: FeatureFrame) -> dict[str, object]:
    """Return everything a model would see, down to the last bit; labels are not part of it."""
    columns = {name: _column_bits(column) for name, column in frame.X.items()}
    rows = [(account, as_of.isoformat()) for account, as_of in frame.X.index]
    grey = [None if pd.isna(reason) else reason for reason in frame.grey_reason]
    return {"": list(zip(rows, grey, strict=True)), **columns}


def _column_bits(column: pd.Series) -> object:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [None if pd.isna(value) else value for value in column]
    assert column.dtype == "float64"
    return column.to_numpy().tobytes()


def at_date(frame: FeatureFrame, as_of: datetime) -> FeatureFrame:
    """Return the rows of one as-of date."""
    rows = frame.X.index.get_level_values("as_of") == as_of
    return FeatureFrame(frame.X[rows], frame.churned[rows], frame.grey_reason[rows])
