"""The red list as one HTML file that needs nothing else."""

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
    """Return the report as one self-contained HTML page.

    Parameters
    ----------
    redlist : RedList
        A published run; its rows are shown in their order.
    company : str
        Whose customers these are.
    evidence : sequence of ColourEvidence
        What became of each colour on a later block; left out when empty.
    metrics : sequence of Figure
        The model's figures beside those of simple rules; left out when empty.
    title : str
        The page's heading.
    currency : str
        Written before amounts.
    limit : int, optional
        At most so many rows; the page says how many there are. None for all.
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
    title: str = "Red list",
    currency: str = "",
    limit: int | None = 500,
) -> Path:
    """Write the page of :func:`render_report` to ``path``, whole or not at all.

    Raises
    ------
    UsageError
        When ``path`` is a folder or cannot be written.
    """
    page = render_report(
        redlist,
        company=company,
        evidence=evidence,
        metrics=metrics,
        title=title,
        currency=currency,
        limit=limit,
    )
    # A lone surrogate in a customer's name must not keep the team from its list.
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
