"""The tables of the store: runs with scores and sums, reviews, overrides and actions, users and tokens.

Instants are in UTC without an offset. Change a table only together with a new migration.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    literal_column,
)

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("run_key", String(64), nullable=False, unique=True),
    Column("as_of", DateTime, nullable=False, index=True),
    Column("published_at", DateTime, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("inputs_digest", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("accounts", "red", "amber", "green", "grey")),
    Column("forced_by", Text),
)

# No index by account: its score history is one primary-key look-up per run, and a second index would double the cost
# of writing. No foreign key either: scores are written with their run only, and PostgreSQL would take longer to check
# the key of each than to write it.
scores = Table(
    "scores",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("account_id", Text, primary_key=True),
    Column("name", Text),
    Column("owner", Text),
    Column("segment", Text),
    Column("probability", Float),
    Column("log_odds", Float),
    Column("colour", String(8), nullable=False),
    Column("raw_colour", String(8)),
    Column("model_colour", String(8)),
    Column("decided_by", String(16), nullable=False),
    Column("rule", Text),
    Column("colour_since", DateTime, nullable=False),
    Column("annual_value", Float),
    Column("renewal_at", DateTime),
    Column("reasons", Text),
    Column("contributions", Text),
    Column("stage", Text),
    Column("next_step", Text),
    Column("play", Text),
    Column("moved", Text),
    Column("family", String(16)),
    Column("turnaround", Text),
)

#: Sort key of the red list; an account without an annual value comes after all others.
expected_loss = func.coalesce(scores.c.probability * scores.c.annual_value, literal_column("-1.0"))

#: The condition of the index below, verbatim: only then do the databases use it.
is_listed = scores.c.colour.in_([literal_column("'red'"), literal_column("'amber'")])

# Red and amber are a small part of a run, so the red list has a covering index in its order, with the columns of its
# filters.
Index(
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
run_totals = Table(
    "run_totals",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.run_id"), nullable=False),
    Column("covers", String(8), nullable=False),
    Column("owner", Text),
    Column("segment", Text),
    Column("quarter", Integer),
    Column("colour", String(8), nullable=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("accounts", "newly", "renewing", "dated", "valued")
    ),
    Column("annual_value", Float, nullable=False),
    Column("expected_loss", Float, nullable=False),
    Index("ix_run_totals", "run_id", "covers", "owner"),
)

# The promises of a run's colours, the test of its model, and the outcomes, which are null until they are known.
run_outcomes = Table(
    "run_outcomes",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.run_id"), primary_key=True),
    Column("colour", String(8), primary_key=True),
    Column("promise", Text, nullable=False),
    Column("note", Text),
    Column("at_most", Float),
    Column("at_least", Float),
    Column("tested_accounts", BigInteger),
    Column("tested_rows", BigInteger),
    Column("tested_rate", Float),
    Column("tested_low", Float),
    Column("tested_high", Float),
    Column("tested_kept", Boolean),
    Column("known_at", DateTime, nullable=False),
    Column("horizon_days", Integer),
    Column("accounts", BigInteger, nullable=False),
    Column("known", BigInteger),
    Column("churned", BigInteger),
    Column("low", Float),
    Column("high", Float),
    Column("kept", Boolean),
    Column("fingerprint", String(64)),
    Column("data_end", DateTime),
)

# Promises that later outcomes broke, with the evidence as it was then.
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("withdrawal_id", Integer, primary_key=True),
    Column("model_version", Text, nullable=False),
    Column("colour", String(8), nullable=False),
    Column("at_most", Float),
    Column("at_least", Float),
    Column("withdrawn_at", DateTime, nullable=False),
    Column("horizon_days", Integer, nullable=False),
    Column("first_as_of", DateTime, nullable=False),
    Column("last_as_of", DateTime, nullable=False),
    Column("windows", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("churned", BigInteger, nullable=False),
    Column("e_value", Float, nullable=False),
)

overrides = Table(
    "overrides",
    metadata,
    Column("override_id", Integer, primary_key=True),
    Column("account_id", Text, nullable=False, index=True),
    Column("colour", String(8), nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False),
    Column("ended_at", DateTime),
)

actions = Table(
    "actions",
    metadata,
    Column("action_id", Integer, primary_key=True),
    Column("run_id", Integer, ForeignKey("runs.run_id"), nullable=False),
    Column("account_id", Text, nullable=False, index=True),
    Column("play", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("colour", String(8), nullable=False),
    Column("handed_out_at", DateTime, nullable=False, index=True),
    Column("due_at", DateTime, nullable=False),
    UniqueConstraint("run_id", "account_id", "play", "reason", name="uq_actions_case"),
)

# One review is one change of one or several accounts, the audit holds it field by field, and the desk is the
# resulting state of each account.
reviews = Table(
    "reviews",
    metadata,
    Column("review_id", Integer, primary_key=True),
    Column("at", DateTime, nullable=False),
    Column("author", Text, nullable=False, index=True),
    Column("via", String(8), nullable=False),
    Column("what", Text, nullable=False),
    Column("undoes", Integer, ForeignKey("reviews.review_id")),
    Column("undone_by", Integer, ForeignKey("reviews.review_id")),
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Integer, primary_key=True),
    Column("review_id", Integer, ForeignKey("reviews.review_id"), nullable=False, index=True),
    Column("account_id", Text, nullable=False),
    Column("field", String(16), nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("override_id", Integer, ForeignKey("overrides.override_id")),
    Column("version", Integer, nullable=False),
    Index("ix_audit_account_id", "account_id", "audit_id"),
)

desk = Table(
    "desk",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("disposition", String(16)),
    Column("snoozed_until", DateTime),
    Column("snooze_reason", Text),
    Column("assignee", Text),
    Column("note", Text),
    Column("touched", Integer, ForeignKey("reviews.review_id")),
    Index("ix_desk_disposition", "disposition"),
    Index("ix_desk_assignee", "assignee"),
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
users = Table(
    "users",
    metadata,
    Column("user_id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("owner", Text),
    Column("own_only", Boolean, nullable=False),
    Column("email", String(254), unique=True),
    Column("password_hash", Text),
    Column("issuer", Text),
    Column("subject", Text),
    Column("created_at", DateTime, nullable=False),
    Column("disabled_at", DateTime),
    UniqueConstraint("issuer", "subject", name="uq_users_identity"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.user_id"), nullable=False, index=True),
    Column("created_at", DateTime, nullable=False),
    Column("seen_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False, index=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("prefix", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("owner", Text),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime),
    Column("used_at", DateTime),
    Column("revoked_at", DateTime),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("attempt_id", Integer, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("at", DateTime, nullable=False, index=True),
    Column("failed", Boolean, nullable=False),
    Index("ix_sign_in_attempts_name", "name", "at"),
    Index("ix_sign_in_attempts_address", "address", "at"),
)
