"""The report as one HTML file that needs nothing else: totals, charts, list, evidence and model figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from churnrisk.files import write_whole
from churnrisk.present import wording
from churnrisk.records import NONE, AtRisk, ColourEvidence, Interval, RedList, Total

_MOST_GROUPS = 8
_MONEY_WORDS = {"revenue", "value", "loss", "mrr", "arr"}
#: Width of the longest bar in units of the drawing.
WIDTH = 200.0
_START = (
    '<svg class="bar" viewBox="0 0 200 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
)
#: The pattern over amber, once per page.
HATCH = Markup(
    '<svg width="0" height="0" class="defs" aria-hidden="true" focusable="false"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs></svg>'
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One model figure and those of simpler rules on the same test block, by scorer in order of the columns."""

    label: str
    values: Mapping[str, Interval | float | None] = field(default_factory=dict)
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class TotalView:
    """A total as text, with its change since the last run."""

    label: str
    value: str
    change: str


@dataclass(frozen=True, slots=True)
class Bar:
    """What is at risk in one group, by colour: as amounts, as text, and drawn."""

    label: str
    red_amount: float
    amber_amount: float
    red: str
    amber: str
    drawn: Markup


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one grouping; ``counted`` says what is added up."""

    title: str
    counted: str
    bars: tuple[Bar, ...]


def write_report(
    path: str | Path,
    redlist: RedList,
    *,
    company: str,
    evidence: Sequence[ColourEvidence] = (),
    metrics: Sequence[Figure] = (),
) -> Path:
    """Write the page of :func:`render_report`, whole or not at all."""
    page = render_report(redlist, company=company, evidence=evidence, metrics=metrics)
    # a lone surrogate in a customer's name must not keep the team from its list
    return write_whole(path, page.encode("utf-8", errors="replace"))


def render_report(
    redlist: RedList,
    *,
    company: str,
    evidence: Sequence[ColourEvidence] = (),
    metrics: Sequence[Figure] = (),
    limit: int | None = 500,
) -> str:
    """Return the report as one self-contained HTML page, with at most ``limit`` rows.

    ``evidence``: what became of each colour on a later block. ``metrics``: the model beside simple rules.
    """
    rows = redlist.rows[:limit]
    template = environment_of("churnrisk.present").get_template("report.html")
    return template.render(
        redlist=redlist,
        rows=rows,
        company=company,
        evidence=evidence,
        metrics=metrics,
        metric_columns=dict.fromkeys(name for figure in metrics for name in figure.values),
        totals=totals(redlist),
        charts=charts(redlist),
        colours=list(dict.fromkeys(row.colour for row in rows)),
        left_out=left_out(redlist),
        say=wording,
        HATCH=HATCH,
    )


@cache
def environment_of(package: str) -> Environment:
    """Return the templates of a package, compiled once per process."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def totals(redlist: RedList) -> tuple[TotalView, ...]:
    """Return the totals with their change since the last run."""
    since = f" since {wording.day(redlist.previous_run.as_of)}" if redlist.previous_run else ""
    return tuple(_total(total, since) for total in redlist.totals)


def _total(total: Total, since: str) -> TotalView:
    # the label says whether it is money
    words = {word.strip(",.()") for word in total.label.lower().split()}
    show = wording.money if words & _MONEY_WORDS else wording.count
    if total.previous is None:
        change = "nothing to compare with yet"
    elif round(total.value - total.previous, 6) == 0:
        change = f"no change{since}"
    else:
        step = total.value - total.previous
        change = f"{'▲ +' if step > 0 else '▼ -'}{show(abs(step))}{since}"
    return TotalView(total.label, show(total.value), change)


def left_out(redlist: RedList) -> str:
    """Return how many accounts are not listed; empty if none."""
    hidden = {"snoozed": redlist.snoozed, "churned": redlist.churned}
    said = [f"{wording.count(number)} {what}" for what, number in hidden.items() if number]
    return f"Not listed: {' and '.join(said)}." if said else ""


def charts(redlist: RedList) -> tuple[Chart, ...]:
    """Return the annual value at risk, or the accounts where none has a value, by segment and renewal quarter."""
    if not (redlist.by_segment or redlist.by_quarter):
        return ()
    in_money = any(group.value for group in (*redlist.by_segment, *redlist.by_quarter))
    return (
        _chart("By segment", fold(redlist.by_segment, "others"), "no segment", in_money=in_money),
        _chart("By renewal quarter", fold(redlist.by_quarter, "later"), "no renewal date", in_money=in_money),
    )


def _chart(title: str, groups: Sequence[AtRisk], unknown: str, *, in_money: bool) -> Chart:
    amounts = [group.amounts(in_money=in_money) for group in groups]
    labels = [unknown if group.key == NONE else group.key.replace("-Q", " Q") for group in groups]
    show = wording.money if in_money else wording.count
    shown = tuple(
        Bar(label, red, amber, show(red), show(amber), drawn)
        for label, (red, amber), drawn in zip(labels, amounts, bars(amounts), strict=True)
    )
    return Chart(title, "annual value" if in_money else "accounts", shown)


def fold(groups: Sequence[AtRisk], rest: str) -> tuple[AtRisk, ...]:
    """Add up all groups beyond the eighth, so that they fit the first screen."""
    if len(groups) <= _MOST_GROUPS:
        return tuple(groups)
    shown, others = groups[: _MOST_GROUPS - 1], groups[_MOST_GROUPS - 1 :]
    figures = [field.name for field in fields(AtRisk) if field.name != "key"]
    sums = {name: sum(getattr(group, name) for group in others) for name in figures}
    return (*shown, AtRisk(f"{len(others)} {rest}", **sums))


def bars(amounts: Sequence[tuple[float, float]]) -> list[Markup]:
    """Return each pair of red and amber as a bar, all on one scale."""
    scale = WIDTH / (max((red + amber for red, amber in amounts), default=0.0) or 1.0)
    return [_drawn(red * scale, amber * scale) for red, amber in amounts]


def _drawn(red: float, amber: float) -> Markup:
    red = min(_seen(red), WIDTH - (1.0 if amber > 0 else 0.0))
    amber = min(_seen(amber), WIDTH - red)
    pieces = (
        _piece(0.0, red, 'class="is-red"'),
        _piece(red, amber, 'class="is-amber"'),
        _piece(red, amber, 'fill="url(#hatch)"'),
    )
    return Markup(f"{_START}{''.join(pieces)}</svg>")  # noqa: S704 - numbers only


def _seen(width: float) -> float:
    """Widen a bar until it can be seen."""
    return max(width, 1.0) if width > 0 else 0.0


def _piece(x: float, width: float, paint: str) -> str:
    return f'<rect {paint} x="{x:.2f}" width="{width:.2f}" height="10"/>' if width else ""
