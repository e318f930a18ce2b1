"""What the page of an account shows besides the account itself: charts, marks, states in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from churnrisk.records import AuditEntry, DeskState, MovePart, Reason
from churnrisk.web.charts import RangeMark, Share, range_mark, shares
from churnrisk.web.past import HistoryChart, Occasion, decided, history_chart, past_rows
from churnrisk.web.trail import changes, line
from churnrisk.web.wording import DISPOSITIONS, day, in_colour
from churnrisk.workflows.account import AccountView
from churnrisk.workflows.reviews import ConflictError

_LEAST_MOVE = 0.005
#: Fields of a form that a person has not typed.
_TECHNICAL = ("csrf_token", "version", "kind", "up", "back")


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """A reason with its drawings."""

    reason: Reason
    mark: RangeMark | None
    share: Share


@dataclass(frozen=True, slots=True)
class MoveLine:
    """One part of why the score moved, with its drawing."""

    text: str
    log_odds: float
    share: Share


@dataclass(frozen=True, slots=True)
class Conflict:
    """What somebody else did meanwhile, and what the person wrote."""

    who: str
    lines: tuple[str, ...]
    typed: str
    fields: tuple[tuple[str, str], ...]


def dossier(view: AccountView, *, now: datetime) -> dict[str, Any]:
    """Return what the template of an account shows."""
    return {
        "view": view,
        "decided": f"{in_colour(view.row.days_in_colour)}, {decided(view.latest)}",
        "state": state(view.desk),
        "on_record": on_record(view.desk),
        "reasons": _reasons(view.reasons),
        "no_reasons": _no_reasons(view),
        "moves": _moves(view.moved.parts) if view.moved else (),
        "chart": chart_of(view),
        "past_rows": past_rows(view.history),
        "reviews": changes(view.trail),
        "overrides": tuple(one for one in view.overrides if one.in_force),
        "dispositions": _dispositions(view.desk),
        "tomorrow": f"{now + timedelta(days=1):%Y-%m-%d}",
    }


def conflict_of(error: ConflictError, typed: Mapping[str, str]) -> Conflict:
    """Return a conflict in words: who did what, and what would be put on top."""
    names = dict.fromkeys(entry.author for entry in error.entries)
    return Conflict(
        who=" and ".join(names) or "Somebody",
        lines=tuple(said(entry) for entry in error.entries),
        typed=what_was_meant(typed),
        fields=tuple((name, value) for name, value in typed.items() if name not in ("csrf_token", "version")),
    )


def said(entry: AuditEntry) -> str:
    """Return one entry of the trail with who and when."""
    return f"{entry.author}, {entry.at:%Y-%m-%d %H:%M}: {line(entry)}"


def what_was_meant(typed: Mapping[str, str]) -> str:
    """Return a form as a few words, for the person who wrote it."""
    parts = [DISPOSITIONS.get(value, value) for name, value in typed.items() if name not in _TECHNICAL]
    kind = {
        "snooze": "Snooze",
        "assign": "Assign",
        "override": "Colour by hand",
        "end_override": "End the override",
    }
    return "\n".join([*([kind[typed["kind"]]] if typed.get("kind") in kind else []), *parts])


def state(desk: DeskState) -> str:
    """Return what is on record for an account, as one sentence; empty for nothing."""
    parts = []
    if desk.disposition == "snoozed":
        parts.append(f"Snoozed until {day(desk.snoozed_until)}: {desk.snooze_reason}.")
    elif desk.disposition is not None:
        parts.append(f"{DISPOSITIONS[desk.disposition]}.")
    if desk.assignee:
        parts.append(f"Assigned to {desk.assignee}.")
    return " ".join(parts)


def on_record(desk: DeskState) -> str:
    """Return the last touch of an account; empty where there is none."""
    if desk.touched_at is None:
        return ""
    return f"Last: {desk.touched_what}, {desk.touched_by}, {desk.touched_at:%Y-%m-%d %H:%M}."


def _dispositions(desk: DeskState) -> tuple[tuple[str, str], ...]:
    plain = tuple((name, text) for name, text in DISPOSITIONS.items() if name != "snoozed")
    return (*plain, ("open", "Open again")) if desk.disposition else plain


def _reasons(reasons: Sequence[Reason]) -> tuple[ReasonLine, ...]:
    drawn = shares([reason.contribution for reason in reasons])
    return tuple(
        ReasonLine(reason, range_mark(reason.value, reason.usual_low, reason.usual_high), share)
        for reason, share in zip(reasons, drawn, strict=True)
    )


def _no_reasons(view: AccountView) -> str:
    if view.latest.colour == "grey":
        return "There is not enough data on this account for a score; grey is no judgement."
    if view.latest.colour in ("red", "amber"):
        return "This run has no reasons on record for the account."
    return "Reasons are kept for red and amber accounts only; this one is not at risk."


def _moves(parts: Iterable[MovePart]) -> tuple[MoveLine, ...]:
    shown = [part for part in parts if abs(part.log_odds) >= _LEAST_MOVE]
    drawn = shares([part.log_odds for part in shown])
    return tuple(MoveLine(part.text, part.log_odds, share) for part, share in zip(shown, drawn, strict=True))


def chart_of(view: AccountView, more: Sequence[Occasion] = ()) -> HistoryChart | None:
    """Return the score history with its reviews and overrides, and with more occasions where they are known."""
    return history_chart(view.history, [*_occasions(view), *more])


def _occasions(view: AccountView) -> list[Occasion]:
    set_by_hand = [
        Occasion(one.created_at, "override", f"set {one.colour} by {one.author} until {day(one.expires_at)}")
        for one in view.overrides
    ]
    reviewed = [
        Occasion(change.at, "review", f"{change.lines[0]} ({change.author})")
        for change in changes(entry for entry in view.trail if entry.field != "override")
        if change.undone_by is None and change.undoes is None
    ]
    return [*set_by_hand, *reviewed]
