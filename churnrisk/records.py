"""Frozen records that cross layers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Colour(StrEnum):
    """The traffic light; grey means "not enough data" and is never a judgement."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    GREY = "grey"


class DecidedBy(StrEnum):
    """Which part had the last word on a colour."""

    MODEL = "model"
    RULE = "rule"
    OVERRIDE = "override"
    HYSTERESIS = "hysteresis"
    ELIGIBILITY = "eligibility"


class Role(StrEnum):
    """What a person or a program may do; each role may do everything that those before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Whether this role may do what another one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """A person with access to the pages.

    Attributes
    ----------
    name : str
        The sign-in name, lower case.
    owner : str or None
        As which owner of accounts the person stands in the tables.
    own_only : bool
        True limits the person to the accounts of ``owner``.
    """

    user_id: int
    name: str
    display_name: str
    role: Role
    owner: str | None = None
    own_only: bool = False
    email: str | None = None
    disabled: bool = False

    @property
    def scope(self) -> str | None:
        """The owner whose accounts are all that the person may see; None for everything."""
        return self.owner if self.own_only else None


Family = Literal[
    "recency", "breadth", "complaints", "satisfaction", "value", "relationship", "attributes", "own"
]


@dataclass(frozen=True, slots=True)
class Feature:
    """One signal, declared once: query, constraint, reason text, docs and signature all come from here.

    Attributes
    ----------
    name : str
        Column name; carries the unit or the window.
    family : str
        One of :data:`Family`.
    unit : str
        What one unit of the value is ("days", "events", "share" …).
    sql : str
        Expression over the blocks of :mod:`churnrisk.features` at one (account, as_of).
    label : str
        A noun phrase for people, without the value: "days since last event".
    why : str
        The reason sentence; ``{value}`` is formatted in. With a direction (``monotone``) it may take sides
        ("only 2 people active") and is used on the churn side alone; without one it states the value.
    monotone : int
        +1 when a higher value can only raise the churn probability, -1 the other way, 0 when unknown.
    requires : tuple of str
        Tables and columns it needs, as "table" or "table.column"; absent ones drop the feature.
    categorical : bool
        True when the value is a name and not a number.
    why_missing : str
        The reason sentence when there is no value.
    """

    name: str
    family: Family
    unit: str
    sql: str
    label: str
    why: str
    monotone: int = 0
    requires: tuple[str, ...] = ()
    categorical: bool = False
    why_missing: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of the contract, with how often, where, and the mend."""

    table: str
    column: str
    rule: str
    level: Literal["error", "warn"]
    count: int
    examples: tuple[str, ...]
    mend: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one account has the probability it has, one feature's share of it.

    Attributes
    ----------
    feature, family, text : str
        Which signal, and the sentence for people.
    value : float or str or None
        The account's value at the as-of date; None when unknown.
    contribution : float
        Log-odds added to the average account's log-odds; positive speaks for churn.
    usual_low, usual_high : float or None
        The middle 80 % of retained accounts: its peers, or all of them.
    previous : float or str or None
        The value at the account's last published snapshot.
    peers : str
        Which peers, like "in segment Enterprise"; empty when all retained accounts are pooled.
    """

    feature: str
    family: str
    text: str
    value: float | str | None
    contribution: float
    usual_low: float | None = None
    usual_high: float | None = None
    previous: float | str | None = None
    peers: str = ""

    @property
    def comparison(self) -> str:
        """``retained customers in segment Enterprise: 7 to 287``; empty where nothing is known of them."""
        if self.usual_low is None or self.usual_high is None:
            return ""
        who = f"retained customers {self.peers}".strip()
        return f"{who}: {self.usual_low:.4g} to {self.usual_high:.4g}"


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ColourEvidence:
    """What happened to the accounts of one final colour on a later block.

    Attributes
    ----------
    accounts, churned : int
        Accounts with a row of this colour, and those of them with a churned one.
    churn_rate : float
        Churn rate per account and snapshot: churned rows per row. With several snapshots it is lower than
        churned by accounts. NaN where nothing was counted.
    churn_low, churn_high : float
        Its 95 % bounds, from counts of accounts: exact (Clopper-Pearson) with one row per account.
    promise : str
        In words; empty when there is none.
    kept : bool or None
        None when there is no promise or the counts cannot tell.
    rows : int
        (account, as_of) rows of this colour.
    """

    colour: Colour
    accounts: int
    churned: int
    churn_rate: float
    churn_low: float
    churn_high: float
    promise: str = ""
    kept: bool | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One published scoring run."""

    run_id: int
    run_key: str
    as_of: datetime
    published_at: datetime
    model_version: str
    policy_version: str
    inputs_digest: str
    accounts: int
    red: int
    amber: int
    green: int
    grey: int
    forced_by: str | None = None


