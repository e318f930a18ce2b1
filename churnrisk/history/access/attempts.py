"""Attempts to sign in, counted so that nobody can try passwords at will; they survive a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, insert, select, text, update

from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import sign_in_attempts as attempts
from churnrisk.history.store import HistoryStore

_LOCK = 748_291_007
_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``failures`` in any ``window`` for the same name, address, or the two together.

    ``spares_known`` lets an address pass from which the same person has signed in during the last 30 days: an
    attack from elsewhere must not lock a person out.
    """

    failures: int
    window: timedelta
    by_name: bool
    by_address: bool
    spares_known: bool = False


def admit(
    store: HistoryStore, name: str, address: str, *, at: datetime, limits: Sequence[Limit]
) -> tuple[int, timedelta]:
    """Count an attempt before its password is looked at.

    It stands as a failure until :func:`forgive` says otherwise, so that many at once cannot outrun the limits.

    Returns
    -------
    tuple of int and timedelta
        The attempt's id and zero; or 0 and how long to wait. An attempt that is refused does not count, so that
        waiting always helps.
    """
    moment = naive_utc(at)
    with store.database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(delete(attempts).where(attempts.c.at < moment - _KEPT))
        wait = max(_wait(connection, name, address, moment, limit) for limit in limits)
        if wait > timedelta():
            return 0, wait
        values = {"name": name, "address": address, "at": moment, "failed": True}
        key = connection.execute(insert(attempts).values(**values)).inserted_primary_key
    assert key is not None  # noqa: S101 - every insert of one row has one
    return int(key[0]), timedelta()


def forgive(store: HistoryStore, attempt_id: int) -> None:
    """Mark an attempt as successful, and forget the failures of the same name and address before it."""
    with store.database.writing() as connection:
        row = connection.execute(select(attempts).where(attempts.c.attempt_id == attempt_id)).first()
        if row is None:
            return
        same = (attempts.c.name == row.name) & (attempts.c.address == row.address)
        connection.execute(delete(attempts).where(same, attempts.c.attempt_id != attempt_id))
        connection.execute(update(attempts).where(attempts.c.attempt_id == attempt_id).values(failed=False))


def _wait(connection: Connection, name: str, address: str, moment: datetime, limit: Limit) -> timedelta:
    """Return how long it takes until the limit admits one more."""
    asked: list[ColumnElement[bool]] = [attempts.c.failed, attempts.c.at > moment - limit.window]
    if limit.by_name:
        asked.append(attempts.c.name == name)
    if limit.by_address:
        asked.append(attempts.c.address == address)
    newest = select(attempts.c.at).where(*asked).order_by(attempts.c.at.desc()).limit(limit.failures)
    found = connection.execute(newest).scalars().all()
    if len(found) < limit.failures or (limit.spares_known and _is_known(connection, name, address)):
        return timedelta()
    oldest: datetime = found[-1]
    return oldest + limit.window - moment


def _is_known(connection: Connection, name: str, address: str) -> bool:
    good = select(attempts.c.attempt_id).where(
        attempts.c.name == name, attempts.c.address == address, ~attempts.c.failed
    )
    return connection.execute(good.limit(1)).first() is not None
