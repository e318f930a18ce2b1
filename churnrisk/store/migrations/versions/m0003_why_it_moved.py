"""Why each score moved since the run before."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add scores.moved."""
    op.add_column("scores", sa.Column("moved", sa.Text))
