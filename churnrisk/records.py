"""Frozen records that cross layers, and the one query of the red list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from churnrisk.errors import UsageError


class Colour(StrEnum):
    """The traffic light; grey means "not enough data"."""

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


Family = Literal[
    "recency", "breadth", "complaints", "satisfaction", "value", "relationship", "attributes", "own"
]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature, declared once: query, constraint, reason text, docs and signature derive from it.

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
        Tables and columns it needs, as "table" or "table.column"; without one the feature is left out.
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
    """One broken rule of the contract: where, how often, and how to fix it."""

    table: str
    column: str
    rule: str
    level: Literal["error", "warn"]
    count: int
    examples: tuple[str, ...]
    fix: str


# Not frozen: a run makes hundreds of thousands, in a third of the time.
@dataclass(slots=True, unsafe_hash=True)
class Reason:
    """One feature's share in an account's churn probability.

    ``value`` is the account's at the as-of date and ``previous`` the one at the previous run; None when unknown.
    ``contribution`` is added to the average account's log-odds; a positive one speaks for churn; None where a rule
    names the reason and no model weighs it. ``usual_low`` and
    ``usual_high`` enclose the middle 80 % of retained accounts: of its ``peers``, like "in segment Enterprise", or of
    all where that is empty.
    """

    feature: str
    family: str
    text: str
    value: float | str | None
    contribution: float | None
    usual_low: float | None = None
    usual_high: float | None = None
    previous: float | str | None = None
    peers: str = ""

    @property
    def comparison(self) -> str:
        """``retained customers in segment Enterprise: 7 to 287``; empty where unknown."""
        if self.usual_low is None or self.usual_high is None:
            return ""
        who = f"retained customers {self.peers}".strip()
        return f"{who}: {self.usual_low:.4g} to {self.usual_high:.4g}"


@dataclass(slots=True, unsafe_hash=True)  # as Reason
class MovePart:
    """One part of a move between two runs, in log-odds of churn.

    ``kind`` is "behaviour" (one signal, or the others together where ``feature`` is None), "freshness" (late rows
    changed the snapshot of the previous run), "model" (a new model version), "model and data" (the two where they
    cannot be told apart), "undivided" (where the previous snapshot cannot be computed any more) or "remainder" (what
    the model's contributions leave unexplained). ``text`` follows a number: "no activity for 40 days (was 12 days)".
    """

    kind: str
    log_odds: float
    text: str
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Why an account's score or colour differs from the previous run, whose as-of date is ``since``.

    ``because`` names what changed the colour: "score", "policy" (thresholds or rules as such), "rule", "override",
    "hysteresis" or "eligibility"; None when the colour is the same. ``log_odds`` is the whole change, which the parts
    sum to; None when one of the runs has no probability. The parts begin with the largest signals.
    """

    since: datetime
    previous_colour: Colour
    because: str | None
    log_odds: float | None
    parts: tuple[MovePart, ...] = ()

    @property
    def text(self) -> str:
        """``+1.2 no activity for 40 days (was 12 days), -0.3 new model version``, without parts under 0.05."""
        shown = [part for part in self.parts if abs(part.log_odds) >= 0.05]
        ordered = sorted(shown, key=lambda part: -abs(part.log_odds))
        return ", ".join(f"{part.log_odds:+.1f} {part.text}" for part in ordered)


@dataclass(frozen=True, slots=True)
class ChangedSignal:
    """A signal that a what-if changes, with its value now and afterwards; None where unknown."""

    feature: str
    label: str
    now: float | None
    then: float | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What-if: the smallest realistic change by which model and rules would give an account a better colour.

    It says what the next scoring would make of other signals, all else equal, not that they cause anything.
    ``colour`` is the one before hysteresis and overrides; None when no such change was found. ``levers`` name one or
    two levers (see :mod:`churnrisk.features.levers`), none when model and rules say the better colour already;
    ``steps`` are the same in words, ``probability`` the churn probability afterwards.
    """

    colour: Colour | None
    levers: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    probability: float | None = None
    changes: tuple[ChangedSignal, ...] = ()

    @property
    def text(self) -> str:
        """One sentence for people."""
        if self.colour is None:
            return "No single or double step within the team's reach would give a better colour at the next scoring."
        if not self.steps:
            return f"No further step: model and rules say {self.colour} already; the colour follows unless it is held."
        steps = " and ".join(self.steps)
        after = "" if self.probability is None else f" (churn {self.probability:.1%} within the horizon)"
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
class AccountState:
    """What the team has on record for one account; no scoring run changes it.

    ``version`` grows with every change, undos included; a change names the version it was made on. ``disposition``
    is None once a snooze has ended. ``note`` is the latest; ``touched_*`` is the last change that was not undone.
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

    ``field``: "disposition", "snoozed_until", "snooze_reason", "assignee", "note" or "override". ``via``: "web",
    "api" or "cli". ``version``: of the account, after it. ``undoes`` and ``undone_by`` are reviews.
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


class Role(StrEnum):
    """What a user or a token may do; each role includes those before it."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Whether this role includes another one."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """A user of the pages: ``owner`` is the name in the customer's tables, ``own_only`` limits to those accounts."""

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
        """The owner whose accounts are all that the user may see; None for everything."""
        return self.owner if self.own_only else None


#: The model version of a run whose colours are those of the rules alone, before there is a model.
RULES_ONLY = "rules"
#: Why an account of which no rule speaks is grey there.
NO_MODEL_YET = "no model yet"


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

    @property
    def has_model(self) -> bool:
        """False: its colours are those of the rules alone, and no account has a probability."""
        return self.model_version != RULES_ONLY


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Suspect:
    """A signal that tells the outcome better than what was known before should: how, and what was done about it.

    ``left_out`` is False for a signal of the catalogue, which reads dated rows only and is therefore only named.
    ``auc`` is that of the signal alone, None where its values are too few for one.
    """

    feature: str
    why: str
    left_out: bool
    auc: Interval | None = None

    @property
    def text(self) -> str:
        """What was found, what was done and which setting decides otherwise, in one line."""
        quoted = json.dumps(self.feature, ensure_ascii=False)
        if self.left_out:
            return (
                f"{self.feature} is left out as a suspected leak: {self.why}. If its values were known before each "
                f"as-of date, vouch for it: trust = [{quoted}] under [features]"
            )
        return (
            f"{self.feature} may be a leak: {self.why}. It stays, as it reads dated rows only; if those are written "
            f"because a customer leaves, leave it out: exclude = [{quoted}] under [features]"
        )


@dataclass(frozen=True, slots=True)
class ColourEvidence:
    """What happened to the accounts of one final colour on a later block.

    ``rows`` are (account_id, as_of) pairs of this colour, ``churned_rows`` those that churned; ``accounts`` have such a
    row, ``churned`` such a churned one. ``churn_rate`` is churned rows per row, NaN without any, with exact
    (Clopper-Pearson) 95 % bounds from counts of accounts. ``share`` is that of all rows, ``recall`` that of all churned
    rows. ``promise`` is in words; ``kept`` is None without a promise, or when the counts cannot tell.
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
    churned_rows: int = 0
    share: float = float("nan")
    recall: float = float("nan")


class Place(StrEnum):
    """Where a red or amber account stands between two runs, given how many the team can review.

    The first ``capacity`` accounts are work: red first, then by expected loss, then by probability. Red ones after
    them are beyond capacity, amber ones on watch. Handled accounts were contacted, saved or found a false alarm before
    the run and have had their colour since; like snoozed and churned ones, which have no place, they take none of the
    capacity. What is handled after the run keeps its place until the next run.
    """

    WORK = "work"
    BEYOND = "beyond"
    WATCH = "watch"
    HANDLED = "handled"


@dataclass(frozen=True, slots=True)
class Places:
    """How many accounts have each :class:`Place`; ``capacity`` is the whole team's."""

    capacity: int
    work: int
    beyond: int
    watch: int
    handled: int


@dataclass(frozen=True, slots=True)
class RedListRow:
    """One account on the red list; ``rank`` counts from 1 and only work has one."""

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
    move: Move | None = None
    turnaround: WhatIf | None = None
    play: str | None = None
    state: AccountState = field(default_factory=AccountState)
    place: Place | None = None
    rank: int | None = None

    @property
    def arrow(self) -> str:
        """``↑`` riskier than at the last run, ``↓`` safer, ``→`` the same, ``•`` new or grey."""
        # grey is no judgement
        if self.previous_colour is None or Colour.GREY in (self.colour, self.previous_colour):
            return "•"
        order = {Colour.GREEN: 0, Colour.AMBER: 1, Colour.RED: 2}
        step = order[self.colour] - order[self.previous_colour]
        return "↑" if step > 0 else "↓" if step < 0 else "→"


@dataclass(frozen=True, slots=True)
class Total:
    """A figure at the top of the red list, with its value at the last run if there was one."""

    label: str
    value: float
    previous: float | None = None


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Red and amber accounts of one segment or renewal quarter; ``key`` is how the query names it."""

    key: str
    red: int
    amber: int
    red_value: float
    amber_value: float
    expected_loss: float

    @property
    def value(self) -> float:
        """Annual value of red and amber."""
        return self.red_value + self.amber_value

    def amounts(self, *, in_money: bool) -> tuple[float, float]:
        """Return what is red and what is amber: annual values or numbers of accounts."""
        return (self.red_value, self.amber_value) if in_money else (float(self.red), float(self.amber))


@dataclass(frozen=True, slots=True)
class RedList:
    """One page of the red list of a run, worst expected loss first unless the query says otherwise.

    ``totals``, ``places`` and groups cover the whole run or the query's owner; ``matching`` counts the rows of all
    pages. ``places`` is None without a capacity.
    ``owners``, ``segments`` and ``families`` are what a query may name; ``snoozed`` and ``churned`` count accounts
    of the chosen colours and owner that are not listed.
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
    places: Places | None = None

    @property
    def previous(self) -> int | None:
        """The previous page, None on the first."""
        return self.page - 1 if self.page > 1 else None

    @property
    def next(self) -> int | None:
        """The next page, None on the last."""
        return self.page + 1 if self.page * self.per_page < self.matching else None


Sort = Literal["loss", "probability", "renewal", "days", "name"]
Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_OptionalText = Annotated[Text | None, AfterValidator(lambda text: text or None)]

#: Names the accounts without an owner, segment, assignee or renewal date, or that nobody has reviewed.
NONE = "(none)"
FAMILIES: tuple[str, ...] = get_args(Family)
#: Parameters of an address that are not called like their field.
_PARAMETERS = {"colours": "colour", "renews_within_days": "renews_within", "family": "reason", "search": "q"}


class RedListParameters(BaseModel):
    """Which rows to list, in which order; an empty field restricts nothing. Names match in any case."""

    model_config = ConfigDict(
        frozen=True, alias_generator=lambda name: _PARAMETERS.get(name, name), validate_by_name=True
    )

    colours: tuple[Colour, ...] = Field((Colour.RED, Colour.AMBER), min_length=1, max_length=4)
    owner: _OptionalText = Field(None, description=f"{NONE} for accounts without one.")
    segment: _OptionalText = Field(None, description=f"{NONE} for accounts without one.")
    place: Place | None = Field(
        None,
        description="Work of this run, red beyond the capacity, amber on watch, or handled before the run.",
    )
    newly_red: bool = Field(False, description="Only accounts that are red and were not at the last run.")
    assignee: _OptionalText = Field(None, description=f"{NONE} for accounts that nobody is assigned to.")
    renews_within_days: int | None = Field(None, ge=0, le=3660, description="Days from the run on.")
    quarter: str | None = Field(
        None,
        pattern=r"^(\(none\)|(19|20)[0-9]{2}-Q[1-4])$",
        description=f"Of the renewal, such as 2026-Q3; {NONE} for accounts without a renewal date.",
    )
    family: Family | None = Field(None, description="Family of the main reason.")
    snoozed: Literal["hide", "only", "all"] = Field("hide", description="What to do with snoozed accounts.")
    disposition: Disposition | Literal["(none)"] | None = Field(
        None,
        description=f"{NONE} for accounts without one; churned accounts are listed only when named here.",
    )
    search: _OptionalText = Field(None, description="Part of the name or id.")
    sort: Sort = Field(
        "loss",
        description="By expected loss (red first), probability, nearest renewal, longest in its colour, or name.",
    )


class RedListQuery(RedListParameters):
    """The parameters with what never comes from an address.

    ``scope`` is the one owner whose accounts the user may see, ``capacity`` how many accounts the team can review
    between two runs; without it no account has a place.
    """

    scope: str | None = None
    capacity: int | None = None

    @classmethod
    def from_query(
        cls,
        query: Mapping[str, str] | Iterable[tuple[str, str]],
        *,
        scope: str | None = None,
        capacity: int | None = None,
    ) -> Self:
        """Parse the parameters of an address; unknown and empty ones are ignored.

        A colour may be repeated, or several separated by commas. Raises UsageError on an invalid value.
        """
        pairs = list(query.items() if isinstance(query, Mapping) else query)
        given: dict[str, Any] = {key: clean(value) for key, value in pairs if clean(value)}
        colours = [part.strip() for key, value in pairs if key == "colour" for part in value.split(",")]
        given["colour"] = tuple(dict.fromkeys(colour for colour in colours if colour))
        known = {field.alias for field in RedListParameters.model_fields.values()}
        try:
            fields = {key: value for key, value in given.items() if key in known and value}
            return cls(**fields, scope=scope, capacity=capacity)
        except ValidationError as error:
            first = error.errors()[0]
            # "Input should be 'hide', 'only' or 'all'": the parameter is the better subject
            _, _, expected = first["msg"].partition(" ")
            raise UsageError(f"{first['loc'][0]} {expected}, found {str(first['input'])[:60]!r}.") from None

    def to_query(self) -> dict[str, str]:
        """Return the parameters that :meth:`from_query` parses back; defaults are left out."""
        shown = self.model_dump(by_alias=True, exclude_defaults=True, exclude={"scope", "capacity"})
        shown |= {name: ",".join(value) for name, value in shown.items() if isinstance(value, tuple)}
        return {name: "1" if value is True else str(value) for name, value in shown.items()}


def clean(text: str) -> str:
    """Return typed text without surrounding space and without what no database stores."""
    return text.encode("utf-8", errors="replace").decode().replace("\0", "").strip()