@dataclass(frozen=True, slots=True)
class MovePart:
    """One part of why a score moved between two runs.

    Attributes
    ----------
    kind : str
        "behaviour" (one signal, or the others together when ``feature`` is None), "freshness" (rows that came
        late changed the snapshot of the run before), "model" (a new model version), "model and data" (the two
        where they cannot be told apart), "undivided" (where the snapshot of the run before cannot be computed
        any more), "remainder" (what the model's contributions leave unexplained).
    log_odds : float
        What it added to the log-odds of churn.
    text : str
        In words, to follow a number: "no activity for 40 days (was 12 days)".
    feature : str or None
        The signal.
    """

    kind: str
    log_odds: float
    text: str
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Why an account's score or colour is another one than at the run before.

    Attributes
    ----------
    since : datetime
        As-of date of the run before.
    previous_colour : Colour
        The colour it had there.
    because : str or None
        What changed the colour: "score", "policy" (thresholds or rules as such), "rule", "override",
        "hysteresis" or "eligibility"; None when the colour is the same.
    log_odds : float or None
        The change in log-odds, which the parts sum to; None when one of the runs has no probability.
    parts : tuple of MovePart
        Largest signals first, then everything that is no behaviour.
    """

    since: datetime
    previous_colour: Colour
    because: str | None
    log_odds: float | None
    parts: tuple[MovePart, ...] = ()

    @property
    def text(self) -> str:
        """``+1.2 no activity for 40 days (was 12 days), -0.3 new model version``; parts under 0.05 left out."""
        shown = [part for part in self.parts if abs(part.log_odds) >= 0.05]
        ordered = sorted(shown, key=lambda part: -abs(part.log_odds))
        return ", ".join(f"{part.log_odds:+.1f} {part.text}" for part in ordered)


@dataclass(frozen=True, slots=True)
class ChangedSignal:
    """A signal that a turnaround is about, with its value now and afterwards; None when there is none."""

    feature: str
    label: str
    now: float | None
    then: float | None


@dataclass(frozen=True, slots=True)
class Turnaround:
    """The smallest realistic change by which the model and the rules would give an account a better colour.

    It says what the next scoring would make of other signals, all else as it is; not that they cause anything.

    Attributes
    ----------
    colour : Colour or None
        What the account would become, before hysteresis and overrides; None when no such change was found.
    levers : tuple of str
        Names of one or two levers (see :mod:`churnrisk.features.levers`); none when the model and the rules
        say the better colour already.
    steps : tuple of str
        The same in words: "resolve the open complaint".
    probability : float or None
        The churn probability afterwards.
    changes : tuple of ChangedSignal
    """

    colour: Colour | None
    levers: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    probability: float | None = None
    changes: tuple[ChangedSignal, ...] = ()

    @property
    def text(self) -> str:
        """One sentence for people, which promises no cause."""
        if self.colour is None:
            return "No single or double step within the team's reach would give a better colour at the next scoring."
        if not self.steps:
            return f"No further step: model and rules say {self.colour} already; the colour follows unless it is held."
        steps = " and ".join(self.steps)
        after = "" if self.probability is None else f" (churn {self.probability:.1%})"
        return (
            f"{steps[:1].upper()}{steps[1:]}: by the model and the rules, the next scoring would then say "
            f"{self.colour}{after}, all else equal. No promise of cause."
        )


class Disposition(StrEnum):
    """What the team has found out about an account."""

    CONTACTED = "contacted"
    SAVED = "saved"
    FALSE_ALARM = "false_alarm"
    CHURNED = "churned"
    SNOOZED = "snoozed"


@dataclass(frozen=True, slots=True)
class DeskState:
    """What the team has on record for one account; no scoring run changes it.

    Attributes
    ----------
    version : int
        Grows with every change, undos included; 0 for an account that nobody has touched. A change names
        the version it was made on.
    disposition : Disposition or None
        None also when a snooze has ended by itself; ``snoozed_until`` then lies in the past.
    note : str or None
        The latest one; all of them are in the audit trail.
    touched_at, touched_by, touched_what : datetime, str and str, or None
        The last change that has not been undone, in words such as "contacted" or "snoozed until 2026-12-01".
    """

    version: int = 0
    disposition: Disposition | None = None
    snoozed_until: datetime | None = None
    snooze_reason: str | None = None
    assignee: str | None = None
    note: str | None = None
    touched_at: datetime | None = None
    touched_by: str | None = None
    touched_what: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One field of one account that a person changed; entries of one change share their ``review_id``.

    Attributes
    ----------
    field : str
        "disposition", "snoozed_until", "snooze_reason", "assignee", "note" or "override".
    before, after : str or None
        As people read them; None for nothing.
    via : str
        "web", "api" or "cli".
    version : int
        The account's version after it.
    undoes, undone_by : int or None
        The review that this one takes back, and the one that took this back.
    """

    audit_id: int
    review_id: int
    at: datetime
    author: str
    via: str
    account_id: str
    field: str
    before: str | None
    after: str | None
    version: int
    undoes: int | None = None
    undone_by: int | None = None


