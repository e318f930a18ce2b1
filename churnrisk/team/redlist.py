"""The red list of a published run: page by page, whole, or as a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from churnrisk import present
from churnrisk.errors import NoChampionError, UsageError
from churnrisk.records import (
    FAMILIES,
    NONE,
    AtRisk,
    Colour,
    ColourEvidence,
    Interval,
    RedList,
    RedListQuery,
    RedListRow,
    Run,
    Total,
)
from churnrisk.settings import Project, open_store
from churnrisk.store import (
    RENEWAL_WINDOW_DAYS,
    BuiltQuery,
    HistoryStore,
    Sums,
    Transaction,
    build_query,
    count_hidden,
    owners_of,
    read_page,
    read_totals,
    read_withdrawals,
    stream_rows,
    total,
    within,
)
from churnrisk.training import Progress, tracking_of

_LARGEST_PAGE = 10_000
# Larger pages are for programs, which ask once; a server would hold a hundred of them in memory.
_LARGEST_CACHED = 200
_LABELS = {
    "auc": ("AUC", True),
    "average_precision": ("Average precision", True),
    "lift_top_10": ("Lift in the top 10 %", True),
    "recall_at_capacity": ("Recall at capacity", True),
    "log_loss": ("Log loss", False),
    "brier": ("Brier score", False),
    "calibration_error": ("Calibration error", False),
}


def read_red_list(
    store: HistoryStore,
    *,
    as_of: date | None,
    query: RedListQuery,
    now: datetime,
    page: int = 1,
    per_page: int | None = 50,
) -> RedList:
    """Return one page of the red list of a published run (default: the latest) with the totals over it.

    The scope and owner of ``query`` limit the totals too; ``now`` decides which snoozes are in force.
    """
    if page < 1 or (per_page is not None and not 1 <= per_page <= _LARGEST_PAGE):
        raise UsageError(
            f"expected a page from 1 on of at most {_LARGEST_PAGE:,} rows, found page {page} of {per_page}."
        )
    with store.database.reading() as connection:

        def read() -> RedList:
            built = build_query(store, connection, *_runs(store, connection, as_of), query, now)
            return _read(connection, built, page, per_page)

        if per_page is None or per_page > _LARGEST_CACHED:
            return read()
        # snoozes end when a day begins, so within a day nothing but a run or a review changes the page
        key = ("red list", as_of, query, now.date(), page, per_page)
        return store.cached(connection, key, read)


def red_list(
    project: Project, *, as_of: date | None, query: RedListQuery, now: datetime, limit: int | None = None
) -> RedList:
    """Return the red list of a project, at most ``limit`` rows of it, cut at the project's capacity."""
    query = query.model_copy(update={"capacity": project.decision.capacity})
    with HistoryStore(project.store_url) as store:
        if limit is None or limit <= _LARGEST_PAGE:
            return read_red_list(store, as_of=as_of, query=query, now=now, per_page=limit)
        found = read_red_list(store, as_of=as_of, query=query, now=now, per_page=None)
        return replace(found, rows=found.rows[:limit])


@contextmanager
def export(
    store: HistoryStore, *, as_of: date | None, query: RedListQuery, now: datetime
) -> Iterator[tuple[Run, Iterable[RedListRow]]]:
    """Yield the run and all matching rows in order, streamed from the database."""
    with store.database.reading() as connection:
        run, previous_run = _runs(store, connection, as_of)
        built = build_query(store, connection, run, previous_run, query, now)
        yield run, stream_rows(connection, built)


def find_run(store: HistoryStore, as_of: date | None) -> Run:
    """Return the live run of an as-of date, or of the latest one; raise UsageError if there is none."""
    with store.database.reading() as connection:
        return _runs(store, connection, as_of)[0]


def _runs(store: HistoryStore, connection: Transaction, as_of: date | None) -> tuple[Run, Run | None]:
    instant = None if as_of is None else datetime(as_of.year, as_of.month, as_of.day)
    found = store.live_runs(connection, instant)
    if found is not None:
        return found
    if instant is None:
        raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
    there = ", ".join(f"{run.as_of:%Y-%m-%d}" for run in store.runs()[:8]) or "none"
    raise UsageError(
        f"no run is published as of {instant:%Y-%m-%d}; there are {there}. Run `churnrisk score --as-of`."
    )


def _read(connection: Transaction, built: BuiltQuery, page: int, per_page: int | None) -> RedList:
    run, previous_run, scope = built.run, built.previous_run, built.query.scope
    hidden = count_hidden(connection, built)
    if per_page is None:
        found = list(stream_rows(connection, built))
        matching = len(found)
    else:
        offset = (page - 1) * per_page
        found, matching = read_page(connection, built, hidden, limit=per_page, offset=offset)
    run_ids = [one.run_id for one in (run, previous_run) if one]
    sums = read_totals(connection, run_ids, owners=built.owners)
    latest = [one for one in sums if one.run_id == run.run_id]
    owners = owners_of(connection, run.run_id) if scope is None else within(connection, run, scope)
    return RedList(
        run,
        previous_run,
        _totals(latest, [one for one in sums if one.run_id != run.run_id]),
        tuple(found),
        matching=matching,
        page=page,
        per_page=per_page or matching,
        by_segment=at_risk(latest, "segment"),
        by_quarter=at_risk(latest, "quarter"),
        owners=owners,
        segments=tuple(sorted({one.segment for one in latest if one.segment is not None})),
        families=FAMILIES,
        snoozed=hidden["snoozed"],
        churned=hidden["churned"],
        places=None if built.queue is None else built.queue.places(latest, built.owners),
    )


