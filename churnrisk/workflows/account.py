"""One account: its colour, why, and how it came there."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore
from churnrisk.model import read_reasons
from churnrisk.records import Move, Reason
from churnrisk.workflows.moved import read_move
from churnrisk.workflows.project import Project


@dataclass(frozen=True)
class PastScore:
    """The account at one published run."""

    as_of: datetime
    colour: str
    decided_by: str
    rule: str | None
    probability: float | None


@dataclass(frozen=True)
class AccountView:
    """What is known of one account at the latest run that holds it.

    ``history`` is oldest first and includes the latest; ``moved`` says what changed since the run before it.
    """

    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    annual_value: float | None
    renewal_at: datetime | None
    stage: str | None
    next_step: str
    reasons: tuple[Reason, ...]
    history: tuple[PastScore, ...]
    moved: Move | None = None

    @property
    def latest(self) -> PastScore:
        """The account at the latest run."""
        return self.history[-1]


def account_view(project: Project, account_id: str) -> AccountView:
    """Return an account's colour, reasons and history.

    Raises
    ------
    UsageError
        If no published run holds the account; similar ids are named.
    """
    with HistoryStore(project.store_url) as store:
        history = store.account_history(account_id)
        if history.empty:
            raise _unknown(store, account_id)
    history = history.astype(object).where(history.notna(), None)
    last = history.iloc[-1]
    return AccountView(
        account_id=account_id,
        name=last["name"],
        owner=last["owner"],
        segment=last["segment"],
        annual_value=last["annual_value"],
        renewal_at=last["renewal_at"],
        stage=last["stage"],
        next_step=last["next_step"] or "",
        reasons=read_reasons(last["reasons"] or "[]"),
        history=tuple(_past(row) for _, row in history.iterrows()),
        moved=read_move(last["moved"]),
    )


def _past(row: pd.Series) -> PastScore:
    return PastScore(row["as_of"], row["colour"], row["decided_by"], row["rule"], row["probability"])


def _unknown(store: HistoryStore, account_id: str) -> UsageError:
    latest = store.latest_run()
    if latest is None:
        return UsageError("nothing has been scored yet. Run `churnrisk score`.")
    known = store.scores(latest.run_id, columns=["account_id"])["account_id"].tolist()
    close = difflib.get_close_matches(account_id, known, n=3) or known[:3]
    return UsageError(
        f"no published run holds account {account_id!r}; there are for example {', '.join(close)}."
    )
