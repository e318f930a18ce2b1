"""Routes of the published runs, their promises and their actions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, computed_field
from starlette.exceptions import HTTPException

from churnrisk.auth import Token
from churnrisk.monitoring import promises
from churnrisk.present import Instant, Number, RecordShape
from churnrisk.records import Colour, Text
from churnrisk.team import ActionFilter, hand_out_actions
from churnrisk.web.api.problems import Reader, Writer, problems
from churnrisk.web.api.shapes import DEPRECATED
from churnrisk.web.process import in_thread, now

actions_router = APIRouter(tags=["actions"])
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
    horizon_days: int | None = _of_outcome(
        "horizon_days", description="Of every rate here; null for runs of churnrisk 0.1."
    )
    known_at: Instant = _of_outcome("known_at", description="When the outcomes are known.")
    accounts: int = _of_outcome("accounts")
    known: int | None = _of_outcome("known", description="Accounts whose outcome is known; null until then.")
    churned: int | None = _of_outcome("churned")
    churn_rate: Number = _of_outcome("rate")
    churn_low: Number = _of_outcome("low", description="Exact 95 % bound.")
    churn_high: Number = _of_outcome("high")
    verdict: str = Field(examples=["kept"])
    in_hindsight: bool = Field(description="Published after its outcomes had happened: no evidence.")


class ActionQuery(BaseModel):
    """Which accounts get actions."""

    model_config = ConfigDict(extra="forbid")

    colour: list[Colour] = Field(list(Colour), max_length=4, min_length=1)
    owner: Text | None = None
    newly: bool = Field(False, description="Only accounts whose colour got worse since the last run.")
    limit: int = Field(
        1_000, ge=1, le=10_000, description="Accounts that are looked at, the most urgent first."
    )
    offset: int = Field(
        0, ge=0, le=10_000_000, description="How many of the most urgent ones are passed over."
    )

    def filter(self, scope: str | None) -> ActionFilter:
        """Return the filter within a scope; nothing matches an owner outside it."""
        if scope is not None and self.owner and self.owner.casefold() != scope.casefold():
            return ActionFilter(colours=())
        colours = tuple(str(colour) for colour in dict.fromkeys(self.colour))
        owner = self.owner or None if scope is None else scope
        return ActionFilter(colours, owner, self.newly, self.limit, self.offset)


class ActionRow(RecordShape):
    """One thing to do for one account."""

    key: str = Field(description="The same for the same account, play and reason: what a CRM merges on.")
    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    colour: Colour
    previous_colour: Colour | None
    churn_probability: Number = Field(validation_alias=AliasChoices("churn_probability", "probability"))
    annual_value: Number
    renewal_at: Instant | None
    play: str
    reason: str
    why: str
    next_step: str
    channel: str = Field(examples=["phone"])
    role: str = Field(description="Whose job it is by the playbook.")
    due_at: Instant
    as_of: Instant

    @computed_field(description="Now `churn_probability`.", json_schema_extra=DEPRECATED)
    def probability(self) -> Number:
        """Return the churn probability."""
        return self.churn_probability


class Actions(BaseModel):
    """The actions of the latest run that are neither done nor resting, the most urgent first."""

    as_of: Instant
    recorded: bool = Field(description="Whether they count as handed out from now on.")
    waiting: int = Field(description="How many of those looked at wait for a cooldown or a channel.")
    more: bool = Field(description="Whether there are accounts after these; a greater offset looks at them.")
    actions: list[ActionRow]


@router.get("/runs", responses=problems())
def runs(
    request: Request, token: Reader, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> list[PublishedRun]:
    """Read the published runs, the latest as-of date first; 403 for a token that is limited to an owner."""
    _require_team(token)
    return [PublishedRun.model_validate(run) for run in request.app.state.store.runs()[:limit]]


@router.get("/promises", responses=problems())
def promised(request: Request, token: Reader) -> list[ColourPromise]:
    """Read what every colour of every run promised and what happened since; 403 for a token limited to an owner."""
    _require_team(token)
    found = promises(request.app.state.store)
    return [ColourPromise.model_validate(run) for one in found.colours for run in one.runs]


def _require_team(token: Token) -> None:
    if token.owner is not None:
        raise HTTPException(
            403, "this counts accounts of the whole team; the token is limited to one owner's."
        )


@actions_router.get("/actions", responses=problems())
@in_thread
def look(request: Request, token: Reader, query: Annotated[ActionQuery, Query()]) -> Actions:
    """Look at what would be handed out; nothing is recorded."""
    return _hand_out(request, token, query, record=False)


@actions_router.post("/actions/hand-out", responses=problems())
@in_thread
def hand_out(request: Request, token: Writer, query: Annotated[ActionQuery, Query()]) -> Actions:
    """Hand actions out and record it: none of them is given again before its cooldown ends."""
    return _hand_out(request, token, query, record=True)


def _hand_out(request: Request, token: Token, query: ActionQuery, *, record: bool) -> Actions:
    project, store, asked = request.app.state.project, request.app.state.store, query.filter(token.owner)
    handed = hand_out_actions(
        project, now=now(), query=asked, deliver=lambda _made: None, record=record, store=store
    )
    return Actions(
        as_of=handed.run.as_of,
        recorded=record,
        waiting=handed.waiting,
        more=handed.more,
        actions=[ActionRow.model_validate(action) for action in handed.actions],
    )
