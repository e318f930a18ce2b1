"""The smallest change that would turn each red or amber account."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add scores.turnaround."""
    op.add_column("scores", sa.Column("turnaround", sa.Text))
