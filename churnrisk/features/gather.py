"""Put the columns of all blocks beside the rows of the panel, by position instead of by joins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa

from churnrisk.contract import identifier
from churnrisk.features.block import ROW, ArrayBlock, BlockInputs

#: Rows that are held at once, and how many of them a row of the panel with all its columns weighs.
_ROWS = 2_500_000
_PANEL_WEIGHT = 3


def gather(
    inputs: BlockInputs, relations: Mapping[str, tuple[str, ...]], arrays: Sequence[ArrayBlock]
) -> Iterator[tuple[pa.Table, str]]:
    """Yield the panel's rows with every column of the blocks, chunk by chunk of accounts, and a select list of them."""
    engine, rows = inputs.engine, inputs.rows
    of_rows, accounts = (engine.value(f"select count(*) from {of}") for of in (rows, inputs.keys))
    dates = np.array(inputs.as_of, "datetime64[us]")
    of_arrays = sum(engine.value(f"select count(*) from {one.rows}") for one in arrays)
    weight = sum(one.weight for one in arrays) + (of_arrays + _PANEL_WEIGHT * of_rows) / max(accounts, 1)
    # of equal size: DuckDB's other threads spin while one of them adds a small rest
    size = max(-(-accounts // max(round(accounts * weight / _ROWS), 1)), 1)
    types = {of: engine.columns(of) for of in (rows, *relations)}
    columns = [_typed(column, type_) for column, type_ in types[rows].items() if column != "account_key"]
    columns += [_typed(*item) for of in relations for item in types[of].items() if item[0] not in ROW]
    for first in range(0, max(accounts, 1), size):
        end = min(first + size, accounts)
        cells = _Cells(first, end, dates)
        within = f"account_key >= {first} and account_key < {end}"
        panel = engine.arrow(f"select * from {rows} where {within}")
        found = {column: panel[column] for column in types[rows]}
        for of, keys in relations.items():
            some = engine.arrow(f"select * from {of}" + (f" where {within}" if "account_key" in keys else ""))
            found |= _beside(some, cells.of(some, keys), cells.of(panel, keys), keys)
        for one in arrays:
            taken = f"select account_key - {first} as account, * exclude (account_key) from {one.rows} where {within}"
            some = one.compute(engine.arrow(taken), end - first)
            if not first:
                columns += [identifier(column) for column in some.column_names]
            found |= _beside(some, None, cells.of(panel, ROW), ())
        yield pa.table(found), ", ".join(columns)


def _typed(column: str, type_: str) -> str:
    return f"{identifier(column)}::{type_} as {identifier(column)}"


class _Cells:
    """Numbers the dates and accounts of one chunk."""

    def __init__(self, first: int, end: int, dates: np.ndarray) -> None:
        self.first, self.accounts, self.dates = first, max(end - first, 1), dates

    def of(self, table: pa.Table, keys: Sequence[str]) -> np.ndarray:
        """Return the cell of each row by some of the keys."""
        cells = np.zeros(table.num_rows, np.int64)
        if "account_key" in keys:
            cells += table["account_key"].to_numpy() - self.first
        if "as_of" in keys:
            cells += np.searchsorted(self.dates, table["as_of"].to_numpy()) * self.accounts
        return cells


def _beside(
    table: pa.Table, there: np.ndarray | None, cells: np.ndarray, keys: Sequence[str]
) -> dict[str, pa.ChunkedArray]:
    """Return the columns of a table that has a row for each cell of ``there``, null in other cells."""
    if there is None:
        place = pa.array(cells)
    else:
        of_cell = np.full(max(there.max(initial=-1), cells.max(initial=-1)) + 1, -1)
        of_cell[there] = np.arange(len(there))
        rows = of_cell[cells]
        place = pa.array(rows, mask=rows < 0)
    return {name: table[name].combine_chunks().take(place) for name in table.column_names if name not in keys}


def of_bucket(block: ArrayBlock, as_of: Sequence[datetime], rows: pa.Table) -> pa.Table:
    """Return a block's columns of some accounts by account_key and as_of, from its rows of theirs."""
    coded = rows["account_key"].combine_chunks().dictionary_encode()
    keys, accounts = coded.dictionary, len(coded.dictionary)
    numbered = rows.drop_columns("account_key").append_column("account", coded.indices)
    found = block.compute(numbered, accounts)
    dates = np.repeat(np.array(as_of, "datetime64[us]"), accounts)
    row = {
        "account_key": keys.take(pa.array(np.tile(np.arange(accounts), len(as_of)))),
        "as_of": pa.array(dates, pa.timestamp("us")),
    }
    return pa.table(row | {name: found[name] for name in found.column_names})


def join(inputs: BlockInputs, relations: Mapping[str, tuple[str, ...]], arrays: Sequence[ArrayBlock]) -> str:
    """Return the query of the panel's rows with every column of the blocks; the workers compute their arrays."""
    everything = dict(relations)
    for block in arrays:
        name = f"{block.rows}_by_date"
        inputs.engine.map_buckets(name, block.rows, "account_key", partial(of_bucket, block, inputs.as_of))
        everything[name] = ROW
    columns = "".join(f", {name}.* exclude ({', '.join(keys)})" for name, keys in everything.items())
    joins = "".join(
        f" left join {name} on {' and '.join(f'{name}.{key} = p.{key}' for key in keys)}"
        for name, keys in everything.items()
    )
    return f"select p.account_id, p.as_of, p.first_seen_at, p.dated{columns} from {inputs.rows} p{joins}"
