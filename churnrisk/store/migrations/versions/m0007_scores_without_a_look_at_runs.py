"""Scores are written only with their run, in one transaction: no database need look the run up for each of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NAME = "scores_run_id_fkey"
_REFERENCE = "FOREIGN KEY(run_id) REFERENCES runs (run_id)"


def upgrade() -> None:
    """Drop the foreign key of the scores.

    SQLite would have to copy them all, and looks a run up in no time: a file with scores in it keeps the key.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text(f"alter table scores drop constraint if exists {_NAME}"))
    elif not op.get_bind().scalar(sa.text("select exists (select 1 from scores)")):
        _make_anew()


def _make_anew() -> None:
    made = sa.text(
        "select sql from sqlite_master where tbl_name = 'scores' and sql is not null order by type desc"
    )
    statements = op.get_bind().scalars(made).all()
    op.drop_table("scores")
    for statement in statements:
        op.execute(sa.text(_without_reference(statement).replace(":", r"\:")))


def _without_reference(statement: str) -> str:
    before, _, after = statement.partition(_REFERENCE)
    return before.rstrip().removesuffix(",") + after
