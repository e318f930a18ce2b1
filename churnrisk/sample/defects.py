"""What is wrong with every real export, put in on purpose and counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.sample.customers import Ints

Raw = dict[str, pd.DataFrame]

_ODD_NAMES = (
    "MÃ¼ller & SÃ¶hne GmbH",
    'The "Good" Company, Inc',
    "株式会社サンプル",
    "Łukasz Ćwik Żegluga",
    "<b>Bold</b> Claims Ltd",
    "=HYPERLINK Holdings",
    "Null",
    "  Spaced Out  Studios ",
)


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of mistake in one raw column.

    Attributes
    ----------
    table, column : str
        The contract's names of what it is in.
    kind : str
        ``unknown_account``, ``duplicate_row``, ``bad_date``, ``future_date``, ``negative_money``,
        ``end_before_start``, ``odd_text``, ``padded_id``, ``mixed_case`` or ``missing``.
    count : int
        How many rows have it.
    """

    table: str
    column: str
    kind: str
    count: int


def spoil(rng: np.random.Generator, raw: Raw) -> tuple[Raw, tuple[Defect, ...]]:
    """Return the raw tables with defects that are to be counted but must not block, and what they are.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses the rows.
    raw : dict of pandas.DataFrame
        Text columns under the company's own names, keyed by contract table; left as they are.

    Notes
    -----
    Each kind takes rows of its own within a table, so that counts do not overlap. Small tables get
    fewer; a table without rows gets none.
    """
    spoiled = {name: table.copy() for name, table in raw.items()}
    defects = [
        *_spoil_accounts(rng, spoiled["accounts"]),
        *_spoil_complaints(rng, spoiled["complaints"]),
        *_spoil_subscriptions(rng, spoiled["subscriptions"]),
        *_spoil_surveys(rng, spoiled["surveys"]),
    ]
    spoiled["events"], in_events = _spoil_events(rng, spoiled["events"])
    found = [defect for defect in (*defects, *in_events) if defect.count]
    return spoiled, tuple(found)


class _Rows:
    """Deals out distinct rows of a table."""

    def __init__(self, rng: np.random.Generator, candidates: Ints) -> None:
        self._left = rng.permutation(candidates)

    def take(self, count: int) -> Ints:
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def _put(table: pd.DataFrame, column: str, rows: Ints, new: Callable[[pd.Series[Any]], Any]) -> None:
    values = table[column].copy()
    values.iloc[rows] = new(values.iloc[rows])
    table[column] = values


def _spoil_accounts(rng: np.random.Generator, table: pd.DataFrame) -> list[Defect]:
    rows = _Rows(rng, np.arange(len(table))).take(len(_ODD_NAMES))
    _put(table, "Account Name", rows, lambda _: list(_ODD_NAMES[: len(rows)]))
    return [Defect("accounts", "name", "odd_text", len(rows))]


def _spoil_complaints(rng: np.random.Generator, table: pd.DataFrame) -> list[Defect]:
    closed = table["Closed"].notna().to_numpy()
    deal = _Rows(rng, np.nonzero(closed)[0])
    backwards, future, bad, padded, cased = (deal.take(count) for count in (6, 2, 4, 40, 120))
    _put(table, "Closed", backwards, lambda _: "2019-12-31 12:00:00")
    _put(table, "Closed", bad, lambda _: "31.02.2026")
    _put(table, "Closed", future, lambda _: "2062-01-15 09:00:00")
    _put(table, "Account", padded, lambda ids: "  " + ids + " ")
    _put(table, "Priority", cased, lambda words: words.str.upper())
    return [
        Defect("complaints", "resolved_at", "end_before_start", len(backwards)),
        Defect("complaints", "resolved_at", "bad_date", len(bad)),
        Defect("complaints", "resolved_at", "future_date", len(future)),
        Defect("complaints", "account_id", "padded_id", len(padded)),
        Defect("complaints", "severity", "mixed_case", len(cased)),
    ]


def _spoil_subscriptions(rng: np.random.Generator, table: pd.DataFrame) -> list[Defect]:
    ended = table["end_date"].notna().to_numpy()
    rows = _Rows(rng, np.nonzero(ended)[0]).take(4)
    _put(table, "mrr_eur", rows, lambda money: -money)
    return [Defect("subscriptions", "mrr", "negative_money", len(rows))]


def _spoil_surveys(rng: np.random.Generator, table: pd.DataFrame) -> list[Defect]:
    deal = _Rows(rng, np.arange(len(table)))
    bad = deal.take(3)
    _put(table, "responded_on", bad, lambda _: "n/a")
    return [Defect("surveys", "answered_at", "bad_date", len(bad))]


def _spoil_events(rng: np.random.Generator, table: pd.DataFrame) -> tuple[pd.DataFrame, list[Defect]]:
    deal = _Rows(rng, np.arange(len(table)))
    unknown, bad, future, no_user, no_module, twice = (deal.take(count) for count in (12, 4, 3, 150, 60, 25))
    _put(table, "AccountID", unknown, lambda _: "TEST-0001")
    _put(table, "Timestamp", bad, lambda _: "0000-00-00 00:00:00")
    _put(table, "Timestamp", future, lambda _: "2062-03-01 08:00:00")
    _put(table, "UserID", no_user, lambda _: None)
    _put(table, "Module", no_module, lambda _: None)
    order = np.sort(np.concatenate([np.arange(len(table)), twice]))
    defects = [
        Defect("events", "account_id", "unknown_account", len(unknown)),
        Defect("events", "occurred_at", "bad_date", len(bad)),
        Defect("events", "occurred_at", "future_date", len(future)),
        Defect("events", "user_id", "missing", len(no_user)),
        Defect("events", "feature", "missing", len(no_module)),
        Defect("events", "", "duplicate_row", len(twice)),
    ]
    return table.iloc[order].reset_index(drop=True), defects
