"""Why each score moved since the run before."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add scores.moved."""
    op.add_column("scores", sa.Column("moved", sa.Text))


def downgrade() -> None:
    """Drop what this revision added."""
    with op.batch_alter_table("scores") as batch:
        batch.drop_column("moved")
