"""The team lead's page: who has how much on the desk, what is new, what was saved, and how it goes over time.

``monday`` reads sums that were written with the runs, the desk and the outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore
from churnrisk.history.asked import within
from churnrisk.history.database import Transaction
from churnrisk.history.load import AllSaved, Saved, open_work, read_saved
from churnrisk.history.outcomes import read_outcomes
from churnrisk.history.totals import Sums, read_by_owner, read_totals
from churnrisk.history.wanted import NONE
from churnrisk.records import AtRisk, Run
from churnrisk.workflows.due import DEADLINE_DAYS, day_of
from churnrisk.workflows.worklist import at_risk

__all__ = ["OwnerLoad", "RunAtRisk", "Monday", "Saved", "monday"]


@dataclass(frozen=True, slots=True)
class OwnerLoad:
    """One owner's part of the latest run.

    Attributes
    ----------
    owner : str
        ``(none)`` for the accounts without one.
    red, amber, newly_red : int
        Accounts; ``newly_red`` is None at the very first run, which has none to compare with.
    value : float
        Annual value of red and amber.
    expected_loss : float
        Churn probability times annual value, added up over red and amber.
    untouched : int
        Red and amber accounts that nobody has touched since they have their colour.
    overdue : int
        Those of them whose next step should have been done by now.
    """

    owner: str
    red: int
    amber: int
    newly_red: int | None
    value: float
    expected_loss: float
    untouched: int
    overdue: int


@dataclass(frozen=True, slots=True)
class RunAtRisk:
    """What was at risk at one run.

    ``newly_red`` is None at the very first run, which has none to compare with. ``missed`` counts the accounts
    that were green then and churned; None until the outcomes are known, and for one owner alone.
    """

    as_of: datetime
    accounts: int
    red: int
    amber: int
    newly_red: int | None
    value: float
    expected_loss: float
    missed: int | None


@dataclass(frozen=True, slots=True)
class Monday:
    """Everything on the page.

    Attributes
    ----------
    load : tuple of OwnerLoad
        The largest expected loss first.
    by_segment : tuple of AtRisk
        Of the latest run.
    over_time : tuple of RunAtRisk
        Oldest first.
    saved : tuple of Saved
        Accounts reviewed as saved since ``since``, the latest first.
    """

    run: Run
    before: Run | None
    since: datetime
    load: tuple[OwnerLoad, ...]
    by_segment: tuple[AtRisk, ...]
    over_time: tuple[RunAtRisk, ...]
    saved: AllSaved

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
) -> Monday:
    """Return the state of the team's work.

    Parameters
    ----------
    days : int
        How far back saved accounts are listed.
    most_runs : int
        How many of the latest live runs are shown over time.
    scope : str, optional
        The owner that the asker is limited to.
    deadlines : mapping of str to int, optional
        Days that each play leaves; see :func:`churnrisk.workflows.plays.deadlines_of`.

    Raises
    ------
    UsageError
        If nothing has been published.
    """
    # to the day, since everything that this counts begins or ends with a day
    today = day_of(now)
    play_days = dict(deadlines or {})
    with store.database.reading() as connection:

        def read() -> Monday:
            return _read(connection, today, days, most_runs, scope, play_days)

        if store.memory is None:
            return read()
        question = ("monday", today, days, most_runs, scope, *play_days.items())
        return store.memory.get(connection, question, read)


def _read(
    connection: Transaction,
    today: datetime,
    days: int,
    most_runs: int,
    scope: str | None,
    play_days: Mapping[str, int],
) -> Monday:
    every_run = read_outcomes(connection)
    if not every_run:
        raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
    found, first = every_run[:most_runs], every_run[-1][0]
    run, since = found[0][0], today - timedelta(days=days)
    owners = None if scope is None else within(connection, run, scope)
    sums = read_totals(connection, [one.run_id for one, _ in found], owners=owners)
    by_owner = read_by_owner(connection, run.run_id, owners=owners)
    work = open_work(
        connection, run, owners=owners, deadline_days=DEADLINE_DAYS, play_days=play_days, now=today
    )
    missed = {
        one.run_id: one.churned
        for _, outcomes in found
        for one in outcomes
        if one.colour == "green" and scope is None
    }
    return Monday(
        run=run,
        before=found[1][0] if len(found) > 1 else None,
        since=since,
        load=_load(by_owner, work, is_first=run == first),
        by_segment=at_risk([one for one in sums if one.run_id == run.run_id], "segment"),
        over_time=tuple(
            _at_run(one, sums, is_first=one == first, missed=missed.get(one.run_id))
            for one, _ in reversed(found)
        ),
        saved=read_saved(connection, since=since, owners=owners),
    )


def _load(
    sums: Sequence[Sums], work: dict[str | None, tuple[int, int]], *, is_first: bool
) -> tuple[OwnerLoad, ...]:
    load = []
    for owner in {one.owner for one in sums if one.colour in DEADLINE_DAYS}:
        mine = {one.colour: one for one in sums if one.owner == owner and one.colour in DEADLINE_DAYS}
        untouched, overdue = work.get(owner, (0, 0))
        load.append(
            OwnerLoad(
                owner or NONE,
                red=mine["red"].accounts if "red" in mine else 0,
                amber=mine["amber"].accounts if "amber" in mine else 0,
                newly_red=None if is_first else mine["red"].newly if "red" in mine else 0,
                value=sum(one.annual_value for one in mine.values()),
                expected_loss=sum(one.expected_loss for one in mine.values()),
                untouched=untouched,
                overdue=overdue,
            )
        )
    return tuple(sorted(load, key=lambda one: (-one.expected_loss, -one.red, one.owner)))


def _at_run(run: Run, sums: Sequence[Sums], *, is_first: bool, missed: int | None) -> RunAtRisk:
    mine = [one for one in sums if one.run_id == run.run_id]
    risky = [one for one in mine if one.colour in DEADLINE_DAYS]
    return RunAtRisk(
        run.as_of,
        accounts=sum(one.accounts for one in mine if one.colour != "grey"),
        red=sum(one.accounts for one in risky if one.colour == "red"),
        amber=sum(one.accounts for one in risky if one.colour == "amber"),
        newly_red=None if is_first else sum(one.newly for one in risky if one.colour == "red"),
        value=sum(one.annual_value for one in risky),
        expected_loss=sum(one.expected_loss for one in risky),
        missed=missed,
    )
