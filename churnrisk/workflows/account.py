"""One account: its colour, why, how it came there, and what people did about it.

``view_account`` reads it from an open history within a scope; ``account_view`` opens a project's own and names
similar ids where there is none.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from churnrisk.errors import NotFoundError, UsageError
from churnrisk.history import HistoryStore
from churnrisk.history.account_state import (
    is_within,
    no_account,
    read_actions,
    read_changes,
    read_history,
    read_overrides,
)
from churnrisk.history.worklist import read_row
from churnrisk.records import AuditEntry, DeskState, Move, Reason, RedListRow, Run
from churnrisk.workflows.due import DEADLINE_DAYS, is_overdue
from churnrisk.workflows.project import Project
from churnrisk.workflows.worklist import to_row


@dataclass(frozen=True, slots=True)
class PastScore:
    """The account at one published run."""

    as_of: datetime
    model_version: str
    colour: str
    decided_by: str
    rule: str | None
    probability: float | None


@dataclass(frozen=True, slots=True)
class PastOverride:
    """An override of the account; ``in_force`` is False once it has expired, ended or been replaced."""

    override_id: int
    colour: str
    author: str
    reason: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    in_force: bool


@dataclass(frozen=True, slots=True)
class PastAction:
    """Something that the team was asked to do for the account."""

    play: str
    reason: str
    channel: str
    handed_out_at: datetime
    due_at: datetime


@dataclass(frozen=True)
class AccountView:
    """What is known of one account at the latest run that holds it.

    Attributes
    ----------
    history : tuple of PastScore
        Oldest first, the latest included.
    moved : Move or None
        What changed since the run before the latest.
    row : RedListRow
        The account as the red list shows it, whatever its colour.
    run : Run
        The latest run that holds it.
    due_at : datetime or None
        By when the next step should be done; None when nothing is pressing.
    overdue : bool
        Whether it should have been done, and nobody has touched the account since it has its colour.
    trail : tuple of AuditEntry
        What people changed, the newest first.
    overrides : tuple of PastOverride
        The newest first.
    actions : tuple of PastAction
        The last ones handed out, the newest first.
    """

    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    annual_value: float | None
    renewal_at: datetime | None
    stage: str | None
    next_step: str
    reasons: tuple[Reason, ...]
    history: tuple[PastScore, ...]
    moved: Move | None
    row: RedListRow
    run: Run
    due_at: datetime | None
    overdue: bool
    trail: tuple[AuditEntry, ...]
    overrides: tuple[PastOverride, ...]
    actions: tuple[PastAction, ...]

    @property
    def desk(self) -> DeskState:
        """What the team has on record."""
        return self.row.desk

    @property
    def latest(self) -> PastScore:
        """The account at the latest run."""
        return self.history[-1]


def view_account(
    store: HistoryStore,
    account_id: str,
    *,
    now: datetime,
    scope: str | None = None,
    deadlines: Mapping[str, int] | None = None,
) -> AccountView:
    """Return an account's colour, reasons, history and desk.

    Parameters
    ----------
    scope : str, optional
        The owner that the asker is limited to.
    deadlines : mapping of str to int, optional
        Days that each play leaves; see :func:`churnrisk.workflows.plays.deadlines_of`.

    Raises
    ------
    NotFoundError
        If no published run holds the account, or it is outside the scope.
    """
    with store.database.reading() as connection:
        history = read_history(connection, account_id)
        if not history or not is_within(history[-1].owner, scope):
            raise no_account(account_id)
        run, before = store.runs_around(connection, history[-1].run_id)
        found = read_row(connection, run, before, account_id)
        entries = read_changes(connection, account_id)
        overrides = read_overrides(connection, account_id)
        actions = [_action(action) for action in read_actions(connection, account_id)]
    assert found is not None  # noqa: S101 - its history names the run that holds it
    row = to_row(found, run, now)
    due_at = _due_at(row, found["colour_since"], actions, deadlines or {})
    return AccountView(
        account_id=account_id,
        name=row.name,
        owner=row.owner,
        segment=row.segment,
        annual_value=row.annual_value,
        renewal_at=row.renewal_at,
        stage=found["stage"],
        next_step=row.next_step,
        reasons=row.reasons,
        history=tuple(map(_past, history)),
        moved=row.moved,
        row=row,
        run=run,
        due_at=due_at,
        overdue=is_overdue(row, due_at, began=found["colour_since"], now=now),
        trail=entries,
        overrides=tuple(_overrides(overrides, now)),
        actions=tuple(actions),
    )


def account_view(project: Project, account_id: str, *, now: datetime) -> AccountView:
    """Return an account of a project.

    Raises
    ------
    UsageError
        If no published run holds the account; similar ids are named.
    """
    with HistoryStore(project.store_url) as store:
        try:
            return view_account(store, account_id, now=now)
        except NotFoundError:
            raise unknown_account(store, account_id) from None


def unknown_account(store: HistoryStore, account_id: str) -> UsageError:
    """Return the error that says there is no such account, with similar ones."""
    latest = store.latest_run()
    if latest is None:
        return UsageError("nothing has been scored yet. Run `churnrisk score`.")
    known = store.scores(latest.run_id, columns=["account_id"])["account_id"].tolist()
    close = difflib.get_close_matches(account_id, known, n=3) or known[:3]
    return NotFoundError(
        f"no published run holds account {account_id!r}; there are for example {', '.join(close)}."
    )


def _due_at(
    row: RedListRow, began: datetime, actions: list[PastAction], deadlines: Mapping[str, int]
) -> datetime | None:
    handed = [action for action in actions if action.handed_out_at >= began]
    if handed:
        return handed[0].due_at
    days = deadlines.get(row.play or "", DEADLINE_DAYS.get(row.colour))
    return None if days is None or row.colour not in DEADLINE_DAYS else began + timedelta(days=days)


def _past(row: Iterable[Any]) -> PastScore:
    _, as_of, model, colour, decided_by, rule, probability, _ = row
    return PastScore(as_of, model, colour, decided_by, rule, probability)


def _overrides(rows: list[Mapping[Any, Any]], now: datetime) -> list[PastOverride]:
    open_ones = [row["override_id"] for row in rows if row["ended_at"] is None and row["expires_at"] > now]
    return [
        PastOverride(
            override_id=row["override_id"],
            colour=row["colour"],
            author=row["author"],
            reason=row["reason"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            ended_at=row["ended_at"],
            in_force=row["override_id"] in open_ones[:1],
        )
        for row in rows
    ]


def _action(row: Mapping[Any, Any]) -> PastAction:
    return PastAction(*(row[name] for name in PastAction.__slots__))
