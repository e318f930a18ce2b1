"""The actions of the latest run: who does what for which account by when, each one once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from churnrisk.decision import Playbook, may_go_out
from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore, hand_out
from churnrisk.history.actions import read_candidates
from churnrisk.model import read_reasons
from churnrisk.records import Colour, Run
from churnrisk.workflows.plays import playbook_of
from churnrisk.workflows.project import Project
from churnrisk.workflows.worklist import find_run

#: Stands for the play where only the fallback of the colour fits.
FALLBACK = "fallback"
_FALLBACK_COOLDOWN_DAYS = 14
_READ = (
    "account_id",
    "name",
    "owner",
    "segment",
    "colour",
    "decided_by",
    "rule",
    "probability",
    "annual_value",
    "renewal_at",
    "reasons",
    "play",
    "next_step",
)
_FALLBACKS = {"red": ("phone", 2), "amber": ("mail", 7)}


@dataclass(frozen=True)
class ActionFilter:
    """Which accounts get actions; an empty field asks nothing.

    ``newly`` keeps the accounts whose colour got worse since the run before; one that had no colour
    then counts as green. ``limit`` takes so many, after the ``offset`` most urgent ones.
    """

    colours: tuple[str, ...] = ("red", "amber", "green", "grey")
    owner: str | None = None
    newly: bool = False
    limit: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.colours) - set(Colour))
        if unknown:
            raise UsageError(f"{', '.join(unknown)} is no colour; choose among {', '.join(Colour)}.")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do for one account.

    Attributes
    ----------
    key : str
        The same for the same account, play and reason, whatever the run: what a CRM merges on.
    reason : str
        What drives it: the rule that decided, else the signal of the main reason; empty without one.
    why : str
        The reason in words.
    role : str
        Whose job it is by the playbook; ``owner`` is the account's.
    """

    key: str
    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    colour: str
    previous_colour: str | None
    probability: float | None
    annual_value: float | None
    renewal_at: datetime | None
    play: str
    reason: str
    why: str
    next_step: str
    channel: str
    role: str
    due_at: datetime
    as_of: datetime


@dataclass(frozen=True)
class Handed:
    """The actions handed out, how many wait for a cooldown or a channel, and whether the limit left some out."""

    run: Run
    actions: tuple[Action, ...]
    waiting: int
    more: bool = False


def hand_out_actions(
    project: Project,
    *,
    now: datetime,
    wanted: ActionFilter,
    deliver: Callable[[tuple[Action, ...]], None],
    record: bool,
    store: HistoryStore | None = None,
) -> Handed:
    """Hand out the actions of the latest run that are neither done nor resting, and record them.

    Parameters
    ----------
    project : Project
        The project.
    now : datetime
        The instant of handing out; cooldowns and deadlines count from it.
    wanted : ActionFilter
        Which accounts.
    deliver : callable
        Writes the actions somewhere; when it fails nothing is recorded.
    record : bool
        False for a dry run.
    store : HistoryStore, optional
        The open history of a server; without one the project's is opened.

    Raises
    ------
    UsageError
        If nothing has been scored, or history or playbook cannot be used.
    """
    playbook = playbook_of(project)
    with _opened(project, store) as history:
        run = find_run(history, None)
        candidates, more = _candidates(history, run, playbook, wanted, now)
        cooldowns = {play.name: play.cooldown_days for play in playbook.plays}
        longest = max([_FALLBACK_COOLDOWN_DAYS, *cooldowns.values(), *playbook.channels.values()])
        made: list[tuple[Action, ...]] = []
        offered: list[int] = []

        def choose(fresh: pd.DataFrame, past: pd.DataFrame) -> np.ndarray:
            offered.append(len(fresh))
            return may_go_out(
                fresh,
                past,
                now=now,
                cooldowns=cooldowns,
                channels=playbook.channels,
                default_cooldown=_FALLBACK_COOLDOWN_DAYS,
            )

        def tell(chosen: pd.DataFrame) -> None:
            made.append(_actions(chosen, run))
            deliver(made[0])

        hand_out(
            history,
            run.run_id,
            candidates,
            choose=choose,
            deliver=tell,
            at=now,
            within=timedelta(days=longest + 1),
            record=record,
        )
    return Handed(run, made[0], offered[0] - len(made[0]), more)


