"""Reviews and overrides by people, and what became of the accounts they were about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.records import Disposition, clean
from churnrisk.settings import Project
from churnrisk.snapshots import ChurnConfig, outcomes
from churnrisk.store import (
    ConflictError,
    HistoryStore,
    NewOverride,
    OverrideChange,
    Reviewed,
    add_review,
    all_overrides,
    end_override,
    reviews_with,
    trail,
    undo,
)
from churnrisk.team.account import find_account
from churnrisk.training import Progress, checked_tables

__all__ = ["Change", "ConflictError", "Reviewed", "Via", "OPEN", "END", "review", "undo", "trail"]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")
Via = Literal["web", "api", "cli"]
#: The disposition that clears any other; the override that ends the one in force.
OPEN, END = "open", "end"
_MOST_ACCOUNTS = 1_000
_LONGEST = {"note": 10_000, "reason": 1_000, "assignee": 200}
_COLOURS = ("green", "amber", "red")
_AT_RISK = ("amber", "red")


@dataclass(frozen=True, slots=True)
class Change:
    """What a person wants to change of an account; None leaves a field as it is.

    ``disposition`` is a :class:`Disposition` or :data:`OPEN`, ``override`` a colour or :data:`END`. Snooze
    and override need ``until``, the day on whose beginning they end, and a ``reason``. An empty ``assignee`` is nobody.
    """

    disposition: str | None = None
    override: str | None = None
    until: date | None = None
    reason: str | None = None
    note: str | None = None
    assignee: str | None = None

    def __post_init__(self) -> None:
        for name, longest in _LONGEST.items():
            if len(getattr(self, name) or "") > longest:
                raise UsageError(f"the {name} has more than {longest:,} characters. Shorten it.")
            if getattr(self, name) is not None:
                object.__setattr__(self, name, clean(getattr(self, name)))
        self._check_names()
        self._check_end()
        if self.disposition is None and self.override is None and self.assignee is None and not self.note:
            raise UsageError(
                "a review expects a disposition, a note, an assignee or an override, found none."
            )

    @property
    def is_snooze(self) -> bool:
        """Whether the account is snoozed."""
        return self.disposition == Disposition.SNOOZED

    @property
    def sets_colour(self) -> bool:
        """Whether it sets an override, rather than ends one."""
        return self.override not in (None, END)

    def _check_names(self) -> None:
        if self.disposition is not None and self.disposition not in (*Disposition, OPEN):
            known = ", ".join((*Disposition, OPEN))
            raise UsageError(f"a disposition is one of {known}; found {self.disposition!r}.")
        if self.override is not None and self.override not in (*_COLOURS, END):
            raise UsageError(f"an override expects green, amber, red or {END}, found {self.override!r}.")
        if self.is_snooze and self.sets_colour:
            raise UsageError("snooze and override have an end and a reason each. Record one after the other.")

    def _check_end(self) -> None:
        if self.is_snooze or self.sets_colour:
            what = "a snooze" if self.is_snooze else "an override"
            if self.until is None or not self.reason:
                raise UsageError(f"{what} expects an end date and a reason. Give both.")
        elif self.until is not None or self.reason:
            raise UsageError(
                "an end date and a reason belong to a snooze or an override. Say which one it is."
            )


def review(
    store: HistoryStore,
    accounts: Mapping[str, int | None],
    change: Change,
    *,
    author: str,
    via: Via,
    now: datetime,
    scope: str | None = None,
    dry_run: bool = False,
) -> Reviewed:
    """Record one change of several accounts (id to the version that the person saw; None takes any), all or none.

    NotFoundError for an account outside every run or the scope, ConflictError if one was changed in the meantime.
    """
    if not accounts or len(accounts) > _MOST_ACCOUNTS:
        raise UsageError(
            f"a review expects 1 to {_MOST_ACCOUNTS:,} accounts, found {len(accounts)}. Choose some."
        )
    if not author.strip():
        raise UsageError("a review expects an author, found none. Say who decides.")
    ends_at = None if change.until is None else datetime.combine(change.until, time())
    if ends_at is not None and ends_at <= now:
        raise UsageError(f"the end date {change.until} has passed. Choose a later day.")
    return add_review(
        store,
        accounts,
        _fields(change, ends_at),
        _override(change, ends_at),
        author=author,
        via=via,
        now=now,
        what=_in_words(change),
        scope=scope,
        dry_run=dry_run,
    )


def _fields(change: Change, ends_at: datetime | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if change.disposition is not None:
        fields["disposition"] = None if change.disposition == OPEN else str(change.disposition)
        fields["snoozed_until"] = ends_at if change.is_snooze else None
        fields["snooze_reason"] = change.reason if change.is_snooze else None
    if change.assignee is not None:
        fields["assignee"] = change.assignee or None
    if change.note:
        fields["note"] = change.note
    return fields


def _override(change: Change, ends_at: datetime | None) -> OverrideChange | None:
    if change.override is None:
        return None
    if change.override == END:
        return OverrideChange(None)
    return OverrideChange(change.override, change.reason or "", ends_at)


def _in_words(change: Change) -> str:
    said = []
    if change.disposition is not None:
        until = f" until {change.until}" if change.is_snooze else ""
        words = "reopened" if change.disposition == OPEN else change.disposition.replace("_", " ")
        said.append(words + until)
    if change.override is not None:
        set_to = f"override {change.override} until {change.until}"
        said.append("override ended" if change.override == END else set_to)
    if change.assignee is not None:
        said.append(f"assigned to {change.assignee}" if change.assignee else "assigned to nobody")
    if change.note:
        said.append("note")
    return ", ".join(said)


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
        view = find_account(store, account_id, now=now)
        reviewed = review(store, {account_id: None}, change, author=author, via="cli", now=now)
    return MadeOverride(
        reviewed.override_ids[0], account_id, view.row.name, colour, str(view.latest.colour), expires_at
    )


def finish_override(project: Project, override_id: int, *, author: str, now: datetime) -> None:
    """End an open override before it expires."""
    with HistoryStore(project.store_url) as store:
        end_override(store, override_id, author=author, via="cli", at=now)


def list_overrides(project: Project, *, now: datetime) -> tuple[Override, ...]:
    """Return all overrides with their state at an instant, the newest first."""
    with HistoryStore(project.store_url) as store:
        frame = all_overrides(store)
    return _records(Override, frame.assign(state=_states(frame, now)).iloc[::-1])


def _records(kind: type[Record], frame: pd.DataFrame) -> tuple[Record, ...]:
    """Return rows as records of the columns' names; missing values as None."""
    table = frame[[field.name for field in fields(kind)]].astype(object)
    rows: list[Any] = table.where(table.notna(), None).to_dict("records")
    return tuple(kind(**row) for row in rows)