def at_risk(sums: Iterable[Sums], by: str) -> tuple[AtRisk, ...]:
    """Return what is at risk by segment, the largest value first, or by quarter, in order of time."""
    groups: dict[Any, list[Sums]] = {}
    for one in sums:
        if one.colour in ("red", "amber"):
            groups.setdefault(getattr(one, by), []).append(one)
    found = [_group(key, its) for key, its in groups.items()]
    if by == "quarter":
        return tuple(sorted(found, key=lambda group: (group.key == NONE, group.key)))
    return tuple(sorted(found, key=lambda group: (group.key == NONE, -group.value, group.key)))


def _group(key: str | int | None, sums: Sequence[Sums]) -> AtRisk:
    """Add a group up, by the key that the query knows; the quarter 20263 is ``2026-Q3``."""
    return AtRisk(
        f"{key // 10}-Q{key % 10}" if isinstance(key, int) else key or NONE,
        red=int(total(sums, "accounts", "red")),
        amber=int(total(sums, "accounts", "amber")),
        red_value=total(sums, "annual_value", "red"),
        amber_value=total(sums, "annual_value", "amber"),
        expected_loss=total(sums, "expected_loss", "red") + total(sums, "expected_loss", "amber"),
    )


def _totals(sums: Sequence[Sums], previous: Sequence[Sums]) -> tuple[Total, ...]:
    now, then = _figures(sums), _figures(previous) if previous else {}
    return tuple(Total(label, value, then.get(label)) for label, value in now.items())


def _figures(sums: Sequence[Sums]) -> dict[str, float]:
    figures = {
        "Accounts": total(sums, "accounts", "red", "amber", "green"),
        "Red": total(sums, "accounts", "red"),
        "Amber": total(sums, "accounts", "amber"),
    }
    if total(sums, "dated", *Colour):
        figures[f"Red and renewing in {RENEWAL_WINDOW_DAYS} days"] = total(sums, "renewing", "red")
    if total(sums, "valued", *Colour):
        figures["Revenue at risk"] = total(sums, "annual_value", "red", "amber")
    return figures


def write_report(
    project: Project, path: Path, *, as_of: date | None, now: datetime, progress: Progress
) -> RedList:
    """Write the red list of a published run to ``.html`` or ``.xlsx``."""
    if path.suffix not in (".html", ".xlsx"):
        raise UsageError(f"{path.name} has no supported file extension. Use .html or .xlsx.")
    progress("reading the history")
    found = red_list(project, as_of=as_of, query=RedListQuery(), now=now)
    if path.suffix == ".xlsx":
        progress("writing the workbook")
        present.write_workbook(path, found, company=project.name)
        return found
    progress("reading what the colours promised")
    documents = _documents(project, found.run.model_version)
    progress("writing the page")
    present.write_report(
        path,
        found,
        company=project.name,
        evidence=_evidence(documents.get("evidence.json", []), _withdrawn(project, found.run.model_version)),
        metrics=_model_figures(documents.get("evaluation.json", {})),
    )
    return found


def _documents(project: Project, version: str) -> dict[str, Any]:
    try:
        return tracking_of(project).stored(version).documents
    except (NoChampionError, UsageError):
        # scored with a bundle: the list needs no registry, and the page leaves out what only that knows
        return {}


def _withdrawn(project: Project, version: str) -> dict[Colour, str]:
    """Return since when a colour's promise, of one model version, is withdrawn."""
    with open_store(project) as store, store.database.reading() as connection:
        found = read_withdrawals(connection)
    return {
        Colour(one.colour): f"{one.promise.text}, withdrawn since {one.withdrawn_at:%Y-%m-%d}"
        for one in found
        if one.model_version == version
    }


def _evidence(
    stored: Sequence[dict[str, Any]], withdrawn: Mapping[Colour, str]
) -> tuple[ColourEvidence, ...]:
    rows = (
        ColourEvidence(**{**row, "colour": Colour(row["colour"]), "churn_rate": _number(row["churn_rate"])})
        for row in stored
    )
    return tuple(replace(row, promise=withdrawn.get(row.colour, row.promise)) for row in rows)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _model_figures(stored: dict[str, Any]) -> list[present.Figure]:
    scorers = stored.get("figures", {})
    return [
        present.Figure(
            label,
            {scorer: _interval(figures.get(name)) for scorer, figures in scorers.items()},
            higher_is_better=higher,
        )
        for name, (label, higher) in _LABELS.items()
    ]


def _interval(stored: dict[str, Any] | None) -> Interval | None:
    return None if stored is None else Interval(**{name: _number(value) for name, value in stored.items()})
