"""Reviews of accounts by people: record one, undo one, read who changed what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Literal

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore
from churnrisk.history.account_state import trail
from churnrisk.history.reviews import (
    ConflictError,
    OverrideChange,
    Reviewed,
    add_review,
    undo,
)
from churnrisk.history.wanted import clean
from churnrisk.records import Disposition

__all__ = ["Change", "ConflictError", "Reviewed", "Via", "OPEN", "END", "review", "undo", "trail"]

Via = Literal["web", "api", "cli"]
#: The disposition that clears any other; the override that ends the one in force.
OPEN, END = "open", "end"
_MOST_ACCOUNTS = 1_000
_LONGEST = {"note": 10_000, "reason": 1_000, "assignee": 200}
_COLOURS = ("green", "amber", "red")


@dataclass(frozen=True, slots=True)
class Change:
    """What a person wants to change of an account; None leaves a field as it is.

    ``disposition`` is a :class:`churnrisk.records.Disposition` or :data:`OPEN`; ``override`` is a colour from the next
    scoring run on, or :data:`END`. Snooze and override need ``until``, the day on whose beginning they end, and a
    ``reason``. An empty ``assignee`` is nobody.
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

    Raises UsageError, NotFoundError for an account outside every run or the scope, and ConflictError if somebody
    changed one of them in the meantime.
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
