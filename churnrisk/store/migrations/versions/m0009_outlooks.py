"""When accounts are likely to be lost, as seen by the model of the run."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the outlook to the scores."""
    for name in ("lost_by_renewal", "lost_by_end", "half_lost_days", "expected_days", "outlook_days"):
        op.add_column("scores", sa.Column(name, sa.Float))
