"""The red list as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from churnrisk.files import write_whole
from churnrisk.records import ColourEvidence, RedList
from churnrisk.report import summary, wording
from churnrisk.report.bars import HATCH
from churnrisk.report.summary import Figure


def render_report(
    redlist: RedList,
    *,
    company: str,
    evidence: Sequence[ColourEvidence] = (),
    metrics: Sequence[Figure] = (),
    title: str = "Red list",
    currency: str = "",
    limit: int | None = 500,
) -> str:
    """Return the report as one self-contained HTML page, with at most ``limit`` rows.

    ``evidence``: what became of each colour on a later block. ``metrics``: the model beside simple rules.
    ``currency`` is written before amounts.
    """
    return (
        _environment()
        .get_template("report.html")
        .render(
            redlist=redlist,
            rows=redlist.rows[:limit],
            company=company,
            title=title,
            currency=currency,
            evidence=evidence,
            metrics=metrics,
            metric_columns=summary.figure_columns(metrics),
            totals=summary.totals(redlist, currency=currency),
            charts=summary.charts(redlist, currency=currency),
            colours=list(dict.fromkeys(row.colour for row in redlist.rows[:limit])),
            kept=summary.kept,
            left_out=summary.left_out(redlist),
            say=wording,
            HATCH=HATCH,
        )
    )


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


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("churnrisk.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
