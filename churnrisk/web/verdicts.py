"""The contract of the colours in words that a manager reads: promised, tested, and what happened since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from churnrisk.records import Colour
from churnrisk.web.charts import RateMark, rate_mark
from churnrisk.web.wording import count, day, percent, plural
from churnrisk.workflows.promises import (
    BROKEN,
    KEPT,
    NO_PROMISE,
    OPEN,
    UNCLEAR,
    Promised,
    Promises,
    RunOfColour,
)

_VERDICTS = {
    OPEN: "not known yet",
    KEPT: "kept",
    BROKEN: "broken",
    UNCLEAR: "unclear: within chance",
    NO_PROMISE: "no promise",
}
_MEANS = {
    Colour.GREEN: "Green means: very unlikely to leave.",
    Colour.AMBER: "Amber means: more risk than usual, and no promise about how much.",
    Colour.RED: "Red means: far more likely to leave than others.",
}
_CLASS = {KEPT: "kept", BROKEN: "broken"}


@dataclass(frozen=True, slots=True)
class ColourCard:
    """One colour: sentences, and its runs as lines."""

    colour: Colour
    means: str
    promised: str
    tested: str
    since: str
    verdict: str
    verdict_class: str
    lines: tuple[RunLine, ...]


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of a colour."""

    as_of: datetime
    accounts: int
    churned: str
    rate: str
    bounds: str
    promise: str
    verdict: str
    verdict_class: str
    mark: RateMark | None


def contract(found: Promises) -> dict[str, Any]:
    """Return what the template of the contract shows."""
    return {
        "found": found,
        "cards": tuple(_card(promised) for promised in found.colours),
        "nothing_stored": not any(promised.runs for promised in found.colours),
        "missed": tuple((as_of, missed) for as_of, missed in found.missed if missed),
        "missed_known": len(found.missed),
    }


def _card(promised: Promised) -> ColourCard:
    latest = promised.latest
    verdict, kind = _overall(promised)
    return ColourCard(
        promised.colour,
        _MEANS[promised.colour],
        f"Promised: {latest.promise}." if latest and latest.promise else "It promises no churn rate.",
        _tested(promised),
        _since(promised),
        verdict,
        kind,
        _lines(promised.runs),
    )


def _tested(promised: Promised) -> str:
    latest = promised.latest
    if latest is None or latest.tested_accounts is None or latest.tested_rate is None:
        return "The model behind it was not tested on later data."
    bounds = ""
    if latest.tested_low is not None and latest.tested_high is not None:
        bounds = (
            f", between {percent(latest.tested_low)} and {percent(latest.tested_high)} with 95 % confidence"
        )
    return (
        f"Before it was used: of {count(latest.tested_accounts)} accounts with this colour in the test, "
        f"{percent(latest.tested_rate)} churned within the horizon{bounds}."
    )


def _since(promised: Promised) -> str:
    open_ones = promised.count(OPEN)
    waiting = f" {plural(open_ones, 'run')} still open." if open_ones else ""
    if not promised.known or promised.rate is None:
        return f"Since then: no outcome is known yet.{waiting}"
    judged = len(promised.runs) - open_ones
    return (
        f"Since then: {count(promised.churned)} of {count(promised.known)} churned ({percent(promised.rate)}), "
        f"over {plural(judged, 'run')} with known outcomes.{waiting}"
    )


def _overall(promised: Promised) -> tuple[str, str]:
    if promised.latest is None or not promised.latest.promise:
        return "No promise to keep", "unclear"
    kept, broken, unclear = (promised.count(verdict) for verdict in (KEPT, BROKEN, UNCLEAR))
    if not kept + broken + unclear:
        return "Promise: not known yet", "unclear"
    parts = [
        f"{word} in {plural(number, 'run')}"
        for word, number in (("kept", kept), ("broken", broken), ("unclear", unclear))
        if number
    ]
    return "Promise " + ", ".join(parts), "broken" if broken else "kept" if kept else "unclear"


def _lines(runs: Iterable[RunOfColour]) -> tuple[RunLine, ...]:
    shown = tuple(runs)
    limits = [one.outcome.high or 0.0 for one in shown] + [_limit(one) or 0.0 for one in shown]
    top = max([0.01, *limits]) * 1.05
    return tuple(_line(one, top) for one in shown)


def _line(run: RunOfColour, top: float) -> RunLine:
    outcome = run.outcome
    known = outcome.rate is not None and outcome.low is not None and outcome.high is not None
    return RunLine(
        run.as_of,
        outcome.accounts,
        f"{count(outcome.churned)} of {count(outcome.known)}"
        if known
        else f"known on {day(outcome.known_at)}",
        percent(outcome.rate) if known else "",
        f"{percent(outcome.low)} to {percent(outcome.high)}" if known else "",
        outcome.promise or "none",
        _VERDICTS[run.verdict],
        _CLASS.get(run.verdict, "unclear"),
        rate_mark(outcome.rate or 0.0, outcome.low or 0.0, outcome.high or 0.0, _limit(run), top=top)
        if known
        else None,
    )


def _limit(run: RunOfColour) -> float | None:
    return run.outcome.at_most if run.outcome.at_most is not None else run.outcome.at_least
