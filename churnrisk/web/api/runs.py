"""API routes of the published runs, and of what the colours promised and kept."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AliasPath, Field
from starlette.exceptions import HTTPException

from churnrisk.auth.tokens import Token
from churnrisk.records import Colour
from churnrisk.report.rows import Instant, Number, RecordShape
from churnrisk.web.api.accounts import Reader
from churnrisk.web.api.problems import problems
from churnrisk.workflows.promises import promises

router = APIRouter(tags=["runs"])


class PublishedRun(RecordShape):
    """One published scoring run."""

    run_id: int
    as_of: Instant
    published_at: Instant
    model_version: str
    policy_version: str
    accounts: int
    red: int
    amber: int
    green: int
    grey: int
    forced_by: str | None = Field(description="Who published it against the guard.")


def _of_outcome(name: str, **described: Any) -> Any:
    return Field(validation_alias=AliasPath("outcome", name), **described)


class ColourPromise(RecordShape):
    """What one colour of one run promised, and what came of it."""

    as_of: Instant
    model_version: str
    colour: Colour = _of_outcome("colour")
    promise: str = _of_outcome("promise", examples=["churn of at most 2.00%"])
    known_at: Instant = _of_outcome("known_at", description="When the outcomes are known.")
    accounts: int = _of_outcome("accounts")
    known: int | None = _of_outcome("known", description="Accounts whose outcome is known; null until then.")
    churned: int | None = _of_outcome("churned")
    churn_rate: Number = _of_outcome("rate")
    churn_low: Number = _of_outcome("low", description="Exact 95 % bound.")
    churn_high: Number = _of_outcome("high")
    verdict: str = Field(examples=["kept"])


@router.get("/runs", responses=problems())
def runs(
    request: Request, asker: Reader, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> list[PublishedRun]:
    """Read the published runs, the latest as-of date first; 403 for a token that is limited to an owner."""
    _require_team(asker)
    return [PublishedRun.model_validate(run) for run in request.app.state.store.runs()[:limit]]


@router.get("/promises", responses=problems())
def promised(request: Request, asker: Reader) -> list[ColourPromise]:
    """Read what every colour of every run promised and what happened since; 403 for a token limited to an owner."""
    _require_team(asker)
    found = promises(request.app.state.store)
    return [ColourPromise.model_validate(run) for one in found.colours for run in one.runs]


def _require_team(asker: Token) -> None:
    if asker.owner is not None:
        raise HTTPException(
            403, "this counts accounts of the whole team; the token is limited to one owner's."
        )
