"""Routes of the red list and of one account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from churnrisk.auth.tokens import Token
from churnrisk.errors import NotFoundError
from churnrisk.history import WorklistFilter
from churnrisk.history.wanted import NONE
from churnrisk.records import AtRisk, AuditEntry, Colour, Disposition, Family, RedList, Role
from churnrisk.web.api.bearer import token
from churnrisk.web.api.problems import problems
from churnrisk.web.api.shapes import Account, Change, Desk, Instant, Number, Shape, changes_of
from churnrisk.web.process import now, run_in_thread
from churnrisk.workflows import reviews
from churnrisk.workflows.account import AccountView, view_account
from churnrisk.workflows.worklist import worklist

router = APIRouter(tags=["accounts"])
# Fields and overrides that one review changes of an account are far fewer.
_MOST_OF_ONE_REVIEW = 50

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
LongText = Annotated[
    str, StringConstraints(max_length=10_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]
AccountId = Annotated[Text, Path(description="The account's id in your tables.", examples=["C10042"])]
Reader = Annotated[Token, token(Role.VIEWER)]
Writer = Annotated[Token, token(Role.REVIEWER)]


class Filter(BaseModel):
    """The filters of the red list; the same as in the address of the page."""

    model_config = ConfigDict(extra="forbid")

    as_of: date | None = Field(None, description="Of a published run; default: the latest.")
    colour: list[Colour] = Field([Colour.RED, Colour.AMBER], max_length=4)
    owner: Text | None = Field(None, description=f"{NONE} for accounts without one.")
    assignee: Text | None = None
    segment: Text | None = None
    renews_within: int | None = Field(None, ge=0, le=3660, description="Days from the run on.")
    quarter: Annotated[str, StringConstraints(pattern=r"^(19|20)[0-9]{2}-Q[1-4]$")] | None = None
    reason: Family | None = Field(None, description="Family of the main reason.")
    newly_red: bool = False
    snoozed: Literal["hide", "only", "all"] = "hide"
    disposition: Disposition | None = None
    q: Text | None = Field(None, description="Part of the name or id.")
    sort: Literal["loss", "probability", "renewal", "days", "name"] = "loss"
    page: int = Field(1, ge=1, le=100_000)
    per_page: int = Field(50, ge=1, le=500)

    def wanted(self, scope: str | None) -> WorklistFilter:
        """Return the filter within a scope."""
        return WorklistFilter(
            colours=tuple(str(colour) for colour in dict.fromkeys(self.colour)),
            owner=self.owner or None,
            assignee=self.assignee or None,
            segment=self.segment or None,
            renews_within_days=self.renews_within,
            quarter=self.quarter,
            family=self.reason,
            newly_red=self.newly_red,
            snoozed=self.snoozed,
            disposition=self.disposition,
            search=self.q or None,
            sort=self.sort,
            scope=scope,
        )


class Sum(Shape):
    """What is at risk in one segment or renewal quarter."""

    key: str = Field(examples=["2026-Q3"])
    red: int
    amber: int
    red_value: Number
    amber_value: Number
    expected_loss: Number


class Figure(Shape):
    """A total and its value at the run before."""

    label: str = Field(examples=["Revenue at risk"])
    value: Number
    previous: Number


class RedListPage(BaseModel):
    """One page of the red list, worst expected loss first, with the totals over it."""

    as_of: Instant
    previous_as_of: Instant | None
    totals: list[Figure]
    by_segment: list[Sum]
    by_quarter: list[Sum]
    matching: int = Field(description="Accounts on all pages.")
    page: int
    per_page: int
    accounts: list[Account]

    @classmethod
    def of(cls, found: RedList) -> Self:
        """Return the shape of a page."""
        return cls(
            as_of=found.run.as_of,
            previous_as_of=found.previous_run.as_of if found.previous_run else None,
            totals=[Figure.model_validate(total) for total in found.totals],
            by_segment=_sums(found.by_segment),
            by_quarter=_sums(found.by_quarter),
            matching=found.matching or 0,
            page=found.page,
            per_page=found.per_page or len(found.rows),
            accounts=[Account.of(row) for row in found.rows],
        )


def _sums(groups: tuple[AtRisk, ...]) -> list[Sum]:
    return [Sum.model_validate(group) for group in groups]


class Past(Shape):
    """The account at one published run."""

    as_of: Instant
    colour: Colour
    decided_by: str
    rule: str | None
    probability: Number
    model_version: str


class Override(Shape):
    """A colour that somebody set."""

    override_id: int
    colour: Colour
    author: str
    reason: str
    created_at: Instant
    expires_at: Instant
    in_force: bool


class AccountDetail(Account):
    """One account with its history and what people did about it."""

    as_of: Instant
    stage: str | None
    due_at: Instant | None = Field(description="By when the next step should be done.")
    history: list[Past] = Field(description="Oldest first.")
    overrides: list[Override]
    changes: list[Change] = Field(description="The newest first.")

    @classmethod
    def of_view(cls, view: AccountView) -> Self:
        """Return the shape of an account's page."""
        return cls.model_validate(
            Account.of(view.row).model_dump()
            | {
                "as_of": view.run.as_of,
                "stage": view.stage,
                "due_at": view.due_at,
                "history": [Past.model_validate(past) for past in view.history],
                "overrides": [Override.model_validate(override) for override in view.overrides],
                "changes": changes_of(view.trail),
            }
        )


