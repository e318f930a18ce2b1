"""The answers of the API about accounts, with the field names of version 0.1, which go in 0.3."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, computed_field
from pydantic.config import JsonDict

from churnrisk.present import AccountRow, Instant, Number, RecordShape
from churnrisk.records import AuditEntry, Disposition
from churnrisk.team import FieldChange, account

DEPRECATED: JsonDict = {"deprecated": True}


class Desk(RecordShape):
    """What the team has on record for an account."""

    version: int = Field(description="Send it with a review.", examples=[3])
    disposition: Disposition | None
    snoozed_until: Instant | None
    snooze_reason: str | None
    assignee: str | None
    note: str | None
    touched_at: Instant | None
    touched_by: str | None
    touched_what: str | None


class Account(AccountRow):
    """One account on the red list."""

    @computed_field(description="Now `move.text`.", json_schema_extra=DEPRECATED)
    def moved(self) -> str:
        """Return why the score moved; empty when it did not."""
        return self.move.text if self.move else ""

    @computed_field(description="Now fields of the account itself.", json_schema_extra=DEPRECATED)
    def desk(self) -> Desk:
        """Return what the team has on record."""
        return Desk.model_validate(self)


class Past(account.PastScore):
    """The account at one published run."""

    @computed_field(description="Now `churn_probability`.", json_schema_extra=DEPRECATED)
    def probability(self) -> Number:
        """Return the churn probability."""
        return self.churn_probability


class AccountDetail(account.FullAccount, Account):
    """One account with its history and what people did about it."""

    history: list[Past] = Field(description="Oldest first.")  # type: ignore[assignment]


def changes_of(entries: Iterable[AuditEntry]) -> list[FieldChange]:
    """Return the shapes of audit entries."""
    return [FieldChange.model_validate(entry) for entry in entries]
