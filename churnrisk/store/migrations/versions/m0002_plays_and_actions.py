"""The play of each score, and the actions that were handed out."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add scores.play and the table of actions."""
    op.add_column("scores", sa.Column("play", sa.Text))
    op.create_table(
        "actions",
        sa.Column("action_id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("play", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("colour", sa.String(8), nullable=False),
        sa.Column("handed_out_at", sa.DateTime, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("run_id", "account_id", "play", "reason", name="uq_actions_case"),
    )
    op.create_index("ix_actions_handed_out_at", "actions", ["handed_out_at"])
