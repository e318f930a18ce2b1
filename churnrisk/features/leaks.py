"""The leak check: features at an as-of date must not change when everything from that date on is cut away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from churnrisk.contract import TABLES
from churnrisk.features.build import create_feature_table
from churnrisk.records import Feature
from churnrisk.sources import Tables, identifier


@dataclass(frozen=True, slots=True)
class Leak:
    """A feature that saw the future: how many accounts change, and one of them."""

    feature: str
    accounts: int
    example: str


def find_leaks(tables: Tables, features: Sequence[Feature], *, key_features: tuple[str, ...]) -> list[Leak]:
    """Compute the panel's features twice, with and without the future, and return what differs.

    The engine must hold ``panel`` with one as-of date (see :func:`churnrisk.snapshots.build_panel`). Rows
    that were not known before it are deleted and later dates inside known rows are blanked.

    Returns
    -------
    list of Leak
        Empty when the future-truncation law holds.
    """
    engine = tables.engine
    as_of = engine.value("select max(as_of) from as_of_dates")
    create_feature_table(tables, features, key_features=key_features, labelled_only=False)
    engine.run("create or replace temp table features_full as select * from feature_rows")
    _truncate(tables, as_of)
    try:
        create_feature_table(tables, features, key_features=key_features, labelled_only=False)
        return [leak for feature in features if (leak := _compare(tables, feature.name))]
    finally:
        _restore(tables)


def _compare(tables: Tables, name: str) -> Leak | None:
    column = identifier(name)
    differing = (
        "from features_full f left join feature_rows t using (account_id, as_of) "
        f"where f.{column} is distinct from t.{column}"
    )
    count, example = tables.engine.rows(f"select count(*), min(account_id) {differing}")[0]
    return Leak(name, count, str(example)) if count else None


def _truncate(tables: Tables, as_of: datetime) -> None:
    """Hide each dated table behind one of the same name that ends before ``as_of``."""
    instant = f"timestamp '{as_of:%Y-%m-%d}'"
    for name, columns in tables.available.tables.items():
        spec = TABLES[name]
        if spec.time is None or name == "labels":
            continue
        tables.engine.run(f"alter {_kind(tables, name)} {name} rename to whole_{name}")
        known = " and ".join(
            f"(coalesce({column}, {instant} - interval 1 day) < {instant})"
            for column in (spec.time, "recorded_at")
            if column in columns
        )
        later = [
            f"case when {column} < {instant} then {column} end as {column}"
            for column in ("resolved_at", "first_response_at", "ended_at")
            if column in columns
        ]
        if "csat" in columns and "resolved_at" in columns:
            later.append(f"case when resolved_at < {instant} then csat end as csat")
        replaced = f" replace ({', '.join(later)})" if later else ""
        tables.engine.run(f"create temp table {name} as select *{replaced} from whole_{name} where {known}")


def _restore(tables: Tables) -> None:
    for name in tables.available.tables:
        if tables.engine.rows(f"select 1 from duckdb_columns() where table_name = 'whole_{name}' limit 1"):
            tables.engine.run(f"drop table if exists {name}")
            tables.engine.run(f"alter {_kind(tables, f'whole_{name}')} whole_{name} rename to {name}")


def _kind(tables: Tables, name: str) -> str:
    return (
        "view"
        if tables.engine.rows(f"select 1 from duckdb_views() where view_name = '{name}' limit 1")
        else "table"
    )
