"""The attributes block: slowly changing facts as they were known before each as-of date."""

from __future__ import annotations

from churnrisk.features.blocks.block import Block
from churnrisk.sources import Tables, identifier


def attributes_block(tables: Tables) -> Block:
    """Create ``attribute_columns``."""
    columns = [
        name for name in tables.available.tables["attributes"] if name not in ("account_id", "valid_from")
    ]
    latest = "".join(
        # each fact holds until another value replaces it; the value itself breaks ties of the date
        f", arg_max(t.{identifier(name)}, row(t.valid_from, t.{identifier(name)})) "
        f"filter (where t.{identifier(name)} is not null) as {identifier(_column(name))}"
        for name in columns
    )
    tables.engine.run(
        f"create or replace temp table attribute_columns as select p.account_key, p.as_of{latest}"
        f"{', max(o.changed_at) as owner_changed_at' if 'owner' in columns else ''} "
        "from panel_rows p join attributes t on t.account_id = p.account_id and t.valid_from < p.as_of "
        f"{_owner_changes() if 'owner' in columns else ''}"
        "group by p.account_key, p.as_of"
    )
    return Block.of("attribute_columns")


def _column(name: str) -> str:
    return name if name in ("owner", "contacts") else f"attributes.{name}"


def _owner_changes() -> str:
    return (
        "left join (select account_id, valid_from as changed_at from ("
        "select account_id, valid_from, owner, lag(owner) over (partition by account_id order by valid_from, owner) "
        "as former from attributes where owner is not null) where owner <> former) o "
        "on o.account_id = t.account_id and o.changed_at = t.valid_from "
    )
