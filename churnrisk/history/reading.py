"""Read runs and data frames inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    ARRAY,
    Connection,
    DateTime,
    Integer,
    Select,
    Text,
    bindparam,
    func,
    literal,
    select,
)

from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import runs, scores
from churnrisk.records import Run

_INSTANTS = ("as_of", "published_at", "renewal_at", "colour_since")
_NUMBERS = ("probability", "log_odds", "annual_value")
# Built once: every page needs them.
NEWEST = select(runs).order_by(runs.c.as_of.desc(), runs.c.run_id.desc()).limit(1)
_NEWEST_BEFORE = NEWEST.where(runs.c.as_of < bindparam("before", type_=DateTime))
BY_ID = select(runs).where(runs.c.run_id == bindparam("one_run", type_=Integer))


def run_before(connection: Connection, before: datetime | None) -> Run | None:
    """Return the live run of the latest as-of date (smaller than ``before``), None without one."""
    if before is None:
        return one_run(connection, NEWEST)
    return one_run(connection, _NEWEST_BEFORE, {"before": naive_utc(before)})


def one_run(connection: Connection, query: Select[Any], values: dict[str, Any] | None = None) -> Run | None:
    """Return the first run of a query, None without one."""
    row = connection.execute(query, values or {}).first()
    return None if row is None else Run(**row._mapping)


def read_scores(
    connection: Connection, run_id: int | None, columns: Iterable[str], accounts: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return scores of a run, of all accounts or some, in no order, indexed by account id."""
    query = select(scores.c.account_id, *(scores.c[name] for name in columns)).where(
        scores.c.run_id == run_id
    )
    if accounts is not None:
        query = query.where(scores.c.account_id.in_(_many(connection, accounts)))
    return read_frame(connection, query).set_index("account_id")


def _many(connection: Connection, texts: Sequence[str]) -> Any:
    """Pass any number of texts as one parameter: databases limit how many there may be."""
    if connection.dialect.name == "postgresql":
        return select(func.unnest(literal(list(texts), ARRAY(Text))))
    if connection.dialect.name == "sqlite":
        return select(func.json_each(json.dumps(texts, ensure_ascii=False)).table_valued("value").c.value)
    return texts


def read_frame(connection: Connection, query: Select[Any]) -> pd.DataFrame:
    """Run a query; see :func:`frame_of`."""
    result = connection.execute(query)
    return frame_of(list(result.keys()), result.fetchall())


def frame_of(names: Sequence[str], rows: Sequence[Any]) -> pd.DataFrame:
    """Return rows as a frame; the names of columns decide their types."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pd.DataFrame({name: _typed(name, column) for name, column in zip(names, columns, strict=True)})


def _typed(name: str, column: tuple[Any, ...]) -> pd.Series:
    if name in _INSTANTS:
        return pd.Series(column, dtype="datetime64[us]")
    return pd.Series(
        column, dtype="float64" if name in _NUMBERS else "int64" if name == "run_id" else "object"
    )