class Review(BaseModel):
    """What is to be changed of an account; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"version": 3, "disposition": "contacted", "note": "Spoke with the buyer.", "author": "ana"},
                {
                    "version": 0,
                    "disposition": "snoozed",
                    "until": "2027-01-15",
                    "reason": "Waits for the budget.",
                },
            ]
        },
    )

    version: int = Field(ge=0, le=2**31 - 1, description="The desk version that this is made on.")
    disposition: Disposition | Literal["open"] | None = None
    override: Literal["green", "amber", "red", "end"] | None = None
    until: date | None = Field(None, description="End of a snooze or an override; both need one.")
    reason: LongText | None = Field(
        None, max_length=1_000, description="Of a snooze or an override; both need one."
    )
    note: LongText | None = None
    assignee: Text | None = Field(None, description="Who takes care of it; empty for nobody.")
    author: Annotated[Text, StringConstraints(min_length=1)] | None = Field(
        None, description="On whose behalf; default: the token."
    )


class Recorded(BaseModel):
    """A review as it was recorded."""

    review_id: int
    what: str = Field(examples=["contacted, note"])
    desk: Desk


@router.get("/redlist", responses=problems(404))
def redlist(request: Request, asker: Reader, asked: Annotated[Filter, Query()]) -> RedListPage:
    """Read the red list of a run, page by page."""
    store = request.app.state.store
    if asked.as_of is not None and asked.as_of not in {run.as_of.date() for run in store.runs()}:
        raise NotFoundError(f"no run is published as of {asked.as_of}. See the list of runs.")
    found = worklist(
        store,
        as_of=asked.as_of,
        wanted=asked.wanted(asker.owner),
        now=now(),
        page=asked.page,
        per_page=asked.per_page,
    )
    return RedListPage.of(found)


@router.get("/accounts/{account_id:path}/reviews", responses=problems(404))
def changes(
    request: Request,
    asker: Reader,
    account_id: AccountId,
    before: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Only reviews before this one.")
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=500, description="Of entries; the last review comes whole all the same.")
    ] = 100,
) -> list[Change]:
    """Read what people changed of an account, the newest first."""
    store = request.app.state.store
    entries = reviews.trail(
        store,
        account_id=account_id,
        scope=asker.owner,
        before_review=before,
        limit=limit + _MOST_OF_ONE_REVIEW,
    )
    return changes_of(_whole_reviews(entries, limit))


def _whole_reviews(entries: Sequence[AuditEntry], limit: int) -> Sequence[AuditEntry]:
    """Return the first entries and the rest of the last review: the next page begins before that one."""
    ends = (n for n in range(limit, len(entries)) if entries[n].review_id != entries[n - 1].review_id)
    return entries[: next(ends, len(entries))]


@router.post("/accounts/{account_id:path}/reviews", status_code=201, responses=problems(404, 409, 413))
async def review(request: Request, asker: Writer, account_id: AccountId, asked: Review) -> Recorded:
    """Record a review; 409 says what somebody else changed in the meantime."""
    return await run_in_thread(partial(_review, request, asker, account_id, asked))


def _review(request: Request, asker: Token, account_id: str, asked: Review) -> Recorded:
    change = reviews.Change(**asked.model_dump(exclude={"version", "author"}))
    author = f"{asked.author} (via {asker.name})" if asked.author else asker.name
    made = reviews.review(
        request.app.state.store,
        {account_id: asked.version},
        change,
        author=author,
        via="api",
        now=now(),
        scope=asker.owner,
    )
    assert made.review_id is not None  # noqa: S101 - only a dry run has none
    desk = Desk.model_validate(made.desks[account_id])
    return Recorded(review_id=made.review_id, what=made.what, desk=desk)


@router.get("/accounts/{account_id:path}", responses=problems(404))
def account(request: Request, asker: Reader, account_id: AccountId) -> AccountDetail:
    """Read one account: its colour, why, how it came there, and what people did about it."""
    state = request.app.state
    view = view_account(state.store, account_id, now=now(), scope=asker.owner, deadlines=state.deadlines)
    return AccountDetail.of_view(view)
