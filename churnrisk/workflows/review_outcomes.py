"""What people said of accounts, in overrides and reviews, against what became of them.

Each is judged by the label window that begins on its day, as the model is, and only once that window is mature.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from churnrisk.history import HistoryStore, all_overrides
from churnrisk.history.account_state import reviews_with
from churnrisk.records import Disposition
from churnrisk.snapshots import ChurnConfig, outcomes
from churnrisk.workflows.panel import Progress, checked_tables
from churnrisk.workflows.project import Project

_AT_RISK = ("amber", "red")


@dataclass(frozen=True, slots=True)
class JudgedReview:
    """A review in force as saved or as a false alarm, and the outcome.

    ``churned`` is None while the outcome is open or when the account was not eligible; ``right`` says whether the
    account stayed, as both dispositions claim.
    """

    review_id: int
    account_id: str
    author: str
    at: datetime
    disposition: str
    churned: bool | None
    outcome: str
    right: bool | None


@dataclass(frozen=True, slots=True)
class ReviewedOverride:
    """An override and the outcome; ``model_colour`` is what model and rules said at the last run before it.

    ``churned`` is None while the outcome is open or when the account was not eligible. Right is who said green of an
    account that stayed, or amber or red of one that churned.
    """

    override_id: int
    account_id: str
    colour: str
    author: str
    reason: str
    created_at: datetime
    model_colour: str | None
    churned: bool | None
    outcome: str
    person_right: bool | None
    model_right: bool | None


def judge_reviews(project: Project, *, now: datetime, progress: Progress) -> tuple[JudgedReview, ...]:
    """Judge every review as saved or as a false alarm, the newest first."""
    with HistoryStore(project.store_url) as store:
        said = reviews_with(store, (Disposition.SAVED, Disposition.FALSE_ALARM))
    if not said:
        return ()
    judged = _with_outcomes(project, pd.DataFrame(said), "at", now=now, progress=progress)
    judged["right"] = judged["churned"].map({True: False, False: True})
    rows = judged.astype(object).where(judged.notna(), None).to_dict("records")
    return tuple(JudgedReview(**{name: row[name] for name in JudgedReview.__slots__}) for row in rows)


def review_overrides(project: Project, *, now: datetime, progress: Progress) -> tuple[ReviewedOverride, ...]:
    """Judge every override, and the model beside it, the newest first."""
    with HistoryStore(project.store_url) as store:
        frame = all_overrides(store)
        if frame.empty:
            return ()
        frame = frame.assign(model_colour=_model_colours(store, frame))
    judged = _with_outcomes(project, frame, "created_at", now=now, progress=progress)
    for column, colour in (("person_right", "colour"), ("model_right", "model_colour")):
        right = judged[colour].isin(_AT_RISK) == judged["churned"]
        known = judged["churned"].notna() & judged[colour].notna()
        judged[column] = right.astype(object).where(known, None)
    judged = judged.iloc[::-1].astype(object)
    rows = judged.where(judged.notna(), None).to_dict("records")
    return tuple(ReviewedOverride(**{name: row[name] for name in ReviewedOverride.__slots__}) for row in rows)


def _with_outcomes(
    project: Project, frame: pd.DataFrame, instant: str, *, now: datetime, progress: Progress
) -> pd.DataFrame:
    """Return the rows with ``churned`` (True, False or None) and ``outcome`` of the window from the instant's day."""
    frame = frame.assign(as_of=pd.to_datetime(frame[instant]).dt.normalize().astype("datetime64[us]"))
    with checked_tables(project, now=now, progress=progress) as checked:
        progress("looking up what happened")
        days = [moment.to_pydatetime() for moment in frame["as_of"].unique()]
        data_end = checked.span.end
        found = outcomes(checked.tables, project.churn, days, data_end=data_end)
    found["as_of"] = found["as_of"].astype(frame["as_of"].dtype)
    judged = frame.merge(found, on=["account_id", "as_of"], how="left")
    churned = judged["churned"].astype(object).map(bool, na_action="ignore")
    return judged.assign(
        outcome=_outcome_text(judged, project.churn, data_end), churned=churned.where(churned.notna(), None)
    )


def _outcome_text(frame: pd.DataFrame, churn: ChurnConfig, data_end: datetime) -> pd.Series:
    mature = frame["as_of"] + churn.outcome_delay <= pd.Timestamp(data_end)
    until = (frame["as_of"] + churn.outcome_delay).dt.strftime("open until %Y-%m-%d")
    why = ("not eligible: " + frame["grey_reason"].astype(object)).fillna("no outcome known")
    known, churned = frame["churned"].notna(), frame["churned"].fillna(False).astype(bool)
    text = churned.map({True: "churned", False: "stayed"}).where(known, why.where(mature, until))
    return text.astype(object)


def _model_colours(store: HistoryStore, frame: pd.DataFrame) -> pd.Series:
    """Return what model and rules said of each override's account at the last run before it."""
    live = {run.as_of: run.run_id for run in reversed(store.runs())}
    as_ofs = pd.DataFrame({"as_of": pd.to_datetime(sorted(live)).astype("datetime64[us]")})
    made = frame[["override_id", "account_id", "created_at"]].sort_values("created_at")
    near = pd.merge_asof(made, as_ofs, left_on="created_at", right_on="as_of")
    colours: dict[int, str] = {}
    for as_of, group in near.groupby("as_of"):
        run_id = live[pd.Timestamp(str(as_of)).to_pydatetime()]
        raw = store.scores(run_id, columns=["account_id", "raw_colour"]).set_index("account_id")
        found = group["account_id"].map(raw["raw_colour"])
        colours |= dict(zip(group["override_id"], found, strict=True))
    said = frame["override_id"].map(colours).astype(object)
    return said.where(said.isin(["green", *_AT_RISK]), None)
