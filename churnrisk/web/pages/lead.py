"""Pages about the whole team: its week, what the colours promised and what happened, and the help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup
from starlette.exceptions import HTTPException

from churnrisk.monitoring import (
    BROKEN,
    IN_FORCE,
    KEPT,
    NO_PROMISE,
    OPEN,
    UNCLEAR,
    WITHDRAWN,
    Promised,
    Promises,
    RunOfColour,
    promises,
)
from churnrisk.present import count, fold, percent
from churnrisk.records import NONE, Colour
from churnrisk.team import TeamWeek, monday
from churnrisk.web.charts import Group, bar_rows, column_chart, rate_mark
from churnrisk.web.process import in_thread, now
from churnrisk.web.rendering import page
from churnrisk.web.security.session import Viewer
from churnrisk.web.wording import day, plural

router = APIRouter()
_OWN_ACCOUNTS_ONLY = (
    "This counts the accounts of the whole team, and you are limited to your own. "
    "The help says what the colours mean."
)
_VERDICTS = {
    OPEN: "not known yet",
    KEPT: "kept",
    BROKEN: "broken",
    UNCLEAR: "unclear: within chance",
    NO_PROMISE: "no promise",
}
_CLASSES = {KEPT: "kept", BROKEN: "broken"}
_MEANS = {
    Colour.GREEN: "Green means: very unlikely to leave.",
    Colour.AMBER: "Amber means: more risk than usual, and no promise about how much.",
    Colour.RED: "Red means: far more likely to leave than others.",
}


@router.get("/monday")
@in_thread
def show_week(request: Request, user: Viewer) -> Response:
    """Show the team's load, what is new, what was saved, and the course over time."""
    app = request.app.state
    capacity = app.project.decision.capacity
    state = monday(app.store, now=now(), scope=user.scope, deadlines=app.deadlines, capacity=capacity)
    return page(request, "monday.html", team_view(state, scope=user.scope))


@router.get("/promises")
def show_promises(request: Request, user: Viewer) -> Response:
    """Show the promises of the colours; their counts are the whole team's."""
    if user.scope is not None:
        raise HTTPException(403, _OWN_ACCOUNTS_ONLY)
    return page(request, "promises.html", promise_view(promises(request.app.state.store)))


@router.get("/help")
def show_help(request: Request, user: Viewer) -> Response:
    """Show what the colours mean, how the list works, which keys there are."""
    return page(request, "help.html")


def team_view(state: TeamWeek, *, scope: str | None) -> dict[str, Any]:
    """Return the context of ``monday.html``."""
    latest, before = state.over_time[-1], state.over_time[-2] if len(state.over_time) > 1 else None
    in_money = any(one.value for one in state.over_time)
    amounts = [(one.as_of, one.value if in_money else float(one.red + one.amber)) for one in state.over_time]
    title = "Revenue at risk over time" if in_money else "Red and amber accounts over time"
    return {
        "monday": state,
        "limited_to": scope,
        "in_money": in_money,
        "latest": latest,
        "before": before,
        "missed": next((one for one in reversed(state.over_time) if one.missed is not None), None),
        "load": [("/?" + urlencode({"owner": load.owner}), load) for load in state.load],
        "nobody": NONE,
        "over_time_title": title,
        "chart": column_chart(amounts, title),
        "by_segment": _by_segment(state, in_money=in_money),
    }


def _by_segment(state: TeamWeek, *, in_money: bool) -> Any:
    if [one.key for one in state.by_segment] == [NONE]:
        return ()
    groups = []
    for one in fold(state.by_segment, "others"):
        name = "No segment" if one.key == NONE else one.key
        link = "/?" + urlencode({"segment": one.key}) if one in state.by_segment else None
        groups.append(Group(name, one.amounts(in_money=in_money), link))
    return bar_rows(groups)


