"""One account with its history, what the team did about it, by when the next step is due, and its time to churn."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Self

from pydantic import Field

from churnrisk.errors import NotFoundError, UsageError
from churnrisk.present import AccountRow, Instant, Number, RecordShape
from churnrisk.records import AccountState, AuditEntry, Colour, DecidedBy, RedListRow, Run
from churnrisk.settings import Project
from churnrisk.store import (
    HistoryStore,
    OpenWork,
    is_within,
    light_notes,
    no_account,
    open_work,
    read_actions,
    read_changes,
    read_history,
    read_outlook,
    read_overrides,
    read_queue,
    read_row,
)

#: Days from the beginning of a colour until something should have been done, where no play says otherwise.
DEADLINE_DAYS: Mapping[str, int] = {"red": 2, "amber": 7}


class PastScore(RecordShape):
    """The account at one published run."""

    as_of: Instant
    model_version: str
    colour: Colour
    decided_by: DecidedBy
    rule: str | None
    churn_probability: Number


class PastOverride(RecordShape):
    """A colour that somebody set; ``in_force`` is False once it has expired, ended or been replaced."""

    override_id: int
    colour: Colour
    author: str
    reason: str
    created_at: Instant
    expires_at: Instant
    ended_at: Instant | None
    in_force: bool


class FieldChange(RecordShape):
    """One field of an account that somebody changed."""

    review_id: int
    at: Instant
    author: str
    via: str = Field(examples=["web"])
    field: str = Field(examples=["disposition"])
    before: str | None
    after: str | None
    version: int = Field(description="The account's version after it.")
    undone_by: int | None = Field(description="The review that took it back.")


class PastAction(RecordShape):
    """An action handed out for the account."""

    play: str
    reason: str
    channel: str
    handed_out_at: Instant
    due_at: Instant


@dataclass(frozen=True, slots=True)
class Outlook:
    """Time to churn of an account as of its run; see :func:`churnrisk.training.outlook`.

    ``renewal_at``, and chance and expected loss by then, are None without a renewal ahead; ``half_lost_days`` where
    half of such accounts are not gone within ``outlook_days``.
    """

    as_of: datetime
    renewal_at: datetime | None
    lost_by_renewal: float | None
    loss_by_renewal: float | None
    half_lost_days: float | None
    lost_by_end: float
    expected_days: float
    outlook_days: int

    @classmethod
    def of(cls, row: RedListRow, as_of: datetime, stored: Mapping[str, float | None]) -> Self | None:
        """Return the outlook as stored with the score; None without one."""
        lost, end, expected = (stored[name] for name in ("lost_by_renewal", "lost_by_end", "expected_days"))
        if end is None or expected is None:
            return None
        return cls(
            as_of=as_of,
            renewal_at=None if lost is None else row.renewal_at,
            lost_by_renewal=lost,
            loss_by_renewal=None if lost is None or row.annual_value is None else lost * row.annual_value,
            half_lost_days=stored["half_lost_days"],
            lost_by_end=end,
            expected_days=expected,
            outlook_days=int(stored["outlook_days"] or 0),
        )

    @property
    def text(self) -> str:
        """One sentence for people."""
        if self.lost_by_renewal is None or self.renewal_at is None:
            when = f"about {self.lost_by_end:.0%} to be lost within {self.outlook_days} days"
        else:
            loss = self.loss_by_renewal
            cost = "" if loss is None else f" (an expected loss of {loss:,.0f} a year)"
            when = f"about {self.lost_by_renewal:.0%} to be lost by the renewal on {self.renewal_at:%Y-%m-%d}{cost}"
        if self.half_lost_days is None:
            return f"{when}; more than half of such accounts are still there after {self.outlook_days} days"
        return f"{when}; half of such accounts are gone within {max(1, round(self.half_lost_days))} days"


@dataclass(frozen=True)
class AccountView:
    """What is known of one account at ``run``, the latest that holds it.

    ``history`` is oldest first, the latest run included; ``trail``, ``overrides`` and ``actions`` are newest first.
    ``overdue``: due, and nobody has touched it since it has its colour. ``outlook`` is None without a probability or a
    time to churn. ``light_notes`` say which colours no account can have, and why.
    """

    row: RedListRow
    run: Run
    stage: str | None
    history: tuple[PastScore, ...]
    due_at: datetime | None
    overdue: bool
    trail: tuple[AuditEntry, ...]
    overrides: tuple[PastOverride, ...]
    actions: tuple[PastAction, ...]
    outlook: Outlook | None = None
    light_notes: tuple[str, ...] = ()

    @property
    def state(self) -> AccountState:
        """What the team has on record."""
        return self.row.state

    @property
    def latest(self) -> PastScore:
        """The account at the latest run."""
        return self.history[-1]


class FullAccount(AccountRow):
    """One account with its history and what people did about it, the same in JSON and API."""

    as_of: Instant
    stage: str | None
    due_at: Instant | None = Field(description="By when the next step should be done.")
    overdue: bool
    history: list[PastScore] = Field(description="Oldest first.")
    overrides: list[PastOverride] = Field(description="The newest first.")
    changes: list[FieldChange] = Field(description="The newest first.")
    actions: list[PastAction] = Field(description="The newest first.")

    @classmethod
    def of_view(cls, view: AccountView) -> Self:
        """Return the shape of an account."""
        row = AccountRow.of(view.row)
        more = {name: getattr(view, name) for name in ("stage", "due_at", "overdue", "history", "overrides")}
        more |= {"as_of": view.run.as_of, "changes": view.trail, "actions": view.actions}
        return cls.model_validate(dict(row) | more, from_attributes=True)


def account_view(project: Project, account_id: str, *, now: datetime) -> AccountView:
    """Return an account of a project; the UsageError for an unknown one names similar ids."""
    with HistoryStore(project.store_url) as store:
        return find_account(store, account_id, now=now, capacity=project.decision.capacity)


def find_account(
    store: HistoryStore, account_id: str, *, now: datetime, capacity: int | None = None
) -> AccountView:
    """Return an account; the UsageError for an unknown one names similar ids."""
    try:
        return view_account(store, account_id, now=now, capacity=capacity)
    except NotFoundError:
        latest = store.latest_run()
    if latest is None:
        raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
    known = store.scores(latest.run_id, columns=["account_id"])["account_id"].tolist()
    close = difflib.get_close_matches(account_id, known, n=3) or known[:3]
    raise NotFoundError(
        f"no published run holds account {account_id!r}; there are for example {', '.join(close)}."
    )


def view_account(
    store: HistoryStore,
    account_id: str,
    *,
    now: datetime,
    scope: str | None = None,
    deadlines: Mapping[str, int] | None = None,
    capacity: int | None = None,
) -> AccountView:
    """Return an account; NotFoundError if no published run holds it, or it is outside the scope (an owner).

    ``deadlines``: days that each play leaves. Without ``capacity`` (accounts between two runs) it has no place.
    """
    days = deadlines or {}
    with store.database.reading() as connection:
        history = read_history(connection, account_id)
        if not history or not is_within(history[-1].owner, scope):
            raise no_account(account_id)
        run, previous_run = store.runs_around(connection, history[-1].run_id)
        queue = read_queue(store, connection, run, capacity=capacity, now=now)
        row, stage, since = read_row(connection, run, previous_run, account_id, now=now, queue=queue)
        work = open_work(connection, run, now=day_of(now), account_id=account_id)
        trail = read_changes(connection, account_id)
        overrides = read_overrides(connection, account_id)
        actions = [PastAction(**row) for row in read_actions(connection, account_id)]
        outlook = Outlook.of(row, run.as_of, read_outlook(connection, run.run_id, account_id))
        notes = light_notes(connection, run.run_id)
    handed_due_at = next((action.due_at for action in actions if action.handed_out_at >= since), None)
    return AccountView(
        row=row,
        run=run,
        stage=stage,
        history=tuple(PastScore(**past._asdict(), churn_probability=past.probability) for past in history),
        due_at=due_date(row.colour, row.play, since, handed_due_at, days),
        overdue=any(is_overdue(part, days, now) for part in work),
        trail=trail,
        overrides=tuple(_overrides(overrides, now)),
        actions=tuple(actions),
        outlook=outlook,
        light_notes=tuple(notes.values()),
    )


def _overrides(rows: list[Mapping[Any, Any]], now: datetime) -> list[PastOverride]:
    open_ones = [row["override_id"] for row in rows if row["ended_at"] is None and row["expires_at"] > now]
    return [PastOverride(**row, in_force=row["override_id"] in open_ones[:1]) for row in rows]


def due_date(
    colour: str,
    play: str | None,
    colour_since: datetime,
    handed_due_at: datetime | None,
    deadlines: Mapping[str, int],
) -> datetime | None:
    """Return by when something is due: by the action handed out for this colour, else by the play or the colour."""
    if handed_due_at is not None:
        return handed_due_at
    if colour not in DEADLINE_DAYS:
        return None
    return colour_since + timedelta(days=deadlines.get(play or "", DEADLINE_DAYS[colour]))


def is_overdue(work: OpenWork, deadlines: Mapping[str, int], now: datetime) -> bool:
    """Whether open work should have been done; what is due on a day is overdue from the next day on."""
    due = due_date(work.colour, work.play, work.colour_since, work.handed_due_at, deadlines)
    return due is not None and due < day_of(now)


def day_of(now: datetime) -> datetime:
    """Return the beginning of a day."""
    return datetime.combine(now.date(), time())
