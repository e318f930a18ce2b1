"""The team lead's page: workload by owner, what is new, what was saved, and the course over the runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from churnrisk.errors import UsageError
from churnrisk.records import NONE, AtRisk, Places, Run
from churnrisk.store import (
    AllSaved,
    HistoryStore,
    OpenWork,
    Sums,
    Transaction,
    WorkQueue,
    open_work,
    read_by_owner,
    read_outcomes,
    read_queue,
    read_saved,
    read_totals,
    total,
    within,
)
from churnrisk.team.account import day_of, is_overdue
from churnrisk.team.redlist import at_risk

_RISKY = ("red", "amber")


@dataclass(frozen=True, slots=True)
class OwnerLoad:
    """One owner's part of the latest run; ``(none)`` stands for the accounts without an owner.

    ``newly_red`` is None at the very first run; ``untouched`` accounts are red or amber and nobody has touched them
    since; ``overdue`` is a part of those.
    """

    owner: str
    red: int
    amber: int
    newly_red: int | None
    value: float
    expected_loss: float
    untouched: int
    overdue: int
    places: Places | None = None


@dataclass(frozen=True, slots=True)
class RunAtRisk:
    """What was at risk at one run; ``missed`` are the accounts that were green then and churned, None while unknown."""

    as_of: datetime
    accounts: int
    red: int
    amber: int
    newly_red: int | None
    value: float
    expected_loss: float
    missed: int | None


@dataclass(frozen=True, slots=True)
class TeamWeek:
    """Everything on the page: ``load`` by expected loss, ``over_time`` oldest first, ``saved`` since ``since``."""

    run: Run
    before: Run | None
    since: datetime
    load: tuple[OwnerLoad, ...]
    by_segment: tuple[AtRisk, ...]
    over_time: tuple[RunAtRisk, ...]
    saved: AllSaved
    places: Places | None = None

    @property
    def newly_red(self) -> int | None:
        """Accounts that turned red with the latest run; None at the very first one."""
        return None if self.before is None else sum(one.newly_red or 0 for one in self.load)


def monday(
    store: HistoryStore,
    *,
    now: datetime,
    days: int = 30,
    most_runs: int = 60,
    scope: str | None = None,
    deadlines: Mapping[str, int] | None = None,
    capacity: int | None = None,
) -> TeamWeek:
    """Return the state of the team's work over the latest ``most_runs`` runs; UsageError if nothing has been published.

    ``days``: how far back saved accounts are listed. ``scope``: the owner that the user is limited to.
    ``deadlines``: days that each play leaves. ``capacity``: accounts that the team can review between two runs.
    """
    # to the day, since everything that this counts begins or ends with a day
    asked = (day_of(now), days, most_runs, scope, tuple((deadlines or {}).items()), capacity)
    with store.database.reading() as connection:
        return store.cached(connection, ("team week", *asked), lambda: _read(store, connection, *asked))


def _read(
    store: HistoryStore,
    connection: Transaction,
    today: datetime,
    days: int,
    most_runs: int,
    scope: str | None,
    deadlines: tuple[tuple[str, int], ...],
    capacity: int | None,
) -> TeamWeek:
    every_run = read_outcomes(connection)
    if not every_run:
        raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
    found, first = every_run[:most_runs], every_run[-1][0]
    run, since = found[0][0], today - timedelta(days=days)
    owners = None if scope is None else within(connection, run, scope)
    sums = read_totals(connection, [one.run_id for one, _ in found], owners=owners)
    by_owner = read_by_owner(connection, run.run_id, owners=owners)
    work = open_work(connection, run, owners=owners, now=today)
    queue = read_queue(store, connection, run, capacity=capacity, now=today)
    missed = {
        one.run_id: one.churned
        for _, outcomes in found
        for one in outcomes
        if one.colour == "green" and scope is None
    }
    of_run = {one.run_id: [part for part in sums if part.run_id == one.run_id] for one, _ in found}
    return TeamWeek(
        run=run,
        before=found[1][0] if len(found) > 1 else None,
        since=since,
        load=_load(by_owner, work, queue, dict(deadlines), today, is_first=run == first),
        by_segment=at_risk(of_run[run.run_id], "segment"),
        over_time=tuple(
            RunAtRisk(
                one.as_of,
                accounts=int(total(of_run[one.run_id], "accounts", *_RISKY, "green")),
                **_figures(of_run[one.run_id], is_first=one == first),
                missed=missed.get(one.run_id),
            )
            for one, _ in reversed(found)
        ),
        saved=read_saved(connection, since=since, owners=owners),
        places=None if queue is None else queue.places(by_owner, owners),
    )


def _load(
    sums: Sequence[Sums],
    work: Sequence[OpenWork],
    queue: WorkQueue | None,
    deadlines: Mapping[str, int],
    today: datetime,
    *,
    is_first: bool,
) -> tuple[OwnerLoad, ...]:
    untouched, overdue = Counter[str | None](), Counter[str | None]()
    for part in work:
        untouched[part.owner] += part.accounts
        if is_overdue(part, deadlines, today):
            overdue[part.owner] += part.accounts
    of_owner: defaultdict[str | None, list[Sums]] = defaultdict(list)
    for one in sums:
        of_owner[one.owner].append(one)
    load = [
        OwnerLoad(
            owner or NONE,
            **_figures(mine, is_first=is_first),
            untouched=untouched[owner],
            overdue=overdue[owner],
            places=None if queue is None else queue.places(mine, [owner]),
        )
        for owner, mine in of_owner.items()
        if any(one.colour in _RISKY for one in mine)
    ]
    return tuple(sorted(load, key=lambda one: (-one.expected_loss, -one.red, one.owner)))


def _figures(sums: Sequence[Sums], *, is_first: bool) -> dict[str, Any]:
    return {
        "red": int(total(sums, "accounts", "red")),
        "amber": int(total(sums, "accounts", "amber")),
        "newly_red": None if is_first else int(total(sums, "newly", "red")),
        "value": total(sums, "annual_value", *_RISKY),
        "expected_loss": total(sums, "expected_loss", *_RISKY),
    }
