"""What is still to be done at a run, and what has been saved: the accounts' state held against the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, or_, select

from churnrisk.history.schema import actions, audit, desk, is_listed, reviews, runs, scores
from churnrisk.history.totals import is_one_of
from churnrisk.records import Disposition, Run


@dataclass(frozen=True, slots=True)
class OpenWork:
    """Red and amber accounts that nobody has touched since they have their colour, alike in what their due date needs.

    ``handed_due_at`` is the due date of the last action handed out since then.
    """

    owner: str | None
    colour: str
    play: str | None
    colour_since: datetime
    handed_due_at: datetime | None
    accounts: int


@dataclass(frozen=True, slots=True)
class Saved:
    """An account that somebody reviewed as saved, and that has not churned since."""

    account_id: str
    name: str | None
    owner: str | None
    annual_value: float | None
    at: datetime
    author: str


@dataclass(frozen=True, slots=True)
class AllSaved:
    """The accounts saved last, how many there are in all, and what they are worth a year."""

    accounts: tuple[Saved, ...]
    count: int
    annual_value: float


def open_work(
    connection: Connection,
    run: Run,
    *,
    now: datetime,
    owners: Sequence[str | None] | None = None,
    account_id: str | None = None,
) -> list[OpenWork]:
    """Return what nobody has touched at a run; accounts that are snoozed or churned are nobody's work."""
    handed_due_at = (
        select(actions.c.due_at)
        .where(actions.c.account_id == scores.c.account_id, actions.c.handed_out_at >= scores.c.colour_since)
        .order_by(actions.c.action_id.desc())
        .limit(1)
        .scalar_subquery()
        .label("handed_due_at")
    )
    groups = (scores.c.owner, scores.c.colour, scores.c.play, scores.c.colour_since)
    conditions = [scores.c.run_id == run.run_id, is_listed, ~_is_done(now)]
    if owners is not None:
        conditions.append(is_one_of(scores.c.owner, owners))
    if account_id is not None:
        conditions.append(scores.c.account_id == account_id)
    statement = (
        select(*groups, handed_due_at, func.count()).where(*conditions).group_by(*groups, "handed_due_at")
    )
    return [OpenWork(*row) for row in connection.execute(statement)]


def _is_done(now: datetime) -> ColumnElement[bool]:
    touched = desk.join(reviews, reviews.c.review_id == desk.c.touched)
    return (
        select(literal_column("1"))
        .select_from(touched)
        .where(desk.c.account_id == scores.c.account_id)
        .where(
            or_(
                reviews.c.at >= scores.c.colour_since,
                desk.c.disposition == str(Disposition.CHURNED),
                and_(desk.c.disposition == str(Disposition.SNOOZED), desk.c.snoozed_until > now),
            )
        )
        .exists()
    )


def read_saved(
    connection: Connection, *, since: datetime, owners: Sequence[str | None] | None, limit: int = 200
) -> AllSaved:
    """Return the accounts reviewed as saved since an instant, the latest first and each once.

    Reviews that were undone, and accounts that are recorded as churned by now, do not count.
    """
    said_saved = (audit.c.field == "disposition") & (audit.c.after == str(Disposition.SAVED))
    stands = (reviews.c.at >= since) & reviews.c.undoes.is_(None) & reviews.c.undone_by.is_(None)
    last = (
        select(func.max(audit.c.audit_id))
        .join(reviews, reviews.c.review_id == audit.c.review_id)
        .where(said_saved, stands)
        .group_by(audit.c.account_id)
    )
    latest = select(runs.c.run_id).order_by(runs.c.as_of.desc(), runs.c.run_id.desc()).limit(1)
    scored = (scores.c.account_id == audit.c.account_id) & (scores.c.run_id == latest.scalar_subquery())
    joined = (
        audit.join(reviews, reviews.c.review_id == audit.c.review_id)
        .join(desk, desk.c.account_id == audit.c.account_id)
        .outerjoin(scores, scored)
    )
    conditions = [
        audit.c.audit_id.in_(last),
        desk.c.disposition.is_distinct_from(str(Disposition.CHURNED)),
        *([] if owners is None else [is_one_of(scores.c.owner, owners)]),
    ]
    counted = select(func.count(), func.coalesce(func.sum(scores.c.annual_value), 0.0))
    count, value = connection.execute(counted.select_from(joined).where(*conditions)).one()
    shown = (audit.c.account_id, scores.c.name, scores.c.owner, scores.c.annual_value)
    listed = (
        select(*shown, reviews.c.at, reviews.c.author)
        .select_from(joined)
        .where(*conditions)
        .order_by(reviews.c.review_id.desc())
        .limit(limit)
    )
    return AllSaved(tuple(Saved(*row) for row in connection.execute(listed)), int(count), float(value))
