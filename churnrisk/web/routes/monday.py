"""The team view: figures of the week, the load of each owner, the course over the runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from churnrisk.history import NONE
from churnrisk.report.wording import UNKNOWN, count
from churnrisk.web.charts import Group, bar_rows, column_chart
from churnrisk.web.dependencies import Viewer
from churnrisk.web.listing import MOST_BARS
from churnrisk.web.process import now, run_in_thread
from churnrisk.web.rendering import page
from churnrisk.web.wording import amount, change, day
from churnrisk.workflows.monday import Monday, RunAtRisk, monday

router = APIRouter()


@router.get("/monday")
async def show(request: Request, user: Viewer) -> Response:
    """Show the team's load, what is new, what was saved, and the course over time."""
    app = request.app.state
    work = partial(monday, app.store, now=now(), scope=user.scope, deadlines=app.deadlines)
    return page(request, "monday.html", team_view(await run_in_thread(work), scope=user.scope))


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure with its caption; ``href`` leads to the accounts behind it."""

    text: str
    value: str
    says: str
    href: str | None = None


def team_view(state: Monday, *, scope: str | None) -> dict[str, Any]:
    """Return the context of ``monday.html``."""
    in_money = any(one.value for one in state.over_time)
    amounts = [(one.as_of, one.value if in_money else float(one.red + one.amber)) for one in state.over_time]
    title = "Revenue at risk over time" if in_money else "Red and amber accounts over time"
    return {
        "monday": state,
        "limited_to": scope,
        "tiles": _tiles(state, in_money=in_money, scope=scope),
        "load": [(_filtered(owner=load.owner), load) for load in state.load],
        "nobody": NONE,
        "over_time_title": title,
        "chart": column_chart(amounts, title),
        "by_segment": _by_segment(state, in_money=in_money),
    }


def _tiles(state: Monday, *, in_money: bool, scope: str | None) -> tuple[Tile, ...]:
    now, before = state.over_time[-1], state.over_time[-2] if len(state.over_time) > 1 else None
    untouched, overdue = (sum(getattr(one, name) for one in state.load) for name in ("untouched", "overdue"))
    at_risk = Tile("Revenue at risk", amount(now.value), change(now.value, before.value if before else None))
    worth = f"worth {amount(state.saved.annual_value)} a year" if in_money else ""
    return (
        _newly_red(state.newly_red),
        *((at_risk,) if in_money else ()),
        Tile("Untouched", count(untouched), "red or amber, and nobody has been there"),
        Tile("Overdue", count(overdue), "of these, the next step is due"),
        Tile("Saved", count(state.saved.count), worth),
        # missed churners are counted for the whole team only
        *(() if scope else (_missed(state.over_time),)),
    )


def _newly_red(number: int | None) -> Tile:
    if number is None:
        return Tile("Newly red", UNKNOWN, "the first run: there is none to compare with")
    return Tile("Newly red", count(number), "since the last run", "/?newly_red=1")


def _missed(over_time: tuple[RunAtRisk, ...]) -> Tile:
    known = [one for one in over_time if one.missed is not None]
    if not known:
        return Tile("Missed churners", UNKNOWN, "no outcome is known yet", "/promises")
    return Tile("Missed churners", count(known[-1].missed), f"green on {day(known[-1].as_of)}", "/promises")


def _filtered(**query: str) -> str:
    return "/?" + urlencode(query)


def _by_segment(state: Monday, *, in_money: bool) -> Any:
    if [one.key for one in state.by_segment] == [NONE]:
        return ()
    return bar_rows(
        [
            Group(
                "No segment" if one.key == NONE else one.key,
                (one.red_value, one.amber_value) if in_money else (float(one.red), float(one.amber)),
                _filtered(segment=one.key),
            )
            for one in state.by_segment[:MOST_BARS]
        ]
    )
