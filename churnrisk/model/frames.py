"""Frames of other libraries as the pandas frames that the model works on."""

from __future__ import annotations

from typing import Any

import pandas as pd


def as_pandas(X: Any) -> Any:
    """Return a polars, pyarrow or DuckDB table as a pandas frame; anything else as it is.

    Names and missing values stay: text and categories stay text and categories, numbers with gaps become floats.
    """
    if isinstance(X, pd.DataFrame) or not (hasattr(X, "__arrow_c_stream__") or hasattr(X, "collect_schema")):
        return X
    import narwhals as nw

    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect("pyarrow")
    return frame.to_pandas() if isinstance(frame, nw.DataFrame) else X
