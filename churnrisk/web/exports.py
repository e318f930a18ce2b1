"""A view of the red list as a file: streamed CSV, or a workbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import IO

from churnrisk.errors import UsageError
from churnrisk.files import csv_text
from churnrisk.history import HistoryStore, RedListQuery
from churnrisk.report import write_workbook
from churnrisk.report.rows import COLUMNS, flat
from churnrisk.workflows.worklist import export, worklist

#: A workbook is made in memory; a longer list goes out as CSV.
MOST_WORKBOOK_ROWS = 50_000
_BATCH = 500
_IN_MEMORY, _PIECE = 4_000_000, 65_536


def csv_file(store: HistoryStore, query: RedListQuery, *, now: datetime) -> IO[bytes]:
    """Return the view as a CSV file that is deleted once it is closed.

    It is written before any of it is sent: a slow download must not hold a connection to the store.
    """
    file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it lives as long as the download
    with export(store, as_of=None, query=query, now=now) as (_, rows):
        # Excel takes UTF-8 for what it is only with this mark.
        file.write("\ufeff".encode() + _lines([COLUMNS]))
        lines = (flat(row).values() for row in rows)
        while batch := list(islice(lines, _BATCH)):
            file.write(_lines(batch))
    return file


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    return csv_text(rows, newline="\r\n").encode("utf-8", errors="replace")


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file from its beginning in pieces, and close it."""
    with file:
        file.seek(0)
        yield from iter(partial(file.read, _PIECE), b"")


def workbook(store: HistoryStore, query: RedListQuery, *, company: str, now: datetime) -> bytes:
    """Return the view as an xlsx workbook with its totals; UsageError for more rows than it is made for."""
    matching = worklist(store, as_of=None, query=query, now=now, page=1, per_page=1).matching
    if matching > MOST_WORKBOOK_ROWS:
        raise UsageError(
            f"this view has {matching:,} accounts, and a workbook holds {MOST_WORKBOOK_ROWS:,} of them. Take the CSV, "
            "which has no limit, or filter the view."
        )
    found = worklist(store, as_of=None, query=query, now=now, per_page=None)
    with TemporaryDirectory() as folder:
        return write_workbook(Path(folder) / "redlist.xlsx", found, company=company).read_bytes()
