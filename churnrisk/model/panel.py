"""Index levels of a panel, and array types."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ACCOUNT = "account_id"
AS_OF = "as_of"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Dates = npt.NDArray[np.datetime64]


def level_of(X: Any, name: str) -> npt.NDArray[Any] | None:
    """Return one index level of a frame as an array; None when `X` has no such level."""
    index = getattr(X, "index", None)
    if not isinstance(index, pd.Index) or name not in index.names:
        return None
    return np.asarray(index.get_level_values(name))


def as_of_of(X: Any) -> Dates | None:
    """Return the as-of dates of the rows, shape (n,); None when the index lacks them."""
    values = level_of(X, AS_OF)
    return None if values is None else values.astype("datetime64[ns]")


def accounts_of(X: Any) -> npt.NDArray[Any] | None:
    """Return the account of each row, shape (n,); None when the index lacks it."""
    return level_of(X, ACCOUNT)


def accounts_or_rows(X: Any) -> npt.NDArray[Any]:
    """Return the account of each row, shape (n,); without accounts in the index every row is its own."""
    accounts = accounts_of(X)
    return np.arange(len(X)).astype(str) if accounts is None else accounts


def as_dates(values: Any) -> Dates:
    """Return any date-like values as datetime64[ns], shape (n,)."""
    return np.asarray(pd.to_datetime(np.asarray(values)), dtype="datetime64[ns]")
