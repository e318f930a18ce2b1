"""API routes of the red list and of one account."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from churnrisk.errors import NotFoundError
from churnrisk.present import Instant, Number, RecordShape
from churnrisk.records import Disposition, RedList, RedListParameters, RedListQuery, Text
from churnrisk.team import FieldChange, read_red_list, reviews
from churnrisk.web.api.problems import Reader, Writer, problems
from churnrisk.web.api.shapes import Account, AccountDetail, Desk, changes_of
from churnrisk.web.process import account_of, in_thread, now

router = APIRouter(tags=["accounts"])
# Fields and overrides that one review changes of an account are far fewer.
_MOST_OF_ONE_REVIEW = 50

LongText = Annotated[
    str, StringConstraints(max_length=10_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")
]
AccountId = Annotated[Text, Path(description="The account's id in your tables.", examples=["C10042"])]


class Filter(RedListParameters):
    """The parameters of the red list's address, with the run and the page."""

    model_config = ConfigDict(extra="forbid", validate_by_name=False)

    as_of: date | None = Field(None, description="Of a published run; default: the latest.")
    page: int = Field(1, ge=1, le=100_000)
    per_page: int = Field(50, ge=1, le=500)

    def query(self, scope: str | None, capacity: int) -> RedListQuery:
        """Return the query within a scope and a capacity."""
        fields = self.model_dump(include={*RedListParameters.model_fields})
        return RedListQuery(**fields, scope=scope, capacity=capacity)


class Sum(RecordShape):
    """What is at risk in one segment or renewal quarter."""

    key: str = Field(examples=["2026-Q3"])
    red: int
    amber: int
    red_value: Number
    amber_value: Number
    expected_loss: Number


class TotalShape(RecordShape):
    """A total and its value at the run before."""

    label: str = Field(examples=["Revenue at risk"])
    value: Number
    previous: Number


class PlacesShape(RecordShape):
    """How many accounts are work of this run, red beyond the capacity, amber on watch, or handled before the run."""

    capacity: int = Field(description="Accounts the team can review between two runs.")
    work: int
    beyond: int
    watch: int
    handled: int


class RedListPage(BaseModel):
    """One page of the red list, worst expected loss first, with the totals over it."""

    as_of: Instant
    previous_as_of: Instant | None
    totals: list[TotalShape]
    places: PlacesShape
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
            totals=[TotalShape.model_validate(total) for total in found.totals],
            places=PlacesShape.model_validate(found.places),
            by_segment=[Sum.model_validate(group) for group in found.by_segment],
            by_quarter=[Sum.model_validate(group) for group in found.by_quarter],
            matching=found.matching,
            page=found.page,
            per_page=found.per_page,
            accounts=[Account.of(row) for row in found.rows],
        )


def _json_number(value: object) -> object:
    # by default false would pass for 0, and "3" for 3
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a number")
    return value


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

    version: Annotated[int, BeforeValidator(_json_number)] = Field(
        ge=0, le=2**31 - 1, description="The account's version that this is made on."
    )
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
def redlist(request: Request, token: Reader, query: Annotated[Filter, Query()]) -> RedListPage:
    """Read the red list of a run, page by page."""
    store = request.app.state.store
    if query.as_of is not None and query.as_of not in {run.as_of.date() for run in store.runs()}:
        raise NotFoundError(f"no run is published as of {query.as_of}. See the list of runs.")
    asked = query.query(token.owner, request.app.state.project.decision.capacity)
    found = read_red_list(
        store, as_of=query.as_of, query=asked, now=now(), page=query.page, per_page=query.per_page
    )
    return RedListPage.of(found)


@router.get("/accounts/{account_id:path}/reviews", responses=problems(404))
def changes(
    request: Request,
    token: Reader,
    account_id: AccountId,
    before: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="Only reviews before this one.")
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=500, description="Of entries; the last review comes whole all the same.")
    ] = 100,
) -> list[FieldChange]:
    """Read what people changed of an account, the newest first."""
    store = request.app.state.store
    most = limit + _MOST_OF_ONE_REVIEW
    entries = reviews.trail(store, account_id=account_id, scope=token.owner, before_review=before, limit=most)
    # The last review comes whole: the next page begins before it.
    ends = (n for n in range(limit, len(entries)) if entries[n].review_id != entries[n - 1].review_id)
    return changes_of(entries[: next(ends, len(entries))])


@router.post("/accounts/{account_id:path}/reviews", status_code=201, responses=problems(404, 409, 413))
@in_thread
def review(request: Request, token: Writer, account_id: AccountId, body: Review) -> Recorded:
    """Record a review; 409 says what somebody else changed in the meantime."""
    change = reviews.Change(**body.model_dump(exclude={"version", "author"}))
    author = f"{body.author} (via {token.name})" if body.author else token.name
    store, versions = request.app.state.store, {account_id: body.version}
    made = reviews.review(store, versions, change, author=author, via="api", now=now(), scope=token.owner)
    assert made.review_id is not None  # noqa: S101 - only a dry run has none
    desk = Desk.model_validate(made.states[account_id])
    return Recorded(review_id=made.review_id, what=made.what, desk=desk)


@router.get("/accounts/{account_id:path}", responses=problems(404))
def account(request: Request, token: Reader, account_id: AccountId) -> AccountDetail:
    """Read one account: its colour, why, how it came there, and what people did about it."""
    return AccountDetail.of_view(account_of(request, account_id, scope=token.owner))