@dataclass(frozen=True, slots=True)
class RedListRow:
    """One line of the red list: who, how serious, why, and what to do next."""

    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    colour: Colour
    previous_colour: Colour | None
    decided_by: DecidedBy
    churn_probability: float
    previous_probability: float | None
    annual_value: float | None
    expected_loss: float | None
    renewal_at: datetime | None
    days_to_renewal: int | None
    days_in_colour: int
    rule: str | None
    reasons: tuple[Reason, ...]
    next_step: str
    moved: Move | None = None
    turnaround: Turnaround | None = None
    play: str | None = None
    desk: DeskState = DeskState()

    @property
    def arrow(self) -> str:
        """``↑`` riskier than at the last run, ``↓`` safer, ``→`` the same, ``•`` new or grey."""
        if self.previous_colour is None:
            return "•"
        if Colour.GREY in (self.colour, self.previous_colour):
            return "•"  # grey is no judgement, so leaving it or falling into it is no step
        order = {Colour.GREEN: 0, Colour.AMBER: 1, Colour.RED: 2}
        step = order[self.colour] - order[self.previous_colour]
        return "↑" if step > 0 else "↓" if step < 0 else "→"


@dataclass(frozen=True, slots=True)
class Total:
    """A figure at the top of the red list with its value at the run before; None when there was none."""

    label: str
    value: float
    previous: float | None = None


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Red and amber accounts of one group (a segment, a renewal quarter, an owner) and what they are worth.

    ``key`` is what the filter of the red list takes for the group: "2026-Q3", a segment, "(none)".
    """

    key: str
    red: int
    amber: int
    red_value: float
    amber_value: float
    expected_loss: float

    @property
    def value(self) -> float:
        """Annual value of both colours."""
        return self.red_value + self.amber_value


@dataclass(frozen=True, slots=True)
class RedList:
    """The totals of a run and its rows, worst expected loss first.

    Attributes
    ----------
    totals : tuple of Total
        Of the whole run, or of the owner that the list is limited to.
    rows : tuple of RedListRow
        One page of the rows that match.
    matching : int
        Rows on all pages; 0 where nobody counted.
    page, per_page : int
        Which page this is, from 1, and how long pages are.
    by_segment, by_quarter : tuple of AtRisk
        What ``totals`` count, by segment (largest value first) and renewal quarter (in order of time).
    owners, segments, families : tuple of str
        What the filters may name.
    snoozed, churned : int
        Accounts of the chosen colours and owner that the desk keeps off the list.
    """

    run: Run
    previous_run: Run | None
    totals: tuple[Total, ...]
    rows: tuple[RedListRow, ...]
    matching: int = 0
    page: int = 1
    per_page: int = 0
    by_segment: tuple[AtRisk, ...] = ()
    by_quarter: tuple[AtRisk, ...] = ()
    owners: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    snoozed: int = 0
    churned: int = 0

    @property
    def previous(self) -> int | None:
        """The page before, None on the first."""
        return self.page - 1 if self.page > 1 else None

    @property
    def next(self) -> int | None:
        """The page after, None on the last."""
        return self.page + 1 if self.page * self.per_page < self.matching else None