@dataclass(frozen=True, slots=True)
class ColourCard:
    """One colour: sentences, and its runs as lines."""

    colour: Colour
    means: str
    promised: str
    tested: str
    since: str
    standing: str
    note: str
    verdict: str
    verdict_class: str
    lines: tuple[RunLine, ...]


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of a colour, with its outcomes as text."""

    run: RunOfColour
    churned: str
    rate: str
    bounds: str
    verdict: str
    verdict_class: str
    mark: Markup | None


def promise_view(view: Promises) -> dict[str, Any]:
    """Return the context of ``promises.html``."""
    return {
        "promises": view,
        "within": _within(view.horizon_days),
        "cards": tuple(_card(promised) for promised in view.colours),
        "nothing_stored": not any(promised.runs for promised in view.colours),
        "missed": tuple((as_of, _missed_text(view, as_of, lost)) for as_of, lost in view.missed if lost),
        "missed_known": len(view.missed),
    }


def _missed_text(view: Promises, as_of: datetime, missed: int) -> str:
    """Return the missed churners of a run, beside those caught and the share flagged: green, amber and red."""
    outcomes = [run.outcome for colour in view.colours for run in colour.runs if run.as_of == as_of]
    flagged = [one for one in outcomes if one.colour in (Colour.AMBER, Colour.RED)]
    known = sum(one.known or 0 for one in outcomes)
    if not flagged or not known:
        return plural(missed, "account")
    caught, share = sum(one.churned or 0 for one in flagged), sum(one.known or 0 for one in flagged) / known
    return (
        f"{count(missed)} of {count(caught + missed)} churned accounts; {count(caught)} were red or amber, "
        f"as were {percent(share)} of {plural(known, 'account')}"
    )


def _card(promised: Promised) -> ColourCard:
    latest = promised.latest
    promise = "It promises no churn rate."
    if latest and promised.state == IN_FORCE:
        promise = f"Promised: {latest.promise} {_within(latest.horizon_days)}."
    ends = [end or 0.0 for run in promised.runs for end in (run.outcome.high, _limit(run))]
    top = max([0.01, *ends]) * 1.05
    return ColourCard(
        promised.colour,
        _MEANS[promised.colour],
        promise,
        _tested(promised),
        _since(promised),
        "" if promised.state == NO_PROMISE else promised.text,
        (latest.note if latest else None) or "",
        *_overall(promised),
        tuple(_line(run, top) for run in promised.runs),
    )


def _tested(promised: Promised) -> str:
    latest = promised.latest
    if latest is None or latest.tested_accounts is None or latest.tested_rate is None:
        return "The model behind it was not tested on later data."
    bounds = ""
    if latest.tested_low is not None and latest.tested_high is not None:
        low, high = percent(latest.tested_low), percent(latest.tested_high)
        bounds = f", between {low} and {high} with 95 % confidence"
    rows = "the rows (one per account and snapshot)"
    if latest.tested_rows:
        accounts = plural(latest.tested_accounts, "account")
        rows = f"{plural(latest.tested_rows, 'row')} ({accounts}, one row per snapshot)"
    return (
        f"Before it was used: in the test {percent(latest.tested_rate)} of {rows} churned "
        f"{_within(latest.horizon_days)}{bounds}."
    )


def _within(horizon_days: int | None) -> str:
    return f"within {horizon_days} days" if horizon_days else "within the horizon"


def _since(promised: Promised) -> str:
    open_ones, late = promised.count(OPEN), sum(run.in_hindsight for run in promised.runs)
    waiting = f" {plural(open_ones, 'run')} still open." if open_ones else ""
    if late:
        waiting += f" {plural(late, 'run')} published in hindsight."
    if not promised.known or promised.rate is None:
        return f"Since then: no outcome is known yet.{waiting}"
    windows = f"in {plural(promised.windows, 'separate label window')}"
    return (
        f"Since then: {count(promised.churned)} of {count(promised.known)} churned "
        f"{_within(promised.runs[0].outcome.horizon_days)} ({percent(promised.rate)}), {windows}.{waiting}"
    )


def _overall(promised: Promised) -> tuple[str, str]:
    if promised.state == WITHDRAWN:
        return f"Promise withdrawn since {day(promised.withdrawn[0].withdrawn_at)}", "broken"
    if promised.state == NO_PROMISE:
        return "No promise to keep", "unclear"
    counts = {verdict: number for verdict in (KEPT, BROKEN, UNCLEAR) if (number := promised.count(verdict))}
    if not counts:
        return "Promise: not known yet", "unclear"
    parts = [f"{verdict} in {plural(number, 'run')}" for verdict, number in counts.items()]
    return "Promise " + ", ".join(parts), next(one for one in (BROKEN, KEPT, UNCLEAR) if one in counts)


def _line(run: RunOfColour, top: float) -> RunLine:
    outcome = run.outcome
    churned, rate, bounds, mark = f"known on {day(outcome.known_at)}", "", "", None
    if outcome.rate is not None and outcome.low is not None and outcome.high is not None:
        churned = f"{count(outcome.churned)} of {count(outcome.known)}"
        rate, bounds = percent(outcome.rate), f"{percent(outcome.low)} to {percent(outcome.high)}"
        mark = rate_mark(outcome.rate, outcome.low, outcome.high, _limit(run), top=top)
    verdict = _VERDICTS[run.verdict] + (", in hindsight" if run.in_hindsight else "")
    return RunLine(run, churned, rate, bounds, verdict, _CLASSES.get(run.verdict, "unclear"), mark)


def _limit(run: RunOfColour) -> float | None:
    return run.outcome.at_most if run.outcome.at_most is not None else run.outcome.at_least