def _states(frame: pd.DataFrame, now: datetime) -> pd.Series:
    moment = pd.Timestamp(now)
    ended = frame["ended_at"].notna()
    expired = ~ended & (frame["expires_at"] <= moment)
    active = ~ended & ~expired
    replaced = active & frame["account_id"].where(active).duplicated(keep="last")
    states = pd.Series("active", index=frame.index, dtype=object)
    return states.mask(replaced, "replaced").mask(expired, "expired").mask(ended, "ended")


@dataclass(frozen=True, slots=True)
class JudgedReview:
    """A review in force as saved or as a false alarm, and the outcome; ``right`` if the account stayed."""

    review_id: int
    account_id: str
    author: str
    at: datetime
    disposition: str
    churned: bool | None
    outcome: str
    right: bool | None


@dataclass(frozen=True, slots=True)
class ReviewedOverride:
    """An override, what model and rules said at the last run before it, and the outcome.

    Right is who said green of an account that stayed, or amber or red of one that churned; None while it is open.
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


def judge_reviews(project: Project, *, now: datetime, progress: Progress) -> tuple[JudgedReview, ...]:
    """Judge every review as saved or as a false alarm, the newest first."""
    with HistoryStore(project.store_url) as store:
        said = reviews_with(store, (Disposition.SAVED, Disposition.FALSE_ALARM))
    if not said:
        return ()
    judged = _with_outcomes(project, pd.DataFrame(said), "at", now=now, progress=progress)
    judged["right"] = judged["churned"].map({True: False, False: True})
    return _records(JudgedReview, judged)


def review_overrides(project: Project, *, now: datetime, progress: Progress) -> tuple[ReviewedOverride, ...]:
    """Judge every override, and the model beside it, the newest first."""
    with HistoryStore(project.store_url) as store:
        frame = all_overrides(store)
        if frame.empty:
            return ()
        frame = frame.assign(model_colour=_model_colours(store, frame))
    judged = _with_outcomes(project, frame, "created_at", now=now, progress=progress)
    for column, colour in (("person_right", "colour"), ("model_right", "model_colour")):
        right = judged[colour].isin(_AT_RISK) == judged["churned"]
        known = judged["churned"].notna() & judged[colour].notna()
        judged[column] = right.astype(object).where(known, None)
    return _records(ReviewedOverride, judged.iloc[::-1])


def _with_outcomes(
    project: Project, frame: pd.DataFrame, instant: str, *, now: datetime, progress: Progress
) -> pd.DataFrame:
    """Return the rows with ``churned`` (True, False or None) and ``outcome`` of the window from the instant's day."""
    frame = frame.assign(as_of=pd.to_datetime(frame[instant]).dt.normalize().astype("datetime64[us]"))
    days = [moment.to_pydatetime() for moment in frame["as_of"].unique()]
    with checked_tables(project, now=now, progress=progress) as checked:
        progress("looking up what happened")
        data_end = checked.span.end
        found = outcomes(checked.tables, project.churn, days, data_end=data_end)
    found["as_of"] = found["as_of"].astype(frame["as_of"].dtype)
    judged = frame.merge(found, on=["account_id", "as_of"], how="left")
    churned = judged["churned"].astype(object).map(bool, na_action="ignore")
    return judged.assign(
        outcome=_outcome_text(judged, project.churn, data_end), churned=churned.where(churned.notna(), None)
    )


