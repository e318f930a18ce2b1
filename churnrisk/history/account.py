"""Everything that the history holds of one account, each part by an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, func, select

from churnrisk.history.audit import ENTRIES
from churnrisk.history.schema import actions, audit, overrides, runs, scores
from churnrisk.history.wanted import clean
from churnrisk.records import AuditEntry

_MOST_ACTIONS, _MOST_ENTRIES = 20, 100


# The statements are made once: the page of an account needs all of them, and making them costs more than running them.
_ACCOUNT = bindparam("account_id", type_=Text)
_TOLD = ("colour", "decided_by", "rule", "probability", "owner")
_HISTORY = (
    select(runs.c.run_id, runs.c.as_of, runs.c.model_version, *(scores.c[name] for name in _TOLD))
    .join(scores, scores.c.run_id == runs.c.run_id)
    .where(
        runs.c.run_id.in_(select(func.max(runs.c.run_id)).group_by(runs.c.as_of)),
        scores.c.account_id == _ACCOUNT,
    )
    .order_by(runs.c.as_of)
)
_TRAIL = ENTRIES.where(audit.c.account_id == _ACCOUNT).order_by(audit.c.audit_id.desc()).limit(_MOST_ENTRIES)
_OVERRIDES = (
    select(overrides).where(overrides.c.account_id == _ACCOUNT).order_by(overrides.c.override_id.desc())
)
_ACTIONS = (
    select(actions)
    .where(actions.c.account_id == _ACCOUNT)
    .order_by(actions.c.action_id.desc())
    .limit(_MOST_ACTIONS)
)


def read_history(connection: Connection, account_id: str) -> Sequence[Row[Any]]:
    """Return the account's score at every live run, oldest first, without its reasons.

    A row is the run's id, as_of and model version, then colour, decided_by, rule, probability and owner.
    """
    if account_id != clean(account_id):
        return ()
    return connection.execute(_HISTORY, {"account_id": account_id}).fetchall()


def read_changes(connection: Connection, account_id: str) -> tuple[AuditEntry, ...]:
    """Return what people changed of the account lately, the newest first."""
    return tuple(AuditEntry(*row) for row in connection.execute(_TRAIL, {"account_id": account_id}))


def read_overrides(connection: Connection, account_id: str) -> list[Mapping[Any, Any]]:
    """Return every override of the account, the newest first."""
    return list(connection.execute(_OVERRIDES, {"account_id": account_id}).mappings())


def read_actions(connection: Connection, account_id: str) -> list[Mapping[Any, Any]]:
    """Return the last actions that were handed out for the account, the newest first."""
    return list(connection.execute(_ACTIONS, {"account_id": account_id}).mappings())
