"""One account as text and JSON for the terminal."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from churnrisk.cli.show import progress, say
from churnrisk.errors import ChurnRiskError
from churnrisk.records import DeskState, Move, Reason, Turnaround
from churnrisk.report import wording
from churnrisk.workflows.account import AccountView, FullAccount
from churnrisk.workflows.project import Project

if TYPE_CHECKING:
    from churnrisk.workflows.outlook import Outlook

_BAR = "▁▂▃▄▅▆▇█"


def account_text(view: AccountView, outlook: Outlook | None) -> str:
    """Return the account as text for people."""
    latest = view.latest
    title = f"{view.name} ({view.account_id})" if view.name else view.account_id
    lines = [f"{title}: {latest.colour}, decided by {_decided(view)}"]
    if latest.churn_probability is not None:
        lines.append(f"  churn probability {latest.churn_probability:.1%} as of {latest.as_of:%Y-%m-%d}")
    lines += [f"  {outlook.text}"] if outlook else []
    facts = [
        f"owner {view.owner}" if view.owner else "",
        f"segment {view.segment}" if view.segment else "",
        f"worth {view.annual_value:,.0f} a year" if view.annual_value is not None else "",
        f"renews {view.renewal_at:%Y-%m-%d}" if view.renewal_at else "",
        f"stage {view.stage}" if view.stage else "",
    ]
    lines.append("  " + ", ".join(fact for fact in facts if fact))
    lines += [f"  {_touched(view.desk)}"] if view.desk.touched_at else []
    lines += ["", f"Do first: {view.next_step}"] if view.next_step else []
    if view.reasons:
        lines += ["", "Why:", *(f"  {_reason(reason)}" for reason in view.reasons)]
    lines += ["", *turnaround_lines(view.row.turnaround)] if view.row.turnaround else []
    lines += ["", *moved_lines(view.moved, view.latest.colour)] if view.moved else []
    lines += ["", "History:", *_history(view)]
    return "\n".join(lines) + "\n"


def outlook_or_none(project: Project, view: AccountView, *, now: datetime) -> Outlook | None:
    """Return the time to churn; where model or tables cannot tell, say why on stderr."""
    from churnrisk.workflows.outlook import outlook_of

    try:
        with progress() as report:
            return outlook_of(project, view, now=now, progress=report)
    except ChurnRiskError as error:
        say(f"note: no time to churn: {error}")
        return None


def account_dict(view: AccountView, outlook: Outlook | None) -> dict[str, Any]:
    """Return the account as JSON: the shape of the API, with the run and the time to churn."""
    more: dict[str, Any] = {"run": asdict(view.run)}
    more["outlook"] = asdict(outlook) | {"text": outlook.text} if outlook else None
    more = to_jsonable_python(more)
    return FullAccount.of_view(view).model_dump(mode="json") | more


def turnaround_lines(turnaround: Turnaround) -> list[str]:
    """Return the smallest change that would turn the account, with the signals that it is about."""
    changes = [
        f"  {change.label}: {_value(change.now)} now, {_value(change.then)} then"
        for change in turnaround.changes
    ]
    return ["What would turn it:", f"  {turnaround.text}", *changes]


def moved_lines(move: Move, colour: str) -> list[str]:
    """Return why an account moved: what changed the colour, and the parts that sum to the change."""
    lines = []
    if move.because:
        lines.append(
            f"Why the colour changed since {move.since:%Y-%m-%d}: {move.previous_colour} to {colour}, "
            f"by {wording.CAUSES[move.because]}"
        )
    if move.log_odds is not None:
        lines.append(f"Why the score moved since {move.since:%Y-%m-%d}: {move.log_odds:+.2f} log-odds")
        lines += [f"  {part.log_odds:+.2f} {part.text}" for part in move.parts if abs(part.log_odds) >= 0.005]
    return lines


def _touched(desk: DeskState) -> str:
    note = f'; note: "{desk.note}"' if desk.note else ""
    return f"{desk.touched_what} by {desk.touched_by} on {desk.touched_at:%Y-%m-%d}{note}"


def _decided(view: AccountView) -> str:
    latest = view.latest
    return f"{latest.decided_by} ({latest.rule})" if latest.rule else latest.decided_by


def _reason(reason: Reason) -> str:
    compared = not reason.comparison or "(usually " in reason.text
    usual = "" if compared else f"; {reason.comparison}"
    before = "" if reason.previous is None else f"; at the last run: {_value(reason.previous)}"
    return f"{reason.text} ({reason.contribution:+.2f} log-odds{usual}{before})"


def _value(value: float | str | None) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.4g}"


def _history(view: AccountView) -> list[str]:
    return [
        f"  {past.as_of:%Y-%m-%d}  {past.colour:6} {_bar(past.churn_probability)} "
        f"{'' if past.churn_probability is None else f'{past.churn_probability:.1%}'}"
        for past in view.history[-12:]
    ]


def _bar(probability: float | None) -> str:
    return " " if probability is None else _BAR[min(7, int(probability * 8))]
