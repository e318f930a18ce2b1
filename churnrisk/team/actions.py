"""The actions of the latest run: who does what for which account by when, each handed out once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.files import digest_of
from churnrisk.lights import Playbook, may_go_out
from churnrisk.records import Colour, Reason, Run
from churnrisk.scoring import playbook_of
from churnrisk.settings import Project
from churnrisk.store import HistoryStore, hand_out, read_candidates, read_reasons
from churnrisk.team.redlist import find_run

#: Stands for the play where only the fallback of the colour fits.
FALLBACK = "fallback"
_FALLBACK_COOLDOWN_DAYS = 14
_FALLBACKS = {"red": ("phone", "account owner", 2), "amber": ("mail", "account owner", 7)}
_COLUMNS = (
    "account_id", "name", "owner", "segment", "colour", "decided_by", "rule", "probability", "annual_value",
    "renewal_at", "reasons", "play", "next_step",
)  # fmt: skip


@dataclass(frozen=True)
class ActionFilter:
    """Which accounts get actions; empty fields do not filter. ``newly``: the colour got worse since the last run."""

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

    ``key`` is the same for the same account, play and reason, whatever the run: what a CRM merges on. ``reason`` is
    the rule that decided, else the main signal; ``why`` says it in words. ``role``: whose job it is by the playbook.
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
class HandedOut:
    """The actions handed out, how many wait for a cooldown or a channel, and whether there are more."""

    run: Run
    actions: tuple[Action, ...]
    waiting: int
    more: bool = False


def hand_out_actions(
    project: Project,
    *,
    now: datetime,
    query: ActionFilter,
    deliver: Callable[[tuple[Action, ...]], None],
    record: bool,
    store: HistoryStore | None = None,
) -> HandedOut:
    """Hand out and record the actions of the latest run that are neither done nor in their cooldown at ``now``.

    When ``deliver`` fails nothing is recorded; nor without ``record``. A server hands in its open ``store``.
    """
    playbook = playbook_of(project)
    cooldowns = {play.name: play.cooldown_days for play in playbook.plays}
    longest = max([_FALLBACK_COOLDOWN_DAYS, *cooldowns.values(), *playbook.channels.values()])
    actions: tuple[Action, ...] = ()
    offered = 0
    with nullcontext(store) if store else HistoryStore(project.store_url) as history:
        run = find_run(history, None)
        candidates, more = _candidates(history, run, playbook, query, now)

        def choose(fresh: pd.DataFrame, past: pd.DataFrame) -> np.ndarray:
            nonlocal offered
            offered = len(fresh)
            return may_go_out(
                fresh,
                past,
                now=now,
                cooldowns=cooldowns,
                channels=playbook.channels,
                default_cooldown=_FALLBACK_COOLDOWN_DAYS,
            )

        def hand_on(chosen: pd.DataFrame) -> None:
            nonlocal actions
            actions = _actions(chosen, run)
            deliver(actions)

        hand_out(
            history,
            run.run_id,
            candidates,
            choose=choose,
            deliver=hand_on,
            at=now,
            within=timedelta(days=longest + 1),
            record=record,
        )
    return HandedOut(run, actions, offered - len(actions), more)


def _candidates(
    store: HistoryStore, run: Run, playbook: Playbook, query: ActionFilter, now: datetime
) -> tuple[pd.DataFrame, bool]:
    """Return one row per account with something to do, the most urgent first, and whether there are more."""
    frame = read_candidates(
        store,
        run,
        _COLUMNS,
        colours=query.colours,
        owner=query.owner,
        newly=query.newly,
        limit=None if query.limit is None else query.limit + 1,
        offset=query.offset,
    )
    more = query.limit is not None and len(frame) > query.limit
    frame = frame.iloc[: query.limit].copy()
    main = [next(iter(read_reasons(text)), None) for text in frame.pop("reasons")]
    frame["main"] = pd.Series(main, frame.index, dtype=object)
    by_rule = frame["rule"].where(frame["decided_by"] == "rule")
    features = pd.Series([reason and reason.feature for reason in main], frame.index, dtype=object)
    frame["reason"] = by_rule.fillna(features).fillna("").astype(object)
    _add_how(frame, playbook, now)
    return frame, more


def _add_how(frame: pd.DataFrame, playbook: Playbook, now: datetime) -> None:
    """Add play, channel, role and due_at; a play that has left the playbook is treated as the fallback."""
    plays = {play.name: play for play in playbook.plays}
    frame["play"] = frame["play"].fillna(FALLBACK).astype(object)
    how = [
        (play.channel, play.owner, play.deadline_days)
        if (play := plays.get(name))
        else _FALLBACKS.get(colour, _FALLBACKS["amber"])
        for name, colour in zip(frame["play"], frame["colour"], strict=True)
    ]
    added = pd.DataFrame(how, frame.index, columns=["channel", "role", "days"])
    frame[["channel", "role"]] = added[["channel", "role"]].astype(object)
    due = pd.Timestamp(now).normalize() + pd.to_timedelta(added["days"].astype(float), unit="D")
    frame["due_at"] = due.astype("datetime64[us]")


def _actions(chosen: pd.DataFrame, run: Run) -> tuple[Action, ...]:
    table = chosen.astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    same = [item.name for item in fields(Action) if item.name in chosen]
    return tuple(
        Action(
            **{name: row[name] for name in same} | {"next_step": row["next_step"] or ""},
            key=digest_of("\n".join((row["account_id"], row["play"], row["reason"])))[:16],
            why=_why(row["decided_by"], row["rule"], row["main"]),
            as_of=run.as_of,
        )
        for row in rows
    )


def _why(decided_by: str, rule: str | None, main: Reason | None) -> str:
    by_rule = f"Rule: {rule}" if decided_by == "rule" and rule else ""
    return "; ".join(part for part in (by_rule, main.text if main else "") if part)
