"""The red list, one page at a time, from an open history: what a page, a report and the command line read.

``worklist`` gives a page with its totals, ``export`` every row of exactly the same view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore, read_move, read_reasons, read_what_if
from churnrisk.history.asked import Asked, ask, within
from churnrisk.history.database import Transaction
from churnrisk.history.desk import desk_state
from churnrisk.history.totals import RENEWAL_WINDOW_DAYS, Sums, owners_of, read_totals
from churnrisk.history.wanted import FAMILIES, NONE, WorklistFilter
from churnrisk.history.worklist import count_hidden, read_page, stream_rows
from churnrisk.records import AtRisk, Colour, DecidedBy, RedList, RedListRow, Run, Total

__all__ = ["FAMILIES", "NONE", "WorklistFilter", "worklist", "export", "find_run", "at_risk", "to_row"]

_LARGEST_PAGE = 10_000
# Larger pages are for programs, which ask once; a server would keep a hundred of them in memory.
_LARGEST_REMEMBERED = 200


def worklist(
    store: HistoryStore,
    *,
    as_of: date | None,
    wanted: WorklistFilter,
    now: datetime,
    page: int = 1,
    per_page: int | None = 50,
) -> RedList:
    """Return one page of the red list of a published run, with the totals over it.

    Parameters
    ----------
    store : HistoryStore
        An open history.
    as_of : date, optional
        Default: the latest published run.
    wanted : WorklistFilter
        Which rows; its scope and owner limit the totals too.
    now : datetime
        Snoozes that end later are in force.
    page : int
        From 1; a page beyond the last one has no rows.
    per_page : int, optional
        Rows of a page; None puts all of them on one.

    Raises
    ------
    UsageError
        If nothing has been published (for that date), or there is no such page.
    """
    if page < 1 or (per_page is not None and not 1 <= per_page <= _LARGEST_PAGE):
        raise UsageError(
            f"expected a page from 1 on of at most {_LARGEST_PAGE:,} rows, found page {page} of {per_page}."
        )
    with store.database.reading() as connection:

        def read() -> RedList:
            run, before = _runs(store, connection, as_of)
            return _read(connection, ask(connection, run, before, wanted, now), page, per_page)

        if store.memory is None or per_page is None or per_page > _LARGEST_REMEMBERED:
            return read()
        # snoozes end when a day begins, so within a day nothing but a run or a review changes the page
        question = ("worklist", as_of, wanted, now.date(), page, per_page)
        return store.memory.answer(connection, question, read)


def _read(connection: Transaction, asked: Asked, page: int, per_page: int | None) -> RedList:
    run, before, now = asked.run, asked.before, asked.now
    hidden = count_hidden(connection, asked)
    if per_page is None:
        rows = tuple(to_row(row, run, now) for row in stream_rows(connection, asked))
        matching = len(rows)
    else:
        found, matching = read_page(connection, asked, hidden, limit=per_page, offset=(page - 1) * per_page)
        rows = tuple(to_row(row, run, now) for row in found)
    sums = read_totals(connection, [one.run_id for one in (run, before) if one], owners=asked.owners)
    mine = [one for one in sums if one.run_id == run.run_id]
    scope = asked.wanted.scope
    owners = owners_of(connection, run.run_id) if scope is None else within(connection, run, scope)
    return RedList(
        run,
        before,
        _totals(mine, [one for one in sums if one.run_id != run.run_id]),
        rows,
        matching=matching,
        page=page,
        per_page=per_page or matching,
        by_segment=at_risk(mine, "segment"),
        by_quarter=at_risk(mine, "quarter"),
        owners=owners,
        segments=tuple(sorted({one.segment for one in mine if one.segment is not None})),
        families=FAMILIES,
        snoozed=hidden["snoozed"],
        churned=hidden["churned"],
    )


@contextmanager
def export(
    store: HistoryStore, *, as_of: date | None, wanted: WorklistFilter, now: datetime
) -> Iterator[tuple[Run, Iterable[RedListRow]]]:
    """Give the run and every row of a view in its order, read while they are taken.

    Raises
    ------
    UsageError
        If nothing has been published (for that date).
    """
    with store.database.reading() as connection:
        run, before = _runs(store, connection, as_of)
        asked = ask(connection, run, before, wanted, now)
        yield run, (to_row(row, run, now) for row in stream_rows(connection, asked))


def find_run(store: HistoryStore, as_of: date | None) -> Run:
    """Return the live run of an as-of date, or of the latest one.

    Raises
    ------
    UsageError
        If there is none.
    """
    with store.database.reading() as connection:
        return _runs(store, connection, as_of)[0]


def _runs(store: HistoryStore, connection: Transaction, as_of: date | None) -> tuple[Run, Run | None]:
    moment = None if as_of is None else datetime(as_of.year, as_of.month, as_of.day)
    found = store.live_runs(connection, moment)
    if found is not None:
        return found
    if moment is None:
        raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
    there = ", ".join(f"{run.as_of:%Y-%m-%d}" for run in store.runs()[:8]) or "none"
    raise UsageError(
        f"no run is published as of {moment:%Y-%m-%d}; there are {there}. Run `churnrisk score --as-of`."
    )


def at_risk(sums: Iterable[Sums], by: str) -> tuple[AtRisk, ...]:
    """Return what is at risk in each segment or owner, the largest value first, or quarter, in order of time."""
    groups: dict[Any, list[Sums]] = {}
    for one in sums:
        if one.colour in ("red", "amber"):
            groups.setdefault(getattr(one, by), []).append(one)
    made = [_group(quarter_key(key) if by == "quarter" else key or NONE, its) for key, its in groups.items()]
    if by == "quarter":
        return tuple(sorted(made, key=lambda group: (group.key == NONE, group.key)))
    return tuple(sorted(made, key=lambda group: (group.key == NONE, -group.value, group.key)))


def quarter_key(quarter: int | None) -> str:
    """Return 20263 as ``2026-Q3``."""
    return NONE if quarter is None else f"{quarter // 10}-Q{quarter % 10}"


def _group(key: str, sums: Sequence[Sums]) -> AtRisk:
    def add(what: str, colour: str) -> Any:
        return sum(getattr(one, what) for one in sums if one.colour == colour)

    return AtRisk(
        key,
        red=add("accounts", "red"),
        amber=add("accounts", "amber"),
        red_value=add("annual_value", "red"),
        amber_value=add("annual_value", "amber"),
        expected_loss=add("expected_loss", "red") + add("expected_loss", "amber"),
    )


def _totals(sums: Sequence[Sums], before: Sequence[Sums]) -> tuple[Total, ...]:
    now, then = _figures(sums), _figures(before) if before else {}
    return tuple(Total(label, value, then.get(label)) for label, value in now.items())


def _figures(sums: Sequence[Sums]) -> dict[str, float]:
    def add(what: str, *colours: str) -> float:
        return float(sum(getattr(one, what) for one in sums if one.colour in colours))

    everyone = tuple(Colour)
    figures = {
        "Accounts": add("accounts", "red", "amber", "green"),
        "Red": add("accounts", "red"),
        "Amber": add("accounts", "amber"),
    }
    if add("dated", *everyone):
        figures[f"Red and renewing in {RENEWAL_WINDOW_DAYS} days"] = add("renewing", "red")
    if add("valued", *everyone):
        figures["Revenue at risk"] = add("annual_value", "red", "amber")
    return figures


def to_row(row: Mapping[Any, Any], run: Run, now: datetime) -> RedListRow:
    """Return what the history holds of an account at a run as a line of the red list."""
    value, probability, renewal = row["annual_value"], row["probability"], row["renewal_at"]
    previous = row["previous_colour"]
    return RedListRow(
        account_id=row["account_id"],
        name=row["name"],
        owner=row["owner"],
        segment=row["segment"],
        colour=Colour(row["colour"]),
        previous_colour=Colour(previous) if previous else None,
        decided_by=DecidedBy(row["decided_by"]),
        churn_probability=probability,
        previous_probability=row["previous_probability"],
        annual_value=value,
        expected_loss=None if value is None or probability is None else probability * value,
        renewal_at=renewal,
        days_to_renewal=None if renewal is None else (renewal - run.as_of).days,
        days_in_colour=(run.as_of - row["colour_since"]).days,
        rule=row["rule"],
        reasons=read_reasons(row["reasons"]),
        next_step=row["next_step"] or "",
        moved=read_move(row["moved"]),
        turnaround=read_what_if(row["turnaround"]),
        play=row["play"],
        desk=desk_state(row, now=now),
    )