@contextmanager
def _opened(project: Project, store: HistoryStore | None) -> Iterator[HistoryStore]:
    if store is not None:
        yield store
        return
    with HistoryStore(project.store_url) as opened:
        yield opened


def _candidates(
    store: HistoryStore, run: Run, playbook: Playbook, wanted: ActionFilter, now: datetime
) -> tuple[pd.DataFrame, bool]:
    """Return one row per account that has something to be done, the most urgent first, and whether there are more."""
    frame = read_candidates(
        store,
        run,
        _READ,
        colours=wanted.colours,
        owner=wanted.owner,
        newly=wanted.newly,
        limit=None if wanted.limit is None else wanted.limit + 1,
        offset=wanted.offset,
    )
    more = wanted.limit is not None and len(frame) > wanted.limit
    frame = frame.iloc[: wanted.limit].copy()
    by_rule = frame["rule"].where(frame["decided_by"] == "rule")
    drivers = frame["reasons"].astype("str").str.extract(r'"feature": "((?:[^"\\]|\\.)*)"')[0]
    frame["reason"] = by_rule.fillna(drivers).fillna("").astype(object)
    _add_how(frame, playbook, now)
    return frame, more


def _add_how(frame: pd.DataFrame, playbook: Playbook, now: datetime) -> None:
    """Add play, channel, role and due_at; a play that the playbook no longer holds goes the fallback's way."""
    plays = {play.name: play for play in playbook.plays}
    fallback = {colour: channel for colour, (channel, _) in _FALLBACKS.items()}
    usual_days = {colour: days for colour, (_, days) in _FALLBACKS.items()}
    frame["play"] = frame["play"].fillna(FALLBACK).astype(object)
    channels = frame["play"].map({name: play.channel for name, play in plays.items()}).astype(object)
    frame["channel"] = channels.fillna(frame["colour"].map(fallback)).fillna("mail")
    roles = frame["play"].map({name: play.owner for name, play in plays.items()}).astype(object)
    frame["role"] = roles.fillna("account owner")
    days = frame["play"].map({name: play.deadline_days for name, play in plays.items()}).astype(float)
    days = days.fillna(frame["colour"].map(usual_days).astype(float)).fillna(7)
    today = pd.Timestamp(now).normalize()
    frame["due_at"] = (today + pd.to_timedelta(days, unit="D")).astype("datetime64[us]")


def _actions(chosen: pd.DataFrame, run: Run) -> tuple[Action, ...]:
    table = chosen.astype(object)
    table = table.where(table.notna(), None)
    return tuple(
        Action(
            key=_key(row["account_id"], row["play"], row["reason"]),
            account_id=row["account_id"],
            name=row["name"],
            owner=row["owner"],
            segment=row["segment"],
            colour=row["colour"],
            previous_colour=row["previous_colour"],
            probability=row["probability"],
            annual_value=row["annual_value"],
            renewal_at=row["renewal_at"],
            play=row["play"],
            reason=row["reason"],
            why=_why(row["decided_by"], row["rule"], row["reasons"]),
            next_step=row["next_step"] or "",
            channel=row["channel"],
            role=row["role"],
            due_at=row["due_at"],
            as_of=run.as_of,
        )
        for row in table.to_dict("records")
    )


def _why(decided_by: str, rule: str | None, reasons: str | None) -> str:
    told = [reason.text for reason in read_reasons(reasons or "[]")[:1]]
    return "; ".join([f"Rule: {rule}", *told] if decided_by == "rule" and rule else told)


def _key(account_id: str, play: str, reason: str) -> str:
    return hashlib.sha256("\n".join((account_id, play, reason)).encode()).hexdigest()[:16]
