"""Read the red list from the history: totals first, then the accounts, worst expected loss first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore
from churnrisk.model import read_reasons
from churnrisk.records import Colour, DecidedBy, RedList, RedListRow, Run, Total
from churnrisk.workflows.moved import read_move
from churnrisk.workflows.project import Project

RENEWAL_WINDOW_DAYS = 90


@dataclass(frozen=True)
class RedListFilter:
    """Which rows to show; an empty field asks nothing."""

    colours: tuple[str, ...] = ("red", "amber")
    owner: str | None = None
    segment: str | None = None
    newly_red: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.colours) - set(Colour))
        if unknown:
            raise UsageError(f"{', '.join(unknown)} is no colour; choose among {', '.join(Colour)}.")


def red_list(project: Project, *, as_of: date | None, wanted: RedListFilter) -> RedList:
    """Return the red list of a published run.

    Parameters
    ----------
    project : Project
        The project.
    as_of : date, optional
        Default: the latest published run.
    wanted : RedListFilter
        Which rows.

    Raises
    ------
    UsageError
        If nothing has been published (for that date).
    """
    with HistoryStore(project.store_url) as store:
        run = find_run(store, as_of)
        before = store.latest_run(before=run.as_of)
        scores = store.scores(run.run_id)
        previous = store.scores(before.run_id) if before else None
    known = pd.DataFrame() if previous is None else previous.set_index("account_id")
    scores = _with_previous(scores, known)
    chosen = _choose(scores, wanted)
    return RedList(run, before, _totals(run, before, scores, previous), _rows(chosen, run.as_of))


def find_run(store: HistoryStore, as_of: date | None) -> Run:
    """Return the live run of an as-of date, or of the latest one.

    Raises
    ------
    UsageError
        If there is none.
    """
    if as_of is None:
        latest = store.latest_run()
        if latest is None:
            raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
        return latest
    moment = datetime(as_of.year, as_of.month, as_of.day)
    runs = store.runs()
    for run in runs:
        if run.as_of == moment:
            return run
    there = ", ".join(f"{run.as_of:%Y-%m-%d}" for run in runs[:8]) or "none"
    raise UsageError(
        f"no run is published as of {moment:%Y-%m-%d}; there are {there}. Run `churnrisk score --as-of`."
    )


def _with_previous(scores: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    merged = scores.copy()
    for column in ("colour", "probability"):
        merged[f"previous_{column}"] = merged["account_id"].map(known[column]) if len(known) else None
    merged["expected_loss"] = merged["probability"] * merged["annual_value"]
    return merged


def _choose(scores: pd.DataFrame, wanted: RedListFilter) -> pd.DataFrame:
    keep = scores["colour"].isin(wanted.colours)
    for column, value in (("owner", wanted.owner), ("segment", wanted.segment)):
        if value:
            keep &= scores[column].str.casefold() == value.casefold()
    if wanted.newly_red:
        keep &= (scores["colour"] == "red") & (scores["previous_colour"] != "red")
    order = scores.assign(red_first=scores["colour"] != "red")
    by = ["expected_loss", "probability"] if scores["annual_value"].notna().any() else ["probability"]
    return order[keep].sort_values(
        ["red_first", *by, "account_id"], ascending=[True, *[False] * len(by), True]
    )


def _rows(scores: pd.DataFrame, as_of: datetime) -> tuple[RedListRow, ...]:
    days_to_renewal = (scores["renewal_at"] - pd.Timestamp(as_of)).dt.days
    table = scores.assign(days_to_renewal=days_to_renewal).astype(object)
    table = table.where(table.notna(), None)
    return tuple(
        RedListRow(
            account_id=row["account_id"],
            name=row["name"],
            owner=row["owner"],
            segment=row["segment"],
            colour=Colour(row["colour"]),
            previous_colour=Colour(row["previous_colour"]) if row["previous_colour"] else None,
            decided_by=DecidedBy(row["decided_by"]),
            churn_probability=row["probability"],
            previous_probability=row["previous_probability"],
            annual_value=row["annual_value"],
            expected_loss=row["expected_loss"],
            renewal_at=row["renewal_at"],
            days_to_renewal=row["days_to_renewal"],
            days_in_colour=row["days_in_colour"],
            rule=row["rule"],
            reasons=read_reasons(row["reasons"] or "[]"),
            next_step=row["next_step"] or "",
            moved=read_move(row["moved"]),
        )
        for row in table.to_dict("records")
    )


def _totals(
    run: Run, before: Run | None, scores: pd.DataFrame, previous: pd.DataFrame | None
) -> tuple[Total, ...]:
    def figures(frame: pd.DataFrame, as_of: datetime) -> dict[str, float]:
        red = frame["colour"] == "red"
        days = (frame["renewal_at"] - pd.Timestamp(as_of)).dt.days
        figures: dict[str, float] = {
            "Accounts": float((frame["colour"] != "grey").sum()),
            "Red": float(red.sum()),
            "Amber": float((frame["colour"] == "amber").sum()),
        }
        if frame["renewal_at"].notna().any():
            figures["Red and renewing in 90 days"] = float((red & days.between(0, RENEWAL_WINDOW_DAYS)).sum())
        if frame["annual_value"].notna().any():
            at_risk = frame["colour"].isin(["red", "amber"])
            figures["Revenue at risk"] = float(np.nansum(frame.loc[at_risk, "annual_value"]))
        return figures

    now = figures(scores, run.as_of)
    then = figures(previous, before.as_of) if previous is not None and before is not None else {}
    return tuple(Total(label, value, then.get(label)) for label, value in now.items())
