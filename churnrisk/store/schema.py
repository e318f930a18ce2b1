"""The tables of the store: runs with scores and sums, reviews, overrides and actions, users and tokens.

Instants are in UTC without an offset. Change a table only together with a new migration.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("run_key", sa.String(64), nullable=False, unique=True),
    sa.Column("as_of", sa.DateTime, nullable=False, index=True),
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

# No index by account: its score history is one primary-key look-up per run, and a second index would double the cost
# of writing. No foreign key either: scores are written with their run only, and PostgreSQL would take longer to check
# the key of each than to write it.
scores = sa.Table(
    "scores",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
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
    sa.Column("play", sa.Text),
    sa.Column("moved", sa.Text),
    sa.Column("family", sa.String(16)),
    sa.Column("turnaround", sa.Text),
    *(
        sa.Column(name, sa.Float)
        for name in ("lost_by_renewal", "lost_by_end", "half_lost_days", "expected_days", "outlook_days")
    ),
)

#: Sort key of the red list; an account without an annual value comes after all others.
expected_loss = sa.func.coalesce(scores.c.probability * scores.c.annual_value, sa.literal_column("-1.0"))

#: The condition of the index below, verbatim: only then do the databases use it.
is_listed = scores.c.colour.in_([sa.literal_column("'red'"), sa.literal_column("'amber'")])

# Red and amber are a small part of a run, so the red list has a covering index in its order, with the columns of its
# filters.
sa.Index(
    "ix_scores_listed",
    scores.c.run_id,
    scores.c.colour.desc(),
    expected_loss.desc(),
    scores.c.probability.desc(),
    scores.c.account_id,
    scores.c.owner,
    scores.c.segment,
    scores.c.family,
    scores.c.renewal_at,
    scores.c.colour_since,
    sqlite_where=is_listed,
    postgresql_where=is_listed,
)

# Sums over the scores of a run, written with it. Every account counts in the row of its owner and again in the
# team's; the renewal quarter (20263 is the third of 2026) is kept for red and amber only.
run_totals = sa.Table(
    "run_totals",
    metadata,
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
    sa.Index("ix_run_totals", "run_id", "covers", "owner"),
)

# The promises of a run's colours, the test of its model, and the outcomes, which are null until they are known.
run_outcomes = sa.Table(
    "run_outcomes",
    metadata,
    sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("colour", sa.String(8), primary_key=True),
    sa.Column("promise", sa.Text, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("at_most", sa.Float),
    sa.Column("at_least", sa.Float),
    sa.Column("tested_accounts", sa.BigInteger),
    sa.Column("tested_rows", sa.BigInteger),
    sa.Column("tested_rate", sa.Float),
    sa.Column("tested_low", sa.Float),
    sa.Column("tested_high", sa.Float),
    sa.Column("tested_kept", sa.Boolean),
    sa.Column("known_at", sa.DateTime, nullable=False),
    sa.Column("horizon_days", sa.Integer),
    sa.Column("accounts", sa.BigInteger, nullable=False),
    sa.Column("known", sa.BigInteger),
    sa.Column("churned", sa.BigInteger),
    sa.Column("low", sa.Float),
    sa.Column("high", sa.Float),
    sa.Column("kept", sa.Boolean),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("data_end", sa.DateTime),
)

# Promises that later outcomes broke, with the evidence as it was then.
withdrawals = sa.Table(
    "withdrawals",
    metadata,
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

overrides = sa.Table(
    "overrides",
    metadata,
    sa.Column("override_id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.Text, nullable=False, index=True),
    sa.Column("colour", sa.String(8), nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
)

actions = sa.Table(
    "actions",
    metadata,
    sa.Column("action_id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.run_id"), nullable=False),
    sa.Column("account_id", sa.Text, nullable=False, index=True),
    sa.Column("play", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("colour", sa.String(8), nullable=False),
    sa.Column("handed_out_at", sa.DateTime, nullable=False, index=True),
    sa.Column("due_at", sa.DateTime, nullable=False),
    sa.UniqueConstraint("run_id", "account_id", "play", "reason", name="uq_actions_case"),
)

# One review is one change of one or several accounts, the audit holds it field by field, and the desk is the
# resulting state of each account.
reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("review_id", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("author", sa.Text, nullable=False, index=True),
    sa.Column("via", sa.String(8), nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("undoes", sa.Integer, sa.ForeignKey("reviews.review_id")),
    sa.Column("undone_by", sa.Integer, sa.ForeignKey("reviews.review_id")),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", sa.Integer, primary_key=True),
    sa.Column("review_id", sa.Integer, sa.ForeignKey("reviews.review_id"), nullable=False, index=True),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("field", sa.String(16), nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Column("override_id", sa.Integer, sa.ForeignKey("overrides.override_id")),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Index("ix_audit_account_id", "account_id", "audit_id"),
)

desk = sa.Table(
    "desk",
    metadata,
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("disposition", sa.String(16)),
    sa.Column("snoozed_until", sa.DateTime),
    sa.Column("snooze_reason", sa.Text),
    sa.Column("assignee", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("touched", sa.Integer, sa.ForeignKey("reviews.review_id")),
    sa.Index("ix_desk_disposition", "disposition"),
    sa.Index("ix_desk_assignee", "assignee"),
)

#: The account state, from the desk and its last review that was not undone.
state_columns = (
    *(
        desk.c[name]
        for name in ("version", "disposition", "snoozed_until", "snooze_reason", "assignee", "note")
    ),
    reviews.c.at.label("touched_at"),
    reviews.c.author.label("touched_by"),
    reviews.c.what.label("touched_what"),
)

# Users, their sessions and the tokens of programs; secrets are stored as digests only.
users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("own_only", sa.Boolean, nullable=False),
    sa.Column("email", sa.String(254), unique=True),
    sa.Column("password_hash", sa.Text),
    sa.Column("issuer", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("disabled_at", sa.DateTime),
    sa.UniqueConstraint("issuer", "subject", name="uq_users_identity"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.user_id"), nullable=False, index=True),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("seen_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime, nullable=False, index=True),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime),
    sa.Column("used_at", sa.DateTime),
    sa.Column("revoked_at", sa.DateTime),
)

sign_in_attempts = sa.Table(
    "sign_in_attempts",
    metadata,
    sa.Column("attempt_id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("at", sa.DateTime, nullable=False, index=True),
    sa.Column("failed", sa.Boolean, nullable=False),
    sa.Index("ix_sign_in_attempts_name", "name", "at"),
    sa.Index("ix_sign_in_attempts_address", "address", "at"),
)
