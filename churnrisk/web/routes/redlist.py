"""The red list, and its view as CSV or xlsx."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from churnrisk.errors import UsageError
from churnrisk.history import RedListQuery
from churnrisk.records import RedList, User
from churnrisk.web.dependencies import Viewer
from churnrisk.web.exports import chunks, csv_file, workbook
from churnrisk.web.listing import Listing
from churnrisk.web.process import now, run_in_thread
from churnrisk.web.rendering import FragmentCache, fragment, may_review, page
from churnrisk.workflows.worklist import worklist

router = APIRouter()
PER_PAGE = 50
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@router.get("/")
async def show(request: Request, user: Viewer) -> Response:
    """Show a page of the list, filtered as the address says."""
    wanted = RedListQuery.from_query(request.query_params.multi_items(), scope=user.scope)
    number = page_number(request)
    address = dict(wanted.to_query()) | ({"page": str(number)} if number > 1 else {})
    if request.query_params.multi_items() != list(address.items()):
        # A form sends every field; the address to bookmark holds only what differs from the defaults.
        return RedirectResponse("/" + (f"?{urlencode(address)}" if address else ""), 303)
    work = partial(_show, request, user, wanted, number)
    # No index covers parts of names, so a search reads them all.
    return await (run_in_thread(work) if wanted.search else run_in_threadpool(work))


def _show(request: Request, user: User, wanted: RedListQuery, number: int) -> Response:
    found = worklist(
        request.app.state.store, as_of=None, query=wanted, page=number, per_page=PER_PAGE, now=now()
    )
    return page(request, "redlist.html", {"drawn": drawn(request, found, wanted, user)})


def drawn(request: Request, found: RedList, wanted: RedListQuery, user: User) -> Markup:
    """Return the list as HTML, cached: many people ask for the same view, and it stays the same until a change."""
    fragments: FragmentCache = request.app.state.fragments
    key = (wanted, found.page, may_review(user), user.owner, user.display_name)

    def draw() -> Markup:
        context = Listing(found, wanted, user).context()
        return fragment("redlist/main.html", context | {"may_review": may_review(user)})

    return fragments.get(key, found, draw)


def page_number(request: Request) -> int:
    """Return the number of the requested page."""
    given = request.query_params.get("page", "1")
    if not (given.isascii() and given.isdigit() and int(given[:7]) >= 1 and len(given) < 7):
        raise UsageError(f"page expects a number from 1 on, found {given[:20]!r}. Go back to the first page.")
    return int(given)


@router.get("/redlist.csv")
async def as_csv(request: Request, user: Viewer) -> Response:
    """Send exactly the view, all pages of it, as CSV."""
    wanted = RedListQuery.from_query(request.query_params.multi_items(), scope=user.scope)
    file = await run_in_thread(partial(csv_file, request.app.state.store, wanted, now=now()))
    return StreamingResponse(chunks(file), media_type="text/csv; charset=utf-8", headers=_named("csv"))


@router.get("/redlist.xlsx")
async def as_workbook(request: Request, user: Viewer) -> Response:
    """Send exactly the view, all pages of it, as a workbook."""
    wanted = RedListQuery.from_query(request.query_params.multi_items(), scope=user.scope)
    state = request.app.state
    content = await run_in_thread(
        partial(workbook, state.store, wanted, company=state.project.name, now=now())
    )
    return Response(content, media_type=_XLSX, headers=_named("xlsx"))


def _named(ending: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="redlist-{now():%Y-%m-%d}.{ending}"'}
