"""The tables of the history: runs, their scores, what people have overridden, and what they were asked to do.

Instants are stored in UTC without an offset. Change a table only together with a new migration.
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
    Column("accounts", BigInteger, nullable=False),
    Column("red", BigInteger, nullable=False),
    Column("amber", BigInteger, nullable=False),
    Column("green", BigInteger, nullable=False),
    Column("grey", BigInteger, nullable=False),
    Column("forced_by", Text),
)

# No index by account: its past is one look-up of the key per run; a second index would double the writing.
scores = Table(
    "scores",
    metadata,
    Column("run_id", Integer, ForeignKey("runs.run_id"), primary_key=True),
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
    Column("account_id", Text, nullable=False),
    Column("play", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("colour", String(8), nullable=False),
    Column("handed_out_at", DateTime, nullable=False, index=True),
    Column("due_at", DateTime, nullable=False),
    UniqueConstraint("run_id", "account_id", "play", "reason", name="uq_actions_case"),
)

# People, their sessions and the tokens of programs: secrets are kept as digests only.
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
