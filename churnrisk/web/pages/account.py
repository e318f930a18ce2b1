"""One account: what to do first, why, its score history, its timeline, and the forms of a review."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from churnrisk.errors import ContractError, NotFoundError, UnavailableError, UsageError
from churnrisk.present import DISPOSITIONS
from churnrisk.records import AccountState, MovePart, Reason, User
from churnrisk.team import AccountView, ConflictError, Timeline, timeline, view_account
from churnrisk.web import charts
from churnrisk.web.dependencies import Typed, change_of, form_context, record_change, version_of
from churnrisk.web.pages.audit import changes, signed_text
from churnrisk.web.process import account_of, in_thread, now
from churnrisk.web.rendering import account_path, leading_back, page
from churnrisk.web.security.session import Reviewer, Viewer, flash
from churnrisk.web.security.signing import safe_path
from churnrisk.web.wording import day

router = APIRouter()
_SMALLEST_MOVE = 0.005
# fields of a form that a person has not typed
_TECHNICAL = ("csrf_token", "version", "kind", "up", "back")
_KINDS = {
    "snooze": "Snooze",
    "assign": "Assign",
    "override": "Colour by hand",
    "end_override": "End the override",
}
_MARKS = {"complaint opened": "▼", "complaint resolved": "✓", "survey": "✎", "renewal": "↻"}


# Before the account's own route, whose id would take the rest of the path.
@router.get("/accounts/{account_id:path}/timeline")
@in_thread
def show_timeline(request: Request, user: Viewer, account_id: str) -> Response:
    """Show what happened; a script that asks for the part alone gets it without the page around."""
    is_part = request.headers.get("x-part") == "1"
    context = _timeline_context(request, user, account_id) | {"up": safe_path(request.query_params.get("up"))}
    return page(request, "account/timeline.html" if is_part else "timeline.html", context)


@router.get("/accounts/{account_id:path}")
def show(request: Request, user: Viewer, account_id: str) -> Response:
    """Show an account."""
    return _page(request, user, account_id, {})


@router.post("/accounts/{account_id:path}/reviews")
@in_thread
def record(request: Request, user: Reviewer, account_id: str, typed: Typed) -> Response:
    """Record a change; what cannot be recorded comes back with what was typed."""
    try:
        change = change_of(typed)
        done = record_change(request, user, {account_id: version_of(typed)}, change)
    except ConflictError as error:
        return _page(request, user, account_id, typed, status=409, conflict=_conflict(error, typed))
    except (NotFoundError, UnavailableError):
        raise
    except UsageError as error:
        return _page(request, user, account_id, typed, status=400, mistake=str(error))
    flash(request, f"Saved: {done.what}.", undo=done.review_id)
    return RedirectResponse(account_path(account_id) + leading_back(safe_path(typed.get("up"))), 303)


def _page(
    request: Request,
    user: User,
    account_id: str,
    typed: Mapping[str, str],
    *,
    status: int = 200,
    **shown: Any,
) -> Response:
    view = account_of(request, account_id, scope=user.scope)
    up = request.query_params.get("up") or typed.get("up")
    context = {
        "view": view,
        "state": state_text(view.state),
        "reasons": _reasons(view.row.reasons),
        "moves": _moves(view.row.move.parts) if view.row.move else (),
        "chart": _chart(view),
        "past_rows": charts.history_rows(view.history),
        "reviews": changes(view.trail),
        "dispositions": _dispositions(view.state),
        "conflict": None,
    }
    context |= form_context(request, user, typed, up=up) | shown
    return page(request, "account.html", context, status=status)


def _conflict(error: ConflictError, typed: Mapping[str, str]) -> dict[str, Any]:
    """Return what somebody else did in the meantime, and what the person wrote."""
    names = dict.fromkeys(entry.author for entry in error.entries)
    kind = _KINDS.get(typed.get("kind", ""))
    said = [DISPOSITIONS.get(value, value) for name, value in typed.items() if name not in _TECHNICAL]
    return {
        "who": " and ".join(names) or "Somebody",
        "lines": [signed_text(entry) for entry in error.entries],
        "typed": "\n".join([*([kind] if kind else []), *said]),
        "fields": [(name, value) for name, value in typed.items() if name not in ("csrf_token", "version")],
    }


def state_text(state: AccountState) -> str:
    """Return what is on record for an account in sentences; empty for nothing."""
    parts = []
    if state.disposition == "snoozed":
        parts.append(f"Snoozed until {day(state.snoozed_until)}: {state.snooze_reason}.")
    elif state.disposition is not None:
        parts.append(f"{DISPOSITIONS[state.disposition]}.")
    if state.assignee:
        parts.append(f"Assigned to {state.assignee}.")
    return " ".join(parts)


def _dispositions(state: AccountState) -> tuple[tuple[str, str], ...]:
    plain = tuple((name, text) for name, text in DISPOSITIONS.items() if name != "snoozed")
    return (*plain, ("open", "Open again")) if state.disposition else plain


def _reasons(reasons: Sequence[Reason]) -> list[tuple[Reason, charts.Mark | None, charts.Mark]]:
    marks = [charts.range_mark(reason.value, reason.usual_low, reason.usual_high) for reason in reasons]
    bars = charts.shares([reason.contribution or 0.0 for reason in reasons])
    return list(zip(reasons, marks, bars, strict=True))


def _moves(parts: Iterable[MovePart]) -> list[tuple[MovePart, charts.Mark]]:
    shown = [part for part in parts if abs(part.log_odds) >= _SMALLEST_MOVE]
    return list(zip(shown, charts.shares([part.log_odds for part in shown]), strict=True))


def _chart(view: AccountView, complaints: Sequence[charts.Occasion] = ()) -> charts.HistoryChart | None:
    """Return the score history with overrides, reviews and, where they are known, complaints."""
    overrides = [
        (one.created_at, "override", f"set {one.colour} by {one.author} until {day(one.expires_at)}")
        for one in view.overrides
    ]
    reviews = [
        (change.entry.at, "review", f"{change.lines[0]} ({change.entry.author})")
        for change in changes(entry for entry in view.trail if entry.field != "override")
        if change.entry.undone_by is None and change.entry.undoes is None
    ]
    occasions = [charts.Occasion(*one) for one in (*overrides, *reviews)]
    return charts.history_chart(view.history, [*occasions, *complaints])


def _timeline_context(request: Request, user: User, account_id: str) -> dict[str, Any]:
    state, moment = request.app.state, now()
    view = view_account(state.store, account_id, scope=user.scope, now=moment)
    context = {"problem": None, "account_id": account_id, "name": view.row.name or account_id}
    try:
        history = timeline(
            state.project, state.store, account_id, as_of=view.run.as_of, now=moment, scope=user.scope
        )
    except UnavailableError:
        raise
    except (UsageError, ContractError) as error:
        return context | {"problem": str(error)}
    complaints = [
        charts.Occasion(one.at, "complaint", one.text)
        for one in history.events
        if one.kind == "complaint opened"
    ]
    amounts = [(week.start, float(week.events + week.later)) for week in history.weeks]
    return context | {
        "timeline": history,
        "use": charts.column_chart(amounts, "Events by week"),
        "features": _features(history),
        "marks": _MARKS,
        "now": moment,
        "chart": _chart(view, complaints),
        "later": any(one.after_run for one in history.events) or any(week.later for week in history.weeks),
    }


def _features(history: Timeline) -> list[tuple[str, int, int]]:
    """Return how often each product feature was used in the last four weeks and in the four before."""
    if not history.weeks or history.features == ("",):
        return []
    used = []
    for name in history.features:
        uses = [week.by_feature[name] for week in history.weeks]
        used.append((name or "no name", sum(uses[-4:]), sum(uses[-8:-4])))
    return [feature for feature in used if any(feature[1:])]