def _outcome_text(frame: pd.DataFrame, churn: ChurnConfig, data_end: datetime) -> pd.Series:
    mature = frame["as_of"] + churn.outcome_delay <= pd.Timestamp(data_end)
    until = (frame["as_of"] + churn.outcome_delay).dt.strftime("open until %Y-%m-%d")
    why = ("not eligible: " + frame["grey_reason"].astype(object)).fillna("no outcome known")
    known, churned = frame["churned"].notna(), frame["churned"].fillna(False).astype(bool)
    text = churned.map({True: "churned", False: "stayed"}).where(known, why.where(mature, until))
    return text.astype(object)


def _model_colours(store: HistoryStore, frame: pd.DataFrame) -> pd.Series:
    """Return what model and rules said of each override's account at the last run before it."""
    live = {run.as_of: run.run_id for run in reversed(store.runs())}
    as_ofs = pd.DataFrame({"as_of": pd.to_datetime(sorted(live)).astype("datetime64[us]")})
    made = frame[["override_id", "account_id", "created_at"]].sort_values("created_at")
    near = pd.merge_asof(made, as_ofs, left_on="created_at", right_on="as_of")
    colours: dict[int, str] = {}
    for as_of, group in near.groupby("as_of"):
        run_id = live[pd.Timestamp(str(as_of)).to_pydatetime()]
        raw = store.scores(run_id, columns=["account_id", "raw_colour"]).set_index("account_id")
        found = group["account_id"].map(raw["raw_colour"])
        colours |= dict(zip(group["override_id"], found, strict=True))
    said = frame["override_id"].map(colours).astype(object)
    return said.where(said.isin(["green", *_AT_RISK]), None)
