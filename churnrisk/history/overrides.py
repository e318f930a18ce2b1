"""Colours that people have set, with author, reason and expiry."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, insert, or_, select

from churnrisk.errors import UsageError
from churnrisk.history.rows import naive_utc
from churnrisk.history.schema import overrides
from churnrisk.history.store import HistoryStore


@dataclass(frozen=True, slots=True)
class NewOverride:
    """A colour that a person sets for an account, in force in ``[created_at, expires_at)``; validated."""

    account_id: str
    colour: str
    author: str
    reason: str
    created_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        if self.colour not in ("green", "amber", "red"):
            raise UsageError(f"an override expects green, amber or red, found {self.colour!r}. Choose one.")
        if not self.author.strip() or not self.reason.strip():
            raise UsageError("an override expects an author and a reason, found an empty one. Give both.")
        if not naive_utc(self.created_at) < naive_utc(self.expires_at):
            raise UsageError(
                f"an override expects an expiry after {self.created_at}, found {self.expires_at}. "
                "Choose a later one."
            )


def add_override(store: HistoryStore, override: NewOverride) -> int:
    """Record an override, effective from the next scoring run on, and return its id."""
    with store.database.writing() as connection:
        return insert_override(connection, override)


def insert_override(connection: Connection, override: NewOverride) -> int:
    """Record an override inside the caller's transaction and return its id."""
    instants = {
        "created_at": naive_utc(override.created_at),
        "expires_at": naive_utc(override.expires_at),
    }
    values = asdict(override) | instants
    key = connection.execute(insert(overrides).values(**values)).inserted_primary_key
    assert key is not None  # noqa: S101 - every insert of one row has one
    return int(key[0])


def active_overrides(store: HistoryStore, *, at: datetime) -> pd.DataFrame:
    """Return the overrides in force at an instant, indexed by account id; the last one wins."""
    moment = naive_utc(at)
    query = (
        select(overrides)
        .where(overrides.c.created_at <= moment, overrides.c.expires_at > moment)
        .where(or_(overrides.c.ended_at.is_(None), overrides.c.ended_at > moment))
        .order_by(overrides.c.override_id)
    )
    with store.database.reading() as connection:
        result = connection.execute(query)
        frame = pd.DataFrame.from_records(result.fetchall(), columns=list(result.keys()))
    return frame.drop_duplicates("account_id", keep="last").set_index("account_id")


def all_overrides(store: HistoryStore) -> pd.DataFrame:
    """Return every override ever made, oldest first: the columns of the table, instants in UTC."""
    with store.database.reading() as connection:
        result = connection.execute(select(overrides).order_by(overrides.c.override_id))
        frame = pd.DataFrame.from_records(result.fetchall(), columns=list(result.keys()))
    instants = ["created_at", "expires_at", "ended_at"]
    return frame.astype(dict.fromkeys(instants, "datetime64[us]"))


def with_overrides(store: HistoryStore, digest: str, *, at: datetime) -> str:
    """Return the digest of the inputs and the overrides made so far; without any, that of the inputs alone.

    An override that begins or ends makes a new run of the same date. Those that are over still count: the run after
    them must not be taken for the one before them.
    """
    moment = pd.Timestamp(naive_utc(at))
    made = all_overrides(store)
    made = made[made["created_at"] <= moment]
    if made.empty:
        return digest
    over = (made["expires_at"] <= moment) | (made["ended_at"] <= moment)
    states = made.assign(over=over)[["override_id", "account_id", "colour", "over"]].to_csv(index=False)
    return hashlib.sha256(f"{digest}\n{states}".encode()).hexdigest()
