"""The desk: what the team has on record for each account, with a version that grows by every change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from churnrisk.errors import NotFoundError
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import desk, reviews, runs, scores
from churnrisk.history.wanted import clean
from churnrisk.records import DeskState, Disposition

FIELDS = ("disposition", "snoozed_until", "snooze_reason", "assignee", "note")
# Databases take a limited number of values in one statement.
_CHUNK = 400


def read_desk(connection: Connection, account_ids: Iterable[str], *, now: datetime) -> dict[str, DeskState]:
    """Return the state of accounts; one that nobody has touched has the state of version 0."""
    wanted = list(account_ids)
    query = (
        select(desk, reviews.c.at, reviews.c.author, reviews.c.what)
        .select_from(desk.outerjoin(reviews, reviews.c.review_id == desk.c.touched))
        .where(desk.c.account_id.in_(wanted))
    )
    found = {row["account_id"]: desk_state(row, now=now) for row in connection.execute(query).mappings()}
    return {account_id: found.get(account_id, DeskState()) for account_id in wanted}


def desk_state(row: Mapping[Any, Any], *, now: datetime) -> DeskState:
    """Return the state that a row of the desk, joined to its last review, holds; a snooze may have ended."""
    disposition = row["disposition"]
    over = disposition == Disposition.SNOOZED and row["snoozed_until"] <= naive_utc(now)
    return DeskState(
        version=row["version"] or 0,
        disposition=Disposition(disposition) if disposition and not over else None,
        snoozed_until=row["snoozed_until"],
        snooze_reason=row["snooze_reason"],
        assignee=row["assignee"],
        note=row["note"],
        touched_at=row.get("touched_at", row.get("at")),
        touched_by=row.get("touched_by", row.get("author")),
        touched_what=row.get("touched_what", row.get("what")),
    )


def desk_rows(connection: Connection, ids: Sequence[str]) -> dict[str, Mapping[Any, Any]]:
    """Return the rows of the accounts that somebody has touched, by account id."""
    found: dict[str, Mapping[Any, Any]] = {}
    for first in range(0, len(ids), _CHUNK):
        query = select(desk).where(desk.c.account_id.in_(ids[first : first + _CHUNK]))
        found |= {row["account_id"]: row for row in connection.execute(query).mappings()}
    return found


def untouched(account_id: str) -> Mapping[Any, Any]:
    """Return the row that an account has before anybody touches it."""
    return {"account_id": account_id, "version": 0, "touched": None} | dict.fromkeys(FIELDS)


def owners_of_accounts(connection: Connection, account_ids: Sequence[str]) -> dict[str, str | None]:
    """Return the owner of each account at the latest live run that holds it; unknown accounts are left out."""
    live = select(func.max(runs.c.run_id)).group_by(runs.c.as_of)
    found: dict[str, str | None] = {}
    for first in range(0, len(account_ids), _CHUNK):
        query = (
            select(scores.c.account_id, scores.c.owner)
            .join(runs, runs.c.run_id == scores.c.run_id)
            .where(scores.c.run_id.in_(live), scores.c.account_id.in_(account_ids[first : first + _CHUNK]))
            .order_by(runs.c.as_of)
        )
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def require_accounts(connection: Connection, account_ids: Sequence[str], scope: str | None) -> None:
    """Refuse accounts that no run holds, or that are another owner's: the two look the same.

    Raises
    ------
    NotFoundError
        Names the first of them.
    """
    # an id that no database takes is none that a run holds
    owners = owners_of_accounts(connection, [one for one in account_ids if one == clean(one)])
    for account_id in account_ids:
        if account_id not in owners or not is_within(owners[account_id], scope):
            raise no_account(account_id)


def is_within(owner: str | None, scope: str | None) -> bool:
    """Whether somebody who is limited to a scope may see an owner's account."""
    return scope is None or (owner or "").casefold() == scope.casefold()


def no_account(account_id: str) -> NotFoundError:
    """Return the error for an account that is not there, or not for the asker."""
    return NotFoundError(f"no published run holds account {account_id!r}. Check the id.")
