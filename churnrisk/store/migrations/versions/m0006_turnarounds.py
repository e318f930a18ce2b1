"""The smallest change that would turn each red or amber account."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add scores.turnaround."""
    op.add_column("scores", sa.Column("turnaround", sa.Text))


def downgrade() -> None:
    """Drop what this revision added."""
    with op.batch_alter_table("scores") as batch:
        batch.drop_column("turnaround")
