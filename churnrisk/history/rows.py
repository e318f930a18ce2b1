"""Between a DataFrame of scores and rows of the database."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.errors import ContractError
from churnrisk.history.schema import scores

SCORE_COLUMNS = tuple(
    column.name for column in scores.columns if column.name not in ("run_id", "colour_since", "family")
)
_REQUIRED = ("account_id", "colour", "decided_by")
_NUMBERS = ("probability", "log_odds", "annual_value")
_FAMILY = re.compile(r'"family": ?"(\w+)"')
_COLOURS = ("green", "amber", "red", "grey")


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


def to_columns(
    frame: pd.DataFrame, *, run_id: int, as_of: datetime, text_instants: bool, since: pd.DataFrame | None
) -> list[list[Any]]:
    """Return the values of each of the table's columns, in its order.

    Parameters
    ----------
    text_instants : bool
        True writes instants as text, as SQLite stores them.
    since : DataFrame indexed by account id, optional
        ``colour`` and ``colour_since`` of the run before: an account that keeps its colour keeps the instant.
    """
    return [_column(column.name, frame, run_id, as_of, text_instants, since) for column in scores.columns]


def _column(
    name: str,
    frame: pd.DataFrame,
    run_id: int,
    as_of: datetime,
    text_instants: bool,
    since: pd.DataFrame | None,
) -> list[Any]:
    if name == "run_id":
        return [run_id] * len(frame)
    if name == "colour_since":
        return as_instants(_colour_since(frame, as_of, since), text=text_instants)
    if name == "family":
        return _families(frame)
    if name not in frame.columns:
        return [None] * len(frame)
    return _values(frame[name], name, text_instants)


def _families(frame: pd.DataFrame) -> list[Any]:
    """Return the family of each account's first reason, so that the red list can be filtered by it."""
    if "reasons" not in frame.columns:
        return [None] * len(frame)
    # most accounts have none, and looking for it costs more than passing them by
    return [
        found[1] if isinstance(text, str) and len(text) > 2 and (found := _FAMILY.search(text)) else None
        for text in frame["reasons"].tolist()
    ]


def _colour_since(frame: pd.DataFrame, as_of: datetime, since: pd.DataFrame | None) -> pd.Series:
    today = pd.Series(pd.Timestamp(as_of), index=frame.index, dtype="datetime64[us]")
    if since is None:
        return today
    # stored ids are text, whatever the frame's are
    before = since.reindex(pd.Index(_values(frame["account_id"], "account_id", False), dtype=object))
    same = before["colour"].to_numpy(dtype=object) == frame["colour"].astype(str).to_numpy(dtype=object)
    return today.mask(same, before["colour_since"].set_axis(frame.index))


def as_instants(instants: pd.Series, *, text: bool) -> list[Any]:
    """Return UTC instants as text in SQLAlchemy's format for SQLite, or as datetimes; None where missing."""
    moments = naive_instants(instants)
    # Instants repeat (days, renewal dates): writing each one once is far cheaper than writing all.
    codes, distinct = pd.factorize(moments.to_numpy().astype("datetime64[us]"))
    if text:
        written = [stamp.replace("T", " ") for stamp in np.datetime_as_string(distinct, unit="us").tolist()]
    else:
        written = distinct.tolist()
    return list(np.array([*written, None], dtype=object)[codes])


def naive_instants(instants: pd.Series) -> pd.Series:
    """Return instants in UTC without an offset; those without one are taken as UTC."""
    moments = pd.to_datetime(instants)
    return moments if moments.dt.tz is None else moments.dt.tz_convert("UTC").dt.tz_localize(None)


def naive_utc(instant: datetime) -> datetime:
    """Return an instant in UTC without an offset; one without an offset is taken as UTC."""
    return instant if instant.tzinfo is None else instant.astimezone(UTC).replace(tzinfo=None)


def _values(values: pd.Series, name: str, text_instants: bool) -> list[Any]:
    if name in _NUMBERS:
        numbers = pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)
        return _with_none(numbers, np.isnan(numbers))
    if name == "renewal_at":
        return as_instants(values, text=text_instants)
    # A categorical or an enum would reach the driver as an object it does not know.
    known = pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty")
    plain = values if known and values.dtype == object else values.astype("str")
    return _with_none(plain.to_numpy(dtype=object), plain.isna().to_numpy(dtype=bool))


def _with_none(values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any]) -> list[Any]:
    if not missing.any():
        return list(values.tolist())
    filled = values.astype(object)
    filled[missing] = None
    return list(filled)
