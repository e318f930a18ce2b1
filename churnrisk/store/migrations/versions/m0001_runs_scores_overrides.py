"""Runs, scores and overrides."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Integer, primary_key=True),
        sa.Column("run_key", sa.String(64), nullable=False, unique=True),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("published_at", sa.DateTime, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("inputs_digest", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("accounts", "red", "amber", "green", "grey")
        ),
        sa.Column("forced_by", sa.Text),
    )
    op.create_index("ix_runs_as_of", "runs", ["as_of"])
    op.create_table(
        "scores",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("segment", sa.Text),
        sa.Column("probability", sa.Float),
        sa.Column("log_odds", sa.Float),
        sa.Column("colour", sa.String(8), nullable=False),
        sa.Column("raw_colour", sa.String(8)),
        sa.Column("model_colour", sa.String(8)),
        sa.Column("decided_by", sa.String(16), nullable=False),
        sa.Column("rule", sa.Text),
        sa.Column("colour_since", sa.DateTime, nullable=False),
        sa.Column("annual_value", sa.Float),
        sa.Column("renewal_at", sa.DateTime),
        sa.Column("reasons", sa.Text),
        sa.Column("contributions", sa.Text),
        sa.Column("stage", sa.Text),
        sa.Column("next_step", sa.Text),
    )
    op.create_table(
        "overrides",
        sa.Column("override_id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("colour", sa.String(8), nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
    )
    op.create_index("ix_overrides_account_id", "overrides", ["account_id"])
