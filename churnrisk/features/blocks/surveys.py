"""The surveys block: the last answer before each as-of date and the one before it."""

from __future__ import annotations

from churnrisk.features.blocks.block import Block
from churnrisk.features.blocks.columns import known_at
from churnrisk.sources import Tables


def surveys_block(tables: Tables) -> Block:
    """Create ``survey_columns``."""
    known = known_at(tables.available, "surveys", "s", "answered_at")
    tables.engine.run(
        "create or replace temp table survey_columns as "
        "select account_key, as_of, "
        "max(score) filter (where place = 1) as last_score, "
        "max(answered_at) filter (where place = 1) as last_answer_at, "
        "max(score) filter (where place = 2) as previous_score from ("
        "select p.account_key, p.as_of, s.score, s.answered_at, "
        "row_number() over (partition by p.account_key, p.as_of order by s.answered_at desc, s.score) as place "
        f"from panel_rows p join surveys s on s.account_id = p.account_id and {known} < p.as_of) "
        "where place <= 2 group by account_key, as_of"
    )
    return Block.of("survey_columns")
