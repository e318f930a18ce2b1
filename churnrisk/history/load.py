"""What is still to be done at a run, and what has been saved: the desk held against the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal_column, or_, select

from churnrisk.history.schema import audit, desk, is_listed, reviews, runs, scores
from churnrisk.records import Disposition, Run


@dataclass(frozen=True, slots=True)
class Saved:
    """An account that somebody reviewed as saved."""

    account_id: str
    name: str | None
    owner: str | None
    annual_value: float | None
    at: datetime
    author: str


def open_work(
    connection: Connection,
    run: Run,
    *,
    owners: Sequence[str | None] | None,
    deadline_days: Mapping[str, int],
    now: datetime,
) -> dict[str | None, tuple[int, int]]:
    """Return by owner how many red and amber accounts nobody has touched since they have their colour.

    The second number counts those of them whose colour has lasted longer than ``deadline_days`` of it.
    Accounts that are snoozed or gone are nobody's work.
    """
    late = or_(
        *(
            (scores.c.colour == colour) & (scores.c.colour_since < now - timedelta(days=days))
            for colour, days in deadline_days.items()
        )
    )
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


def read_saved(
    connection: Connection, *, since: datetime, owners: Sequence[str | None] | None, limit: int = 200
) -> tuple[Saved, ...]:
    """Return the accounts reviewed as saved since an instant, where that stands, the latest first and each once."""
    said_saved = (audit.c.field == "disposition") & (audit.c.after == str(Disposition.SAVED))
    stands = (reviews.c.at >= since) & reviews.c.undoes.is_(None) & reviews.c.undone_by.is_(None)
    last = (
        select(func.max(audit.c.audit_id))
        .join(reviews, reviews.c.review_id == audit.c.review_id)
        .where(said_saved, stands)
        .group_by(audit.c.account_id)
    )
    latest = select(runs.c.run_id).order_by(runs.c.as_of.desc(), runs.c.run_id.desc()).limit(1)
    joined = audit.join(reviews, reviews.c.review_id == audit.c.review_id).outerjoin(
        scores, (scores.c.account_id == audit.c.account_id) & (scores.c.run_id == latest.scalar_subquery())
    )
    query = (
        select(
            audit.c.account_id,
            scores.c.name,
            scores.c.owner,
            scores.c.annual_value,
            reviews.c.at,
            reviews.c.author,
        )
        .select_from(joined)
        .where(audit.c.audit_id.in_(last))
        .order_by(reviews.c.review_id.desc())
        .limit(limit)
    )
    if owners is not None:
        query = query.where(_is_one_of(scores.c.owner, owners))
    return tuple(Saved(*row) for row in connection.execute(query))


def _is_one_of(column: ColumnElement[str], owners: Sequence[str | None]) -> ColumnElement[bool]:
    return column.in_([name for name in owners if name is not None])
