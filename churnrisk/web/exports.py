"""Exactly the view as a file: CSV as it is read, or a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import IO

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore, WorklistFilter
from churnrisk.records import RedListRow
from churnrisk.report import write_workbook
from churnrisk.workflows.worklist import export, worklist

#: A workbook is made in memory; a longer list goes out as CSV.
MOST_WORKBOOK_ROWS = 50_000
_BATCH = 500
_IN_MEMORY, _PIECE = 4_000_000, 65_536
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = (
    "account_id", "name", "owner", "segment", "colour", "arrow", "decided_by", "rule", "probability",
    "previous_probability", "annual_value", "expected_loss", "renewal_at", "days_to_renewal", "days_in_colour",
    "reasons", "play", "next_step", "disposition", "snoozed_until", "assignee", "last_touch_at", "last_touch_by",
    "last_touch", "note",
)  # fmt: skip


def csv_file(store: HistoryStore, wanted: WorklistFilter, *, now: datetime) -> IO[bytes]:
    """Return the view as a CSV file that is gone once it is closed.

    It is written before any of it is sent: a slow download must not hold a connection to the history.
    """
    file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it lives as long as the download
    with export(store, as_of=None, wanted=wanted, now=now) as (_, rows):
        # Excel takes UTF-8 for what it is only with this mark.
        file.write("\ufeff".encode() + _lines([_COLUMNS]))
        for some in _batches(rows):
            file.write(_lines(_cells(row) for row in some))
    return file


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file from its beginning in pieces, and close it."""
    with file:
        file.seek(0)
        yield from iter(partial(file.read, _PIECE), b"")


def _batches(rows: Iterable[RedListRow]) -> Iterator[list[RedListRow]]:
    iterator = iter(rows)
    while some := list(islice(iterator, _BATCH)):
        yield some


def workbook(store: HistoryStore, wanted: WorklistFilter, *, company: str, now: datetime) -> bytes:
    """Return the view as an xlsx workbook with its totals.

    Raises
    ------
    UsageError
        If the view has more rows than a workbook is made for.
    """
    counted = worklist(store, as_of=None, wanted=wanted, now=now, page=1, per_page=1).matching
    if counted > MOST_WORKBOOK_ROWS:
        raise UsageError(
            f"this view has {counted:,} accounts, and a workbook holds {MOST_WORKBOOK_ROWS:,} of them. Take the CSV, "
            "which has no limit, or filter the view."
        )
    found = worklist(store, as_of=None, wanted=wanted, now=now, per_page=None)
    with TemporaryDirectory() as folder:
        return write_workbook(Path(folder) / "redlist.xlsx", found, company=company).read_bytes()


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(rows)
    return buffer.getvalue().encode("utf-8", errors="replace")


def _cells(row: RedListRow) -> tuple[object, ...]:
    desk = row.desk
    values = (
        row.account_id,
        row.name,
        row.owner,
        row.segment,
        row.colour,
        row.arrow,
        row.decided_by,
        row.rule,
        row.churn_probability,
        row.previous_probability,
        row.annual_value,
        row.expected_loss,
        _day(row.renewal_at),
        row.days_to_renewal,
        row.days_in_colour,
        "; ".join(reason.text for reason in row.reasons),
        row.play,
        row.next_step,
        desk.disposition,
        _day(desk.snoozed_until) if desk.disposition == "snoozed" else None,
        desk.assignee,
        None if desk.touched_at is None else f"{desk.touched_at:%Y-%m-%d %H:%M}",
        desk.touched_by,
        desk.touched_what,
        desk.note,
    )
    return tuple(_safe(value) for value in values)


def _safe(value: object) -> object:
    """Return a value as a spreadsheet may take it: a text that begins like a formula stays text."""
    if isinstance(value, str) and value.startswith(_FORMULAS):
        return "'" + value
    return value


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d}"
