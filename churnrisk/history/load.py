"""What is still to be done at a run, and what has been saved: the desk held against the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, case, false, func, literal_column, or_, select

from churnrisk.history.schema import actions, audit, desk, is_listed, reviews, runs, scores
from churnrisk.records import Disposition, Run


@dataclass(frozen=True, slots=True)
class Saved:
    """An account that somebody reviewed as saved, and that is not gone since."""

    account_id: str
    name: str | None
    owner: str | None
    annual_value: float | None
    at: datetime
    author: str


@dataclass(frozen=True, slots=True)
class AllSaved:
    """The accounts saved last, and how many there are in all, with what they are worth a year."""

    accounts: tuple[Saved, ...]
    count: int
    annual_value: float


def open_work(
    connection: Connection,
    run: Run,
    *,
    owners: Sequence[str | None] | None,
    deadline_days: Mapping[str, int],
    play_days: Mapping[str, int],
    now: datetime,
) -> dict[str | None, tuple[int, int]]:
    """Return by owner how many red and amber accounts nobody has touched since they have their colour.

    The second number counts those of them that are overdue: the day has passed by which an action handed out since
    was due, or else that the play leaves, or else the colour. Accounts that are snoozed or gone are nobody's work.
    """
    handed_due = (
        select(actions.c.due_at)
        .where(actions.c.account_id == scores.c.account_id, actions.c.handed_out_at >= scores.c.colour_since)
        .order_by(actions.c.action_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    late = case((handed_due.is_not(None), handed_due < now), else_=_has_lasted(deadline_days, play_days, now))
    touched = desk.join(reviews, reviews.c.review_id == desk.c.touched)
    done = (
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
    query = (
        select(scores.c.owner, func.count(), func.sum(case((late, 1), else_=0)))
        .where(scores.c.run_id == run.run_id, is_listed, ~done)
        .group_by(scores.c.owner)
    )
    if owners is not None:
        query = query.where(_is_one_of(scores.c.owner, owners))
    return {owner: (int(untouched), int(overdue)) for owner, untouched, overdue in connection.execute(query)}


def _has_lasted(
    deadline_days: Mapping[str, int], play_days: Mapping[str, int], now: datetime
) -> ColumnElement[bool]:
    """Return whether a colour has lasted longer than its play leaves, or the colour where no play is known."""

    def longer(days: int) -> ColumnElement[bool]:
        return scores.c.colour_since < now - timedelta(days=days)

    plays = [(scores.c.play == play, longer(days)) for play, days in play_days.items()]
    colours = [(scores.c.colour == colour, longer(days)) for colour, days in deadline_days.items()]
    return case(*plays, *colours, else_=false())


def read_saved(
    connection: Connection, *, since: datetime, owners: Sequence[str | None] | None, limit: int = 200
) -> AllSaved:
    """Return the accounts reviewed as saved since an instant, where that stands, the latest first and each once.

    An account that is recorded as churned by now was not saved.
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
    joined = (
        audit.join(reviews, reviews.c.review_id == audit.c.review_id)
        .join(desk, desk.c.account_id == audit.c.account_id)
        .outerjoin(
            scores,
            (scores.c.account_id == audit.c.account_id) & (scores.c.run_id == latest.scalar_subquery()),
        )
    )
    conditions = [
        audit.c.audit_id.in_(last),
        desk.c.disposition.is_distinct_from(str(Disposition.CHURNED)),
        *([] if owners is None else [_is_one_of(scores.c.owner, owners)]),
    ]
    counted = select(func.count(), func.coalesce(func.sum(scores.c.annual_value), 0.0))
    number, value = connection.execute(counted.select_from(joined).where(*conditions)).one()
    shown = (
        audit.c.account_id,
        scores.c.name,
        scores.c.owner,
        scores.c.annual_value,
        reviews.c.at,
        reviews.c.author,
    )
    query = (
        select(*shown)
        .select_from(joined)
        .where(*conditions)
        .order_by(reviews.c.review_id.desc())
        .limit(limit)
    )
    return AllSaved(tuple(Saved(*row) for row in connection.execute(query)), int(number), float(value))


def _is_one_of(column: ColumnElement[str], owners: Sequence[str | None]) -> ColumnElement[bool]:
    return column.in_([name for name in owners if name is not None])
