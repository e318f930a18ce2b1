"""Surveys: the last answer, its change, and whether it says "not satisfied"."""

from __future__ import annotations

from churnrisk.features.block import BlockInputs, FeatureBlock, FeatureFamily, FeatureGroup

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
    columns = inputs.create(
        "survey_columns",
        "select account_key, as_of, "
        "max(score) filter (where place = 1) as last_score, "
        "max(answered_at) filter (where place = 1) as last_answer_at, "
        "max(score) filter (where place = 2) as previous_score from ("
        "select p.account_key, p.as_of, s.score, s.answered_at, "
        "row_number() over (partition by p.account_key, p.as_of order by s.answered_at desc, s.score) as place "
        f"from {inputs.rows} p join surveys s on s.account_id = p.account_id and {known} < p.as_of) "
        "where place <= 2 group by account_key, as_of",
    )
    return FeatureBlock.of(columns)


SURVEYS = FeatureGroup(
    "surveys",
    _prepare,
    _FEATURES,
    {"survey_columns": "The last answer before each date, and the one before it."},
)
