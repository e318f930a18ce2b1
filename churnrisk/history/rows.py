"""From a data frame of scores to rows of the database, as Arrow columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, DateTime, Float, Integer

from churnrisk.errors import ContractError
from churnrisk.history.schema import scores

SCORE_COLUMNS = tuple(
    column.name for column in scores.columns if column.name not in ("run_id", "colour_since")
)
_REQUIRED = ("account_id", "colour", "decided_by")
_COLOURS = ("green", "amber", "red", "grey")
INSTANT = pa.timestamp("us")


def check_scores(frame: pd.DataFrame) -> None:
    """Raise ContractError when a frame cannot be stored as scores."""
    missing = [name for name in _REQUIRED if name not in frame.columns]
    unknown = [str(name) for name in frame.columns if name not in SCORE_COLUMNS]
    if missing or unknown:
        raise ContractError(
            f"scores expect the columns {list(_REQUIRED)} and may have {list(SCORE_COLUMNS)}; "
            f"missing {missing}, unknown {unknown}."
        )
    for name in _REQUIRED:
        if frame[name].isna().any():
            raise ContractError(f"scores: {int(frame[name].isna().sum())} rows have no {name}. Fill them in.")
    odd = sorted(set(map(str, frame["colour"].unique())) - set(_COLOURS))
    if odd:
        raise ContractError(f"scores: expected the colours {list(_COLOURS)}, found {odd}.")


def to_table(frame: pd.DataFrame, *, run_id: int, as_of: datetime) -> pa.Table:
    """Return the rows of the ``scores`` table, each colour dated from ``as_of``: see :func:`with_earlier`."""
    given = {column.name: _given(frame, column) for column in scores.columns if column.name in frame.columns}
    rows = len(frame)
    given["run_id"] = pa.repeat(pa.scalar(run_id, pa.int32()), rows)
    given["colour_since"] = pa.repeat(pa.scalar(as_of, INSTANT), rows)
    absent = {c.name: pa.nulls(rows, _type(c)) for c in scores.columns if c.name not in given}
    return pa.table({column.name: (given | absent)[column.name] for column in scores.columns})


def with_earlier(table: pa.Table, before: pd.DataFrame) -> pa.Table:
    """Carry ``colour_since`` over from the previous run, by account id, for accounts that keep their colour."""
    then = before.reindex(table["account_id"].to_pandas())
    kept = pc.equal(table["colour"], pa.array(then["colour"], pa.string(), from_pandas=True))
    earlier = pa.array(then["colour_since"].to_numpy(), INSTANT, from_pandas=True)
    since = pc.if_else(pc.fill_null(kept, False), earlier, table["colour_since"])
    return table.set_column(table.column_names.index("colour_since"), "colour_since", since)


def naive_utc(instant: datetime) -> datetime:
    """Return an instant in UTC without an offset; one without an offset is taken as UTC."""
    return instant if instant.tzinfo is None else instant.astimezone(UTC).replace(tzinfo=None)


def _type(column: Column[Any]) -> pa.DataType:
    if isinstance(column.type, Float):
        return pa.float64()
    if isinstance(column.type, Integer):
        return pa.int32()
    return INSTANT if isinstance(column.type, DateTime) else pa.string()


def _given(frame: pd.DataFrame, column: Column[Any]) -> pa.Array:
    values, kind = frame[column.name], _type(column)
    if kind == pa.float64():
        return pa.array(pd.to_numeric(values).to_numpy(dtype=float, na_value=float("nan")), from_pandas=True)
    if kind == INSTANT:
        return pa.array(_naive_instants(values).to_numpy(), kind, from_pandas=True)
    # a categorical, a number or an enum would be stored as what it is
    plain = (
        values
        if pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty")
        else values.astype("str")
    )
    return pa.chunked_array(pa.array(plain, from_pandas=True)).cast(kind).combine_chunks()


def _naive_instants(instants: pd.Series) -> pd.Series:
    """Return instants in UTC without an offset; those without one are taken as UTC."""
    moments = pd.to_datetime(instants)
    moments = moments if moments.dt.tz is None else moments.dt.tz_convert("UTC").dt.tz_localize(None)
    return moments.astype("datetime64[us]")
