"""Who is signed in: the digest of a session's id, never the id itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import DateTime, String, bindparam, delete, insert, select, update

from churnrisk.history.access.users import USER_COLUMNS, to_user
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import sessions, users
from churnrisk.history.store import HistoryStore
from churnrisk.records import User

# Noting every click would make a write of every read.
_NOTED_EVERY = timedelta(minutes=5)
# Made once: every page asks for it.
_IN_FORCE = (
    select(*USER_COLUMNS, sessions.c.seen_at)
    .join(users, users.c.user_id == sessions.c.user_id)
    .where(sessions.c.digest == bindparam("one_digest", type_=String))
    .where(sessions.c.expires_at > bindparam("moment", type_=DateTime))
    .where(sessions.c.seen_at > bindparam("seen_after", type_=DateTime), users.c.disabled_at.is_(None))
)


def start_session(
    store: HistoryStore, digest: str, user_id: int, *, at: datetime, expires_at: datetime
) -> None:
    """Begin a session; those that are over are swept out on the way."""
    moment = naive_utc(at)
    values = {"digest": digest, "user_id": user_id, "created_at": moment, "seen_at": moment}
    with store.database.writing() as connection:
        connection.execute(delete(sessions).where(sessions.c.expires_at <= moment))
        connection.execute(insert(sessions).values(**values, expires_at=naive_utc(expires_at)))


def read_session(store: HistoryStore, digest: str, *, at: datetime, idle: timedelta) -> User | None:
    """Return who a session belongs to; None when it is over, unused for too long, or the person is disabled."""
    moment = naive_utc(at)
    asked = {"one_digest": digest, "moment": moment, "seen_after": moment - idle}
    with store.database.reading() as connection:
        row = connection.execute(_IN_FORCE, asked).first()
    if row is None:
        return None
    if moment - row.seen_at > min(_NOTED_EVERY, idle / 4):
        store.database.note(update(sessions).where(sessions.c.digest == digest).values(seen_at=moment))
    return to_user(row)


def end_session(store: HistoryStore, digest: str) -> None:
    """End a session; one that is over already is no mistake."""
    with store.database.writing() as connection:
        connection.execute(delete(sessions).where(sessions.c.digest == digest))
