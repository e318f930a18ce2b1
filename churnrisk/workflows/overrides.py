"""Colours that people set: made with a reason and an end, listed, ended, and held against what happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

import pandas as pd

from churnrisk.errors import NotFoundError
from churnrisk.history import (
    HistoryStore,
    NewOverride,
    all_overrides,
)
from churnrisk.history.reviews import end_override
from churnrisk.snapshots import ChurnConfig, Horizon, outcomes
from churnrisk.workflows.account import unknown_account, view_account
from churnrisk.workflows.panel import Progress, checked_tables
from churnrisk.workflows.project import Project
from churnrisk.workflows.reviews import Change, review

_AT_RISK = ("amber", "red")


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
class Made:
    """A new override, with the colour that the account has without it (None when grey)."""

    override_id: int
    account_id: str
    name: str | None
    colour: str
    colour_before: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ReviewedOverride:
    """One override held against what happened in the label window from the day on which it was made.

    Attributes
    ----------
    model_colour : str or None
        What model and rules said at the last run before it; None without such a run.
    churned : bool or None
        None while the outcome is open, or when the account was not eligible.
    outcome : str
        In words.
    person_right, model_right : bool or None
        Whether green stayed, or amber and red churned; None without an outcome or a colour.
    """

    override_id: int
    account_id: str
    colour: str
    author: str
    reason: str
    created_at: datetime
    model_colour: str | None
    churned: bool | None
    outcome: str
    person_right: bool | None
    model_right: bool | None


def make_override(
    project: Project, account_id: str, *, colour: str, reason: str, until: date, author: str, now: datetime
) -> Made:
    """Set an account's colour from the next scoring run on until a day begins.

    Raises
    ------
    UsageError
        If no published run holds the account (similar ids are named), or author, reason, colour or end
        are not usable.
    """
    expires_at = datetime.combine(until, time())
    NewOverride(account_id, colour, author, reason, now, expires_at)  # which says what is wrong with it
    change = Change(override=colour, until=until, reason=reason)
    with HistoryStore(project.store_url) as store:
        try:
            view = view_account(store, account_id, now=now)
        except NotFoundError:
            raise unknown_account(store, account_id) from None
        reviewed = review(store, {account_id: None}, change, author=author, via="cli", now=now)
    return Made(reviewed.override_ids[0], account_id, view.name, colour, str(view.latest.colour), expires_at)


def finish_override(project: Project, override_id: int, *, author: str, now: datetime) -> None:
    """End an override before its time.

    Raises
    ------
    UsageError
        If none of that id is open.
    """
    with HistoryStore(project.store_url) as store:
        end_override(store, override_id, author=author, via="cli", at=now)


def list_overrides(project: Project, *, now: datetime) -> tuple[Override, ...]:
    """Return all overrides, the newest first, with their state at an instant."""
    with HistoryStore(project.store_url) as store:
        frame = all_overrides(store)
    frame = frame.assign(state=_states(frame, now)).iloc[::-1].astype(object)
    frame = frame.where(frame.notna(), None)
    return tuple(
        Override(**{name: row[name] for name in Override.__slots__}) for row in frame.to_dict("records")
    )


def review_overrides(project: Project, *, now: datetime, progress: Progress) -> tuple[ReviewedOverride, ...]:
    """Hold every override against what became of the account, the newest first.

    The outcome is that of the label window which begins on the day of the override, so that person and
    model are judged by the same rule, and only once it is mature.

    Raises
    ------
    ContractError
        If the tables break the contract.
    """
    with HistoryStore(project.store_url) as store:
        frame = all_overrides(store)
        if frame.empty:
            return ()
        said = _said_by_model(store, frame)
    frame["as_of"] = frame["created_at"].dt.normalize()
    with checked_tables(project, now=now, progress=progress) as checked:
        progress("looking up what happened")
        days = [moment.to_pydatetime() for moment in frame["as_of"].unique()]
        found = outcomes(checked.tables, project.churn, days, data_end=checked.span.end)
        span = checked.span
    found["as_of"] = found["as_of"].astype(frame["as_of"].dtype)
    judged = frame.assign(model_colour=said).merge(found, on=["account_id", "as_of"], how="left")
    judged = _verdicts(judged, project.churn, span).iloc[::-1].astype(object)
    judged = judged.where(judged.notna(), None)
    return tuple(
        ReviewedOverride(**{name: row[name] for name in ReviewedOverride.__slots__})
        for row in judged.to_dict("records")
    )


def _states(frame: pd.DataFrame, now: datetime) -> pd.Series:
    moment = pd.Timestamp(now)
    ended = frame["ended_at"].notna()
    expired = ~ended & (frame["expires_at"] <= moment)
    active = ~ended & ~expired
    replaced = active & frame["account_id"].where(active).duplicated(keep="last")
    states = pd.Series("active", index=frame.index, dtype=object)
    return states.mask(replaced, "replaced").mask(expired, "expired").mask(ended, "ended")


def _said_by_model(store: HistoryStore, frame: pd.DataFrame) -> pd.Series:
    """Return what model and rules said of each override's account at the last run before it."""
    live = {run.as_of: run.run_id for run in reversed(store.runs())}
    as_ofs = pd.DataFrame({"as_of": pd.to_datetime(sorted(live)).astype("datetime64[us]")})
    asked = frame[["override_id", "account_id", "created_at"]].sort_values("created_at")
    near = pd.merge_asof(asked, as_ofs, left_on="created_at", right_on="as_of")
    said: dict[int, str] = {}
    for as_of, group in near.groupby("as_of"):
        raw = store.scores(
            live[pd.Timestamp(str(as_of)).to_pydatetime()], columns=["account_id", "raw_colour"]
        )
        colours = group["account_id"].map(raw.set_index("account_id")["raw_colour"])
        said |= dict(zip(group["override_id"], colours, strict=True))
    found = frame["override_id"].map(said).astype(object)
    return found.where(found.isin(["green", *_AT_RISK]), None)


def in_words(frame: pd.DataFrame, churn: ChurnConfig, data_end: datetime) -> pd.Series:
    """Return what became of each (account_id, as_of): columns as_of, grey_reason and churned."""
    known = frame["churned"].notna()
    churned = frame["churned"].fillna(False).astype(bool)
    mature = frame["as_of"] + churn.outcome_delay <= pd.Timestamp(data_end)
    until = (frame["as_of"] + churn.outcome_delay).dt.strftime("open until %Y-%m-%d")
    why = ("not eligible: " + frame["grey_reason"].astype(object)).fillna("no outcome known")
    return (
        churned.map({True: "churned", False: "stayed"}).where(known, why.where(mature, until)).astype(object)
    )


def _verdicts(frame: pd.DataFrame, churn: ChurnConfig, span: Horizon) -> pd.DataFrame:
    known = frame["churned"].notna()
    churned = frame["churned"].fillna(False).astype(bool)
    return frame.assign(
        churned=churned.astype(object).where(known, None),
        outcome=in_words(frame, churn, span.end),
        person_right=_right(frame["colour"], churned, known),
        model_right=_right(frame["model_colour"], churned, known),
    )


def _right(colours: pd.Series, churned: pd.Series, known: pd.Series) -> pd.Series:
    said = colours.isin(_AT_RISK) == churned
    return said.astype(object).where(known & colours.notna(), None)
