"""The leak check: features at an as-of date must not change when everything from that date on is cut away.

Nor when they are computed again, with their rows in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from churnrisk.contract import TABLES, Available, identifier, timestamp_literal
from churnrisk.features.build import create_feature_table, feature_columns
from churnrisk.records import Feature
from churnrisk.snapshots import PANEL
from churnrisk.sources import Tables


@dataclass(frozen=True, slots=True)
class Leak:
    """A feature that saw the future at a date, or that ``varies`` by itself: how many accounts change, and one."""

    feature: str
    accounts: int
    example: str
    as_of: datetime
    varies: bool = False

    @property
    def text(self) -> str:
        """What was found, in one line."""
        cause = (
            f"it is computed again at {self.as_of:%Y-%m-%d}"
            if self.varies
            else f"everything from {self.as_of:%Y-%m-%d} on is cut away"
        )
        return f"{self.feature} changes for {self.accounts:,} accounts, such as {self.example}, when {cause}"


def find_leaks(tables: Tables, features: Sequence[Feature], *, key_features: tuple[str, ...]) -> list[Leak]:
    """Compute the features of a panel with one as-of date twice, with and without the future, and return what differs.

    Nothing does when the future-truncation law holds; see :func:`_pasts` for what is cut away.
    """
    engine = tables.engine
    as_of: datetime = engine.value(f"select max(as_of) from {PANEL.dates}")
    instant = timestamp_literal(as_of)
    compute = partial(create_feature_table, tables, features, key_features=key_features, labelled_only=False)
    made = compute()
    full = engine.create("features_full", f"select * from {made.rows}")
    own = [feature for feature in features if feature.family == "own"]
    compare = partial(_compare, tables, full=full, as_of=as_of)
    varying: list[Leak] = []
    if own:
        # under the same name, so that correlated subqueries find it
        shuffled = f"(select * from {made.inputs} order by md5(account_id)) {made.inputs}"
        again = engine.create(
            "features_again", f"select account_id, as_of{feature_columns(features)} from {shuffled}"
        )
        varying = [leak for one in own if (leak := compare(one.name, again, varies=True))]
    steady = [feature for feature in features if feature.name not in {leak.feature for leak in varying}]
    hidden: list[str] = []
    try:
        for relation, past in _pasts(tables, features, instant).items():
            engine.run(f"alter {_kind(tables, relation)} {relation} rename to whole_{relation}")
            hidden.append(relation)
            engine.run(f"create temp table {relation} as select {past}")
        truncated = compute().rows
        return varying + [leak for feature in steady if (leak := compare(feature.name, truncated))]
    finally:
        for relation in reversed(hidden):
            engine.run(f"drop table if exists {relation}")
            engine.run(f"alter {_kind(tables, f'whole_{relation}')} whole_{relation} rename to {relation}")


def _compare(
    tables: Tables, name: str, other: str, *, full: str, as_of: datetime, varies: bool = False
) -> Leak | None:
    column = identifier(name)
    differing = (
        f"from {full} f left join {other} t using (account_id, as_of) "
        f"where f.{column} is distinct from t.{column}"
    )
    count, example = tables.engine.rows(f"select count(*), min(account_id) {differing}")[0]
    return Leak(name, count, str(example), as_of, varies) if count else None


def _pasts(tables: Tables, features: Sequence[Feature], instant: str) -> dict[str, str]:
    """Return, for every relation that a feature could read, what of it was known before the instant.

    Nothing of labels, outcomes and raw tables. They come last, as the typed tables may be views of them.
    """
    pasts = {
        name: _past(tables.available, name, instant)
        for name in tables.available.tables
        if TABLES[name].time and name != "labels"
    }
    pasts["accounts"] = _past_accounts(tables, features, instant)
    pasts[PANEL.rows] = f"* replace (null::boolean as churned) from whole_{PANEL.rows}"
    if tables.available.has("events"):
        pasts["bare_events"] = _past(tables.available, "bare_events", instant)
    nothing = [PANEL.outcomes, *(["labels"] if tables.available.has("labels") else [])]
    nothing += [f"{stage}_{name}" for stage in ("raw", "source") for name in tables.available.tables]
    return pasts | {name: f"* from whole_{name} limit 0" for name in nothing}


def _past(available: Available, name: str, instant: str) -> str:
    """Delete rows that were not known, and blank later dates inside those that were."""
    spec = TABLES[name.removeprefix("bare_")]
    columns = available.tables[spec.name]
    known = f"{available.known_at(spec.name)} < {instant}"
    later = [
        f"case when {column} < {instant} then {column} end as {column}"
        for column in spec.later
        if column in columns
    ]
    if "csat" in columns and "resolved_at" in columns:
        later.append(f"case when resolved_at < {instant} then csat end as csat")
    replaced = f" replace ({', '.join(later)})" if later else ""
    return f"*{replaced} from whole_{name} where {known}"


def _past_accounts(tables: Tables, features: Sequence[Feature], instant: str) -> str:
    """Blank the columns of accounts that show today's state instead of what never changes."""
    static = {feature.name for feature in features if feature.requires == (f"accounts.{feature.name}",)}
    lasting = {"account_id", "signed_up_at", *static}
    blanked = [
        f"nullif({identifier(column)}, {identifier(column)}) as {identifier(column)}"
        for column in tables.available.tables["accounts"]
        if column not in lasting
    ]
    replaced = f" replace ({', '.join(blanked)})" if blanked else ""
    signed_up = tables.available.has("accounts.signed_up_at")
    known = f"coalesce(signed_up_at < {instant}, true)" if signed_up else "true"
    return f"*{replaced} from whole_accounts where {known}"


def _kind(tables: Tables, name: str) -> str:
    views = tables.engine.rows(f"select 1 from duckdb_views() where view_name = '{name}' limit 1")
    return "view" if views else "table"
