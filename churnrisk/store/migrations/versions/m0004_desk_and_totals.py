"""What the red list in the browser needs: the desk with its audit trail, sums of each run, outcomes of colours."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_LISTED = "colour in ('red', 'amber')"
_ORDER = (
    "run_id",
    sa.text("colour desc"),
    sa.text("coalesce(probability * annual_value, -1.0) desc"),
    sa.text("probability desc"),
    "account_id",
    "owner",
    "segment",
    "family",
    "renewal_at",
    "colour_since",
)


def upgrade() -> None:
    """Add the tables, and fill in for old runs what new ones are published with."""
    op.add_column("scores", sa.Column("family", sa.String(16)))
    op.create_index("ix_actions_account_id", "actions", ["account_id"])
    _create_desk()
    _create_sums()
    _fill_families()
    _fill_totals()
    listed = sa.text(_LISTED)
    op.create_index("ix_scores_listed", "scores", list(_ORDER), sqlite_where=listed, postgresql_where=listed)


def _create_desk() -> None:
    op.create_table(
        "reviews",
        sa.Column("review_id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("via", sa.String(8), nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("undoes", sa.Integer, sa.ForeignKey("reviews.review_id")),
        sa.Column("undone_by", sa.Integer, sa.ForeignKey("reviews.review_id")),
    )
    op.create_index("ix_reviews_author", "reviews", ["author"])
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Integer, primary_key=True),
        sa.Column("review_id", sa.Integer, sa.ForeignKey("reviews.review_id"), nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("field", sa.String(16), nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("override_id", sa.Integer, sa.ForeignKey("overrides.override_id")),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("ix_audit_review_id", "audit", ["review_id"])
    op.create_index("ix_audit_account_id", "audit", ["account_id", "audit_id"])
    op.create_table(
        "desk",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("disposition", sa.String(16)),
        sa.Column("snoozed_until", sa.DateTime),
        sa.Column("snooze_reason", sa.Text),
        sa.Column("assignee", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("touched", sa.Integer, sa.ForeignKey("reviews.review_id")),
    )
    op.create_index("ix_desk_disposition", "desk", ["disposition"])
    op.create_index("ix_desk_assignee", "desk", ["assignee"])


def _create_sums() -> None:
    op.create_table(
        "run_totals",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("covers", sa.String(8), nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("segment", sa.Text),
        sa.Column("quarter", sa.Integer),
        sa.Column("colour", sa.String(8), nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("accounts", "newly", "renewing", "dated", "valued")
        ),
        sa.Column("annual_value", sa.Float, nullable=False),
        sa.Column("expected_loss", sa.Float, nullable=False),
    )
    op.create_index("ix_run_totals", "run_totals", ["run_id", "covers", "owner"])
    op.create_table(
        "run_outcomes",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("colour", sa.String(8), primary_key=True),
        sa.Column("promise", sa.Text, nullable=False),
        sa.Column("at_most", sa.Float),
        sa.Column("at_least", sa.Float),
        sa.Column("tested_accounts", sa.BigInteger),
        sa.Column("tested_rate", sa.Float),
        sa.Column("tested_low", sa.Float),
        sa.Column("tested_high", sa.Float),
        sa.Column("tested_kept", sa.Boolean),
        sa.Column("known_at", sa.DateTime, nullable=False),
        sa.Column("accounts", sa.BigInteger, nullable=False),
        sa.Column("known", sa.BigInteger),
        sa.Column("churned", sa.BigInteger),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.Column("kept", sa.Boolean),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("data_end", sa.DateTime),
    )


def _fill_families() -> None:
    """Take the family of each top reason from the reasons that old runs hold."""
    first = (
        "cast(reasons as json) -> 0 ->> 'family'"
        if op.get_bind().dialect.name == "postgresql"
        else "json_extract(reasons, '$[0].family')"
    )
    op.execute(f"update scores set family = {first} where {_LISTED} and reasons like '[{{%'")


def _fill_totals() -> None:
    """Write the sums as the store does today; see ``store/totals.py``."""
    connection = op.get_bind()
    postgres = connection.dialect.name == "postgresql"
    soon = (
        "r.as_of + interval '91 days'" if postgres else "strftime('%Y-%m-%d %H:%M:%S', r.as_of, '+91 days')"
    )
    year, month = (
        ("cast(extract(year from renewal_at) as integer)", "cast(extract(month from renewal_at) as integer)")
        if postgres
        else ("cast(strftime('%Y', renewal_at) as integer)", "cast(strftime('%m', renewal_at) as integer)")
    )
    sums = (
        "count(*), sum(case when s.colour_since = r.as_of then 1 else 0 end), "
        f"sum(case when renewal_at >= r.as_of and renewal_at < {soon} then 1 else 0 end), "
        "count(renewal_at), count(annual_value), coalesce(sum(annual_value), 0.0), "
        "coalesce(sum(probability * annual_value), 0.0)"
    )
    quarter = f"case when {_LISTED} then {year} * 10 + ({month} + 2) / 3 end"
    names = (
        "run_id, covers, owner, segment, quarter, colour, accounts, newly, renewing, dated, valued, "
        "annual_value, expected_loss"
    )
    op.execute(
        f"insert into run_totals ({names}) select s.run_id, 'owner', owner, segment, {quarter}, colour, {sums} "
        f"from scores s join runs r on r.run_id = s.run_id group by s.run_id, owner, segment, {quarter}, colour"
    )
    columns = ("accounts", "newly", "renewing", "dated", "valued", "annual_value", "expected_loss")
    added = ", ".join(f"sum({column})" for column in columns)
    op.execute(
        f"insert into run_totals ({names}) select run_id, 'team', null, segment, quarter, colour, {added} "
        "from run_totals group by run_id, segment, quarter, colour"
    )
