"""Compute the features of a panel: blocks first, then one expression per feature over their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churnrisk.features.blocks import (
    Block,
    attributes_block,
    complaints_block,
    events_block,
    subscriptions_block,
    surveys_block,
)
from churnrisk.records import Feature
from churnrisk.sources import Tables, identifier

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FeatureFrame:
    """Features with their labels.

    Attributes
    ----------
    X : DataFrame
        One row per (account_id, as_of), which is the index; float64 and category columns.
    churned : Series
        1, 0 or missing, aligned with X.
    grey_reason : Series
        Why an account is not scored; missing when it is. Aligned with X.
    """

    X: pd.DataFrame
    churned: pd.Series
    grey_reason: pd.Series


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Names of the relations behind a feature frame.

    ``rows`` holds account_id, as_of, grey_reason, churned and a column per feature, ``inputs`` what features may name.
    """

    rows: str = "feature_rows"
    inputs: str = "feature_inputs"


#: What :func:`create_feature_table` creates; there is one per engine.
FEATURE_TABLE = FeatureTable()


def build_features(
    tables: Tables, features: Sequence[Feature], *, key_features: tuple[str, ...] = (), labelled_only: bool
) -> FeatureFrame:
    """Compute the features for the rows of ``panel`` (see :func:`churnrisk.snapshots.build_panel`).

    Parameters
    ----------
    tables : Tables
        Opened tables whose engine holds ``panel`` and ``as_of_dates``.
    features : sequence of Feature
        What to compute.
    key_features : tuple of str
        Product features whose own last day is kept.
    labelled_only : bool
        Leave out rows without a label: they are of no use to training.

    Returns
    -------
    FeatureFrame
        Rows ordered by (as_of, account_id).
    """
    made = create_feature_table(tables, features, key_features=key_features, labelled_only=labelled_only)
    frame = tables.engine.arrow(f"select * from {made.rows} order by as_of, account_id").to_pandas()
    return _split(frame, features)


def create_feature_table(
    tables: Tables, features: Sequence[Feature], *, key_features: tuple[str, ...], labelled_only: bool
) -> FeatureTable:
    """Compute the features of the panel inside the engine."""
    engine = tables.engine
    where = "where churned is not null" if labelled_only else ""
    engine.run(
        f"create or replace temp table account_keys as {engine.keyed(f'(select * from panel {where})')}"
    )
    engine.run(
        "create or replace temp table panel_rows as select p.*, k.account_key, f.first_seen_at, f.dated "
        f"from (select * from panel {where}) p join account_keys k on k.account_id = p.account_id "
        "join first_seen f on f.account_id = p.account_id"
    )
    blocks = _blocks(tables, key_features)
    joins = "".join(
        f" left join {name} on {' and '.join(f'{name}.{key} = p.{key}' for key in keys)}"
        for block in blocks
        for name, keys in block.relations.items()
    )
    static = "".join(
        f", a.{identifier(feature.name)} as {identifier(f'accounts.{feature.name}')}"
        for feature in features
        if feature.sql == identifier(f"accounts.{feature.name}")
    )
    engine.run(
        "create or replace temp view feature_inputs as select p.account_id, p.as_of, p.first_seen_at, p.dated"
        f"{''.join(f', {block.columns}' for block in blocks)}{static} from panel_rows p"
        f"{' join accounts a on a.account_id = p.account_id' if static else ''}{joins}"
    )
    # features are computed where the label is out of sight: an own one cannot name it
    engine.run(
        "create or replace temp table feature_rows as "
        "select p.account_id, p.as_of, p.grey_reason, p.churned, v.* exclude (account_id, as_of) "
        f"from (select account_id, as_of{_columns(features)} from feature_inputs) v "
        "join panel_rows p on p.account_id = v.account_id and p.as_of = v.as_of"
    )
    return FEATURE_TABLE


def _blocks(tables: Tables, key_features: tuple[str, ...]) -> list[Block]:
    blocks = []
    if tables.available.has("events"):
        blocks.append(events_block(tables, key_features))
    if tables.available.has("complaints"):
        blocks.append(complaints_block(tables))
    if tables.available.has("surveys"):
        blocks.append(surveys_block(tables))
    if tables.available.has("subscriptions"):
        blocks.append(subscriptions_block(tables))
    if tables.available.has("attributes"):
        blocks.append(attributes_block(tables))
    return blocks


def _columns(features: Sequence[Feature]) -> str:
    return "".join(
        f", ({feature.sql})::{'varchar' if feature.categorical else 'double'} as {identifier(feature.name)}"
        for feature in features
    )


def _split(frame: pd.DataFrame, features: Sequence[Feature]) -> FeatureFrame:
    frame = frame.set_index(["account_id", "as_of"])
    X = frame[[feature.name for feature in features]]
    categorical = {feature.name: "category" for feature in features if feature.categorical}
    return FeatureFrame(X.astype(categorical), frame["churned"].astype("Int8"), frame["grey_reason"])
