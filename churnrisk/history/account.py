"""Everything that the history holds of one account, each part by an index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from churnrisk.history.schema import actions, overrides, runs, scores
from churnrisk.history.wanted import clean

_MOST_ACTIONS = 20


def read_history(connection: Connection, account_id: str) -> list[Mapping[Any, Any]]:
    """Return the account's score at every live run, oldest first, without its reasons."""
    if account_id != clean(account_id):
        return []
    live = select(func.max(runs.c.run_id)).group_by(runs.c.as_of)
    told = ("colour", "decided_by", "rule", "probability", "owner")
    query = (
        select(runs.c.run_id, runs.c.as_of, runs.c.model_version, *(scores.c[name] for name in told))
        .join(scores, scores.c.run_id == runs.c.run_id)
        .where(scores.c.run_id.in_(live), scores.c.account_id == account_id)
        .order_by(runs.c.as_of)
    )
    return list(connection.execute(query).mappings())


def read_overrides(connection: Connection, account_id: str) -> list[Mapping[Any, Any]]:
    """Return every override of the account, the newest first."""
    query = select(overrides).where(overrides.c.account_id == account_id)
    return list(connection.execute(query.order_by(overrides.c.override_id.desc())).mappings())


def read_actions(connection: Connection, account_id: str) -> list[Mapping[Any, Any]]:
    """Return the last actions that were handed out for the account, the newest first."""
    query = select(actions).where(actions.c.account_id == account_id)
    newest = query.order_by(actions.c.action_id.desc()).limit(_MOST_ACTIONS)
    return list(connection.execute(newest).mappings())
