"""Overrides: colours that people set with a reason and an end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

import pandas as pd

from churnrisk.errors import NotFoundError
from churnrisk.history import HistoryStore, NewOverride, all_overrides
from churnrisk.history.reviews import end_override
from churnrisk.workflows.account import unknown_account, view_account
from churnrisk.workflows.project import Project
from churnrisk.workflows.reviews import Change, review


@dataclass(frozen=True, slots=True)
class Override:
    """One override and its state: active, expired, ended, or replaced by a later one of the account."""

    override_id: int
    account_id: str
    colour: str
    state: str
    author: str
    reason: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class MadeOverride:
    """A new override, with the colour that the account has without it."""

    override_id: int
    account_id: str
    name: str | None
    colour: str
    colour_before: str
    expires_at: datetime


def make_override(
    project: Project, account_id: str, *, colour: str, reason: str, until: date, author: str, now: datetime
) -> MadeOverride:
    """Set an account's colour from the next scoring run on until a day begins; an unknown id names similar ones."""
    expires_at = datetime.combine(until, time())
    NewOverride(account_id, colour, author, reason, now, expires_at)  # validates
    change = Change(override=colour, until=until, reason=reason)
    with HistoryStore(project.store_url) as store:
        try:
            view = view_account(store, account_id, now=now)
        except NotFoundError:
            raise unknown_account(store, account_id) from None
        reviewed = review(store, {account_id: None}, change, author=author, via="cli", now=now)
    return MadeOverride(
        reviewed.override_ids[0], account_id, view.name, colour, str(view.latest.colour), expires_at
    )


def finish_override(project: Project, override_id: int, *, author: str, now: datetime) -> None:
    """End an open override before it expires."""
    with HistoryStore(project.store_url) as store:
        end_override(store, override_id, author=author, via="cli", at=now)


def list_overrides(project: Project, *, now: datetime) -> tuple[Override, ...]:
    """Return all overrides with their state at an instant, the newest first."""
    with HistoryStore(project.store_url) as store:
        frame = all_overrides(store)
    frame = frame.assign(state=_states(frame, now)).iloc[::-1].astype(object)
    frame = frame.where(frame.notna(), None)
    return tuple(
        Override(**{name: row[name] for name in Override.__slots__}) for row in frame.to_dict("records")
    )


def _states(frame: pd.DataFrame, now: datetime) -> pd.Series:
    moment = pd.Timestamp(now)
    ended = frame["ended_at"].notna()
    expired = ~ended & (frame["expires_at"] <= moment)
    active = ~ended & ~expired
    replaced = active & frame["account_id"].where(active).duplicated(keep="last")
    states = pd.Series("active", index=frame.index, dtype=object)
    return states.mask(replaced, "replaced").mask(expired, "expired").mask(ended, "ended")
