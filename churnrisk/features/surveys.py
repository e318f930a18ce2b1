"""Surveys: the last answer, its change, and whether it says "not satisfied"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa

from churnrisk.features.arrays import instants, numbers_of
from churnrisk.features.block import ArrayBlock, BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup

_feature = FeatureFamily("satisfaction", ("surveys",), "Never answered a survey")
_FEATURES = (
    _feature("last_survey_score", "0-10", "last_score", "last survey score",
        "The last survey score was {value:.0f} of 10", -1),
    _feature("survey_score_change", "points", "last_score - previous_score", "change of the survey score",
        "The survey score moved by {value:+.0f} points", -1, why_missing="Answered fewer than two surveys"),
    _feature("detractor", "yes/no",
        "case when last_score is null then null when last_score <= 6 and last_answer_at >= as_of - interval 90 day "
        "then 1 else 0 end", "stated dissatisfaction in the last 90 days",
        "Said in a survey that they are not satisfied", +1),
    _feature("days_since_survey", "days", "date_diff('day', last_answer_at, as_of)",
        "days since the last survey answer", "Last answered a survey {value:.0f} days ago"),
)  # fmt: skip


def _prepare(inputs: BlockInputs) -> FeatureBlock:
    known = inputs.available.known_at("surveys", "s")
    rows = inputs.create(
        "survey_answers",
        f"select k.account_key, s.answered_at, s.score, {known} as known_at "
        f"from surveys s join {inputs.keys} k on k.account_id = s.account_id",
    )
    return FeatureBlock({}, ArrayBlock(rows, partial(survey_columns, inputs.as_of)))


def survey_columns(dates: Sequence[datetime], rows: pa.Table, accounts: int) -> pa.Table:
    """Return the last answer before each date, and the one before it."""
    account, answered, known = (
        rows["account"].to_numpy(),
        instants(rows, "answered_at"),
        instants(rows, "known_at"),
    )
    score = rows["score"].cast(pa.float64()).fill_null(np.nan).to_numpy()
    # of two answers at one instant the worse one counts as the later
    order = np.lexsort((-np.nan_to_num(score, nan=np.inf), answered, account))
    account, known = account[order], known[order]
    last, former = np.full((2, len(dates), accounts), -1)
    for place, date in enumerate(numbers_of(dates)):
        seen = np.flatnonzero(known < date)
        ends = np.flatnonzero(np.diff(account[seen], append=-1))
        last[place, account[seen[ends]]] = seen[ends]
        seconds = ends[(ends > 0) & (account[seen[ends - 1]] == account[seen[ends]])]
        former[place, account[seen[seconds]]] = seen[seconds - 1]

    def answer(column: str, which: np.ndarray) -> pa.Array:
        found = which.reshape(-1)
        return rows[column].combine_chunks().take(pa.array(np.append(order, 0)[found], mask=found < 0))

    return pa.table(
        {
            "last_score": answer("score", last),
            "last_answer_at": answer("answered_at", last),
            "previous_score": answer("score", former),
        }
    )


SURVEYS = FeatureGroup(
    "surveys",
    _prepare,
    _FEATURES,
    {
        "survey_answers": "The answers with the instant from which each was known; the last two are found beside SQL."
    },
)
