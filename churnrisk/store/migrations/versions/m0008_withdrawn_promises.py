"""Promises that later outcomes broke, and what a figure on the promises page counts."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add withdrawals, and to the outcomes the horizon, the rows of the model's test and what the light notes."""
    op.add_column("run_outcomes", sa.Column("tested_rows", sa.BigInteger))
    op.add_column("run_outcomes", sa.Column("horizon_days", sa.Integer))
    op.add_column("run_outcomes", sa.Column("note", sa.Text))
    op.create_table(
        "withdrawals",
        sa.Column("withdrawal_id", sa.Integer, primary_key=True),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("colour", sa.String(8), nullable=False),
        sa.Column("at_most", sa.Float),
        sa.Column("at_least", sa.Float),
        sa.Column("withdrawn_at", sa.DateTime, nullable=False),
        sa.Column("horizon_days", sa.Integer, nullable=False),
        sa.Column("first_as_of", sa.DateTime, nullable=False),
        sa.Column("last_as_of", sa.DateTime, nullable=False),
        sa.Column("windows", sa.Integer, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("churned", sa.BigInteger, nullable=False),
        sa.Column("e_value", sa.Float, nullable=False),
    )
