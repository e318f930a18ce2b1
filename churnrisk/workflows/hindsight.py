"""Hold what people said of accounts against what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from churnrisk.history import HistoryStore
from churnrisk.history.audit import said_of_accounts
from churnrisk.records import Disposition
from churnrisk.snapshots import outcomes
from churnrisk.workflows.overrides import in_words
from churnrisk.workflows.panel import Progress, checked_tables
from churnrisk.workflows.project import Project


@dataclass(frozen=True, slots=True)
class JudgedReview:
    """A review as saved or as a false alarm that stands, and what happened from its day on.

    Attributes
    ----------
    churned : bool or None
        None while the outcome is open, or when the account was not eligible.
    outcome : str
        In words.
    right : bool or None
        Whether the account stayed, as both dispositions say; None without an outcome.
    """

    review_id: int
    account_id: str
    author: str
    at: datetime
    disposition: str
    churned: bool | None
    outcome: str
    right: bool | None


def judge_reviews(project: Project, *, now: datetime, progress: Progress) -> tuple[JudgedReview, ...]:
    """Hold every saved and every false alarm against the label window from its day on, the newest first.

    Raises
    ------
    ContractError
        If the tables break the contract.
    """
    with HistoryStore(project.store_url) as store:
        said = said_of_accounts(store, (Disposition.SAVED, Disposition.FALSE_ALARM))
    if not said:
        return ()
    frame = pd.DataFrame(said)
    frame["as_of"] = pd.to_datetime(frame["at"]).dt.normalize().astype("datetime64[us]")
    with checked_tables(project, now=now, progress=progress) as checked:
        progress("looking up what happened")
        days = [moment.to_pydatetime() for moment in frame["as_of"].unique()]
        found = outcomes(checked.tables, project.churn, days, data_end=checked.span.end)
        end = checked.span.end
    found["as_of"] = found["as_of"].astype(frame["as_of"].dtype)
    judged = frame.merge(found, on=["account_id", "as_of"], how="left")
    judged = judged.assign(outcome=in_words(judged, project.churn, end)).astype(object)
    judged = judged.where(judged.notna(), None)
    return tuple(
        JudgedReview(
            **{name: row[name] for name in ("review_id", "account_id", "author", "at", "disposition")},
            churned=None if row["churned"] is None else bool(row["churned"]),
            outcome=row["outcome"],
            right=None if row["churned"] is None else not row["churned"],
        )
        for row in judged.to_dict("records")
    )
