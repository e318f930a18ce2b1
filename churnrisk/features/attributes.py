"""Attributes: slowly changing facts as they were known, and who holds the relationship.

A relationship that hangs on one person is at risk when that person leaves.
"""

from __future__ import annotations

from collections.abc import Sequence

from churnrisk.contract import identifier
from churnrisk.features.block import BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup
from churnrisk.records import Feature
from churnrisk.snapshots import PANEL
from churnrisk.sources import Tables

_feature = FeatureFamily("relationship", ("attributes.owner",))
_FEATURES = (
    _feature("contacts", "people", "contacts", "people known at the customer",
        "Only {value:.0f} people known at the customer", -1, ("attributes.contacts",)),
    _feature("owner_changed_60d", "yes/no",
        "case when owner_changed_at >= as_of - interval 60 day then 1 else 0 end",
        "owner changed in the last 60 days", "The owner changed in the last 60 days", +1),
    _feature("days_since_owner_change", "days", "date_diff('day', owner_changed_at, as_of)",
        "days since the owner changed", "The owner changed {value:.0f} days ago",
        why_missing="The owner never changed"),
)  # fmt: skip

_OWNER_CHANGES = (
    "left join (select account_id, valid_from as changed_at from ("
    "select account_id, valid_from, owner, lag(owner) over (partition by account_id order by valid_from, owner) "
    "as former from attributes where owner is not null) where owner <> former) o "
    "on o.account_id = t.account_id and o.changed_at = t.valid_from "
)


def _prepare(inputs: BlockInputs) -> FeatureBlock:
    names = [
        name for name in inputs.available.tables["attributes"] if name not in ("account_id", "valid_from")
    ]
    owner, changes = (
        (", max(o.changed_at) as owner_changed_at", _OWNER_CHANGES) if "owner" in names else ("", "")
    )
    latest = "".join(
        # a fact holds until another value replaces it; ties of the date are broken by value
        f", arg_max(t.{identifier(name)}, row(t.valid_from, t.{identifier(name)})) "
        f"filter (where t.{identifier(name)} is not null) as {identifier(_column(name))}"
        for name in names
    )
    columns = inputs.create(
        "attribute_columns",
        f"select p.account_key, p.as_of{latest}{owner} "
        f"from {inputs.rows} p join attributes t on t.account_id = p.account_id and t.valid_from < p.as_of "
        f"{changes}group by p.account_key, p.as_of",
    )
    return FeatureBlock.of(columns)


def _column(name: str) -> str:
    return name if name in ("owner", "contacts") else f"attributes.{name}"


ATTRIBUTES = FeatureGroup(
    "attributes",
    _prepare,
    _FEATURES,
    {"attribute_columns": "The last known value of each slowly changing fact before each date."},
)

#: So many of the accounts must have one row, dated at their start, for a table to count as today's state dated back.
_NEARLY_ALL = 0.95


def lasting_features(tables: Tables, features: Sequence[Feature]) -> frozenset[str]:
    """Return the names of the features of a panel that have one value per account, from its start on.

    Those are static columns of accounts, and columns of attributes if it has one row per account, of one date for all
    or of the account's first day.
    """
    sources = ("accounts.", "attributes.") if _is_dated_back(tables) else ("accounts.",)
    return frozenset(
        feature.name for feature in features if feature.requires and feature.requires[0].startswith(sources)
    )


def _is_dated_back(tables: Tables) -> bool:
    if not tables.available.has("attributes"):
        return False
    rows, accounts, dates, at_start = tables.engine.rows(
        "select count(*), count(distinct t.account_id), count(distinct cast(t.valid_from as date)), "
        "count(*) filter (where cast(t.valid_from as date) <= cast(f.first_seen_at as date)) "
        f"from attributes t join {PANEL.first_seen} f using (account_id)"
    )[0]
    one_each = rows > 0 and accounts >= _NEARLY_ALL * rows
    return bool(one_each and (dates == 1 or at_start >= _NEARLY_ALL * rows))
