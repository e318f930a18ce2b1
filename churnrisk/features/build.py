"""Compute the features of a panel: blocks first, then one expression per feature over their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churnrisk.features.block import BlockInputs
from churnrisk.features.catalogue import GROUPS
from churnrisk.records import Feature
from churnrisk.snapshots import PANEL, Panel
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
    tables: Tables,
    features: Sequence[Feature],
    *,
    key_features: tuple[str, ...] = (),
    labelled_only: bool,
    panel: Panel = PANEL,
) -> FeatureFrame:
    """Compute the features of a panel, ordered by (as_of, account_id); ``labelled_only`` drops rows without a label."""
    table = create_feature_table(
        tables, features, key_features=key_features, labelled_only=labelled_only, panel=panel
    )
    frame = tables.engine.arrow(f"select * from {table.rows} order by as_of, account_id").to_pandas()
    frame = frame.set_index(["account_id", "as_of"])
    X = frame[[feature.name for feature in features]]
    categorical = {feature.name: "category" for feature in features if feature.categorical}
    return FeatureFrame(X.astype(categorical), frame["churned"].astype("Int8"), frame["grey_reason"])


def create_feature_table(
    tables: Tables,
    features: Sequence[Feature],
    *,
    key_features: tuple[str, ...],
    labelled_only: bool,
    panel: Panel = PANEL,
) -> FeatureTable:
    """Create the feature table of a panel in the engine."""
    where = "where churned is not null" if labelled_only else ""
    chosen = f"(select * from {panel.rows} {where})"
    inputs = BlockInputs(tables, "panel_rows", "account_keys", panel.dates, key_features)
    inputs.create(inputs.keys, tables.engine.keyed(chosen))
    inputs.create(
        inputs.rows,
        "select p.*, k.account_key, f.first_seen_at, f.dated "
        f"from {chosen} p join {inputs.keys} k on k.account_id = p.account_id "
        f"join {panel.first_seen} f on f.account_id = p.account_id",
    )
    blocks = [group.prepare(inputs) for name, group in GROUPS.items() if tables.available.has(name)]
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
    made = FEATURE_TABLE
    tables.engine.run(
        f"create or replace temp view {made.inputs} as select p.account_id, p.as_of, p.first_seen_at, p.dated"
        f"{''.join(f', {block.columns}' for block in blocks)}{static} from {inputs.rows} p"
        f"{' join accounts a on a.account_id = p.account_id' if static else ''}{joins}"
    )
    columns = "".join(
        f", ({feature.sql})::{'varchar' if feature.categorical else 'double'} as {identifier(feature.name)}"
        for feature in features
    )
    # features are computed where the label is out of sight: a user's own cannot name it
    inputs.create(
        made.rows,
        "select p.account_id, p.as_of, p.grey_reason, p.churned, v.* exclude (account_id, as_of) "
        f"from (select account_id, as_of{columns} from {made.inputs}) v "
        f"join {inputs.rows} p on p.account_id = v.account_id and p.as_of = v.as_of",
    )
    return made
