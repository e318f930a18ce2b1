"""The page of the red list: one view of it as links, charts and table, and the same view as CSV or workbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import IO, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from churnrisk.auth import Store
from churnrisk.errors import UsageError
from churnrisk.files import csv_text
from churnrisk.present import COLUMNS, DISPOSITIONS, FAMILIES, PLACES, flat, fold, write_workbook
from churnrisk.records import NONE, AtRisk, Colour, Place, RedList, RedListQuery, User
from churnrisk.team import export, read_red_list
from churnrisk.web.charts import Group, bar_rows
from churnrisk.web.process import in_thread, now, run_in_thread
from churnrisk.web.rendering import FragmentCache, PageLink, environment, may_review, page
from churnrisk.web.security.session import Viewer

router = APIRouter()
PER_PAGE = 50
#: A workbook is made in memory; a longer list goes out as CSV.
MOST_WORKBOOK_ROWS = 50_000
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_BATCH = 500
_IN_MEMORY, _PIECE = 4_000_000, 65_536
_NOBODY = {"segment": "No segment", "quarter": "No renewal date", "owner": "Nobody", "assignee": "Nobody"}
_WINDOWS = (("", "Any time"), ("30", "Within 30 days"), ("90", "Within 90 days"), ("180", "Within 180 days"))
_WORST_FIRST = tuple(str(one) for one in (Colour.RED, Colour.AMBER, Colour.GREEN, Colour.GREY))
_PLACES = {
    Place.WORK: "work",
    Place.BEYOND: "red beyond capacity",
    Place.WATCH: "on watch",
    Place.HANDLED: "handled before",
}


@router.get("/")
async def show(request: Request, user: Viewer) -> Response:
    """Show a page of the list, filtered as the address says."""
    query = _query(request, user)
    number = _page_number(request)
    address = dict(query.to_query()) | ({"page": str(number)} if number > 1 else {})
    if request.query_params.multi_items() != list(address.items()):
        # A form sends every field; the address to bookmark holds only what differs from the defaults.
        return RedirectResponse("/" + (f"?{urlencode(address)}" if address else ""), 303)
    work = partial(_show, request, user, query, number)
    # No index covers parts of names, so a search reads them all.
    return await (run_in_thread(work) if query.search else run_in_threadpool(work))


def _show(request: Request, user: User, query: RedListQuery, number: int) -> Response:
    state = request.app.state
    found = read_red_list(state.store, as_of=None, query=query, page=number, per_page=PER_PAGE, now=now())
    # Many people open the same view, and it stays the same until something changes.
    fragments: FragmentCache = state.fragments
    key = (query, found.page, may_review(user), user.owner, user.display_name)

    def render() -> Markup:
        context = Listing(found, query, user).context()
        horizon = f"within {state.project.churn.horizon_days} days"
        template = environment().get_template("redlist/main.html")
        drawn = template.render(context, horizon=horizon, may_review=may_review(user))
        return Markup(drawn)  # noqa: S704 - escaped by the template

    return page(request, "redlist.html", {"drawn": fragments.get(key, found, render)})


def _query(request: Request, user: User) -> RedListQuery:
    capacity = request.app.state.project.decision.capacity
    return RedListQuery.from_query(request.query_params.multi_items(), scope=user.scope, capacity=capacity)


def _page_number(request: Request) -> int:
    given = request.query_params.get("page", "1")
    if not (given.isascii() and given.isdigit() and int(given[:7]) >= 1 and len(given) < 7):
        raise UsageError(f"page expects a number from 1 on, found {given[:20]!r}. Go back to the first page.")
    return int(given)


@router.get("/redlist.csv")
@in_thread
def as_csv(request: Request, user: Viewer) -> Response:
    """Send exactly the view, all pages of it, as CSV."""
    file = csv_file(request.app.state.store, _query(request, user), now=now())
    return StreamingResponse(chunks(file), media_type="text/csv; charset=utf-8", headers=_attached("csv"))


@router.get("/redlist.xlsx")
@in_thread
def as_workbook(request: Request, user: Viewer) -> Response:
    """Send exactly the view, all pages of it, as a workbook."""
    state = request.app.state
    content = workbook(state.store, _query(request, user), company=state.project.name, now=now())
    return Response(content, media_type=_XLSX, headers=_attached("xlsx"))


def _attached(ending: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="redlist-{now():%Y-%m-%d}.{ending}"'}


def csv_file(store: Store, query: RedListQuery, *, now: datetime) -> IO[bytes]:
    """Return the view as a CSV file that is deleted once it is closed.

    It is written before any of it is sent: a slow download must not hold a connection to the store.
    """
    file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it lives as long as the download
    with export(store, as_of=None, query=query, now=now) as (_, rows):
        # Excel takes UTF-8 for what it is only with this mark.
        file.write("\ufeff".encode() + _lines([COLUMNS]))
        lines = (flat(row).values() for row in rows)
        while batch := list(islice(lines, _BATCH)):
            file.write(_lines(batch))
    return file


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    return csv_text(rows, newline="\r\n").encode("utf-8", errors="replace")


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file from its beginning in pieces, and close it."""
    with file:
        file.seek(0)
        yield from iter(partial(file.read, _PIECE), b"")


def workbook(store: Store, query: RedListQuery, *, company: str, now: datetime) -> bytes:
    """Return the view as an xlsx workbook with its totals; UsageError for more rows than it is made for."""
    matching = read_red_list(store, as_of=None, query=query, now=now, page=1, per_page=1).matching
    if matching > MOST_WORKBOOK_ROWS:
        raise UsageError(
            f"this view has {matching:,} accounts, and a workbook holds {MOST_WORKBOOK_ROWS:,} of them. Take the CSV, "
            "which has no limit, or filter the view."
        )
    found = read_red_list(store, as_of=None, query=query, now=now, per_page=None)
    with TemporaryDirectory() as folder:
        return write_workbook(Path(folder) / "redlist.xlsx", found, company=company).read_bytes()


@dataclass(frozen=True)
class Listing:
    """One view of the red list as links and charts."""

    found: RedList
    query: RedListQuery
    user: User

    def context(self) -> dict[str, Any]:
        """Return what the template shows."""
        found, query = self.found, self.query
        return {
            "list": found,
            "query": query,
            "link": self.link,
            "here_exactly": self.link(page=found.page),
            "scopes": self._scopes(),
            "places": self._places(),
            "counted": "Revenue at risk" if self._in_money else "Accounts at risk",
            "by_segment": self._bars(found.by_segment, "segment"),
            "by_quarter": self._bars(found.by_quarter, "quarter"),
            "windows": self._windows(),
            "reasons": (("", "Any reason"), *((name, FAMILIES.get(name, name)) for name in found.families)),
            "colours": _WORST_FIRST,
            "dispositions": (("", "Anything but churned"), (NONE, "Nothing yet"), *DISPOSITIONS.items()),
            "assignees": self._assignees(),
            "more_open": self._more_open,
            "chips": self._chips(),
            "pages": -(-found.matching // found.per_page) if found.per_page else 1,
            "first_row": (found.page - 1) * found.per_page + 1,
            "last_row": min(found.page * found.per_page, found.matching),
            # the totals know no other owner's accounts where somebody is limited to one
            "at_risk": sum(total.value for total in found.totals if total.label in ("Red", "Amber")),
            "is_unfiltered": query
            == RedListQuery(sort=query.sort, scope=query.scope, capacity=query.capacity),
        }

    def link(self, *, to: str = "/", page: int = 1, **changes: Any) -> str:
        """Return the address of this view with something changed."""
        parameters = self.query.model_copy(update=changes).to_query()
        if page > 1:
            parameters["page"] = str(page)
        return to + (f"?{urlencode(parameters)}" if parameters else "")

    @property
    def _in_money(self) -> bool:
        return any(group.red_value or group.amber_value for group in self.found.by_segment)

    @property
    def _more_open(self) -> bool:
        query, usual = self.query, RedListQuery()
        names = ("colours", "disposition", "snoozed", "assignee", "newly_red")
        return any(getattr(query, name) != getattr(usual, name) for name in names)

    def _scopes(self) -> tuple[PageLink, ...]:
        mine = self.user.owner
        if self.query.scope or not mine:
            return ()
        is_mine = (self.query.owner or "").casefold() == mine.casefold()
        return (
            PageLink(self.link(owner=None), "Everyone", not self.query.owner),
            PageLink(self.link(owner=mine), "Mine", is_mine),
        )

    def _places(self) -> tuple[PageLink, ...]:
        """Return links to all accounts and to those of each place, as far as there are any."""
        counted, here = self.found.places, self.query.place
        if counted is None:
            return ()
        named = [(place, f"{getattr(counted, place):,} {text}") for place, text in _PLACES.items()]
        kept = [(place, text) for place, text in named if getattr(counted, place) or place == here]
        ways = [PageLink(self.link(place=place) + "#list", text, here == place) for place, text in kept]
        return (PageLink(self.link(place=None) + "#list", "All", here is None), *ways)

    def _bars(self, groups: Sequence[AtRisk], name: str) -> tuple[tuple[Group, Markup], ...]:
        if [group.key for group in groups] == [NONE]:
            return ()
        folded = fold(groups, "later" if name == "quarter" else "others")
        return bar_rows([self._group(group, name, is_link=group in groups) for group in folded])

    def _group(self, group: AtRisk, name: str, *, is_link: bool) -> Group:
        amounts = group.amounts(in_money=self._in_money)
        if not is_link:
            return Group(group.key, amounts)
        is_current = str(getattr(self.query, name) or "").casefold() == group.key.casefold()
        change: dict[str, Any] = {name: None if is_current else group.key}
        href = self.link(**change) + "#list"
        return Group(self._named(name, group.key), amounts, href, is_current)

    def _named(self, name: str, key: str) -> str:
        if key == NONE:
            return _NOBODY[name]
        return key.replace("-", " ") if name == "quarter" else key

    def _assignees(self) -> tuple[tuple[str, str], ...]:
        mine = self.user.owner or self.user.display_name
        known = {"": "Anybody or nobody", mine: f"Me ({mine})", NONE: "Nobody"}
        there = self.query.assignee
        return tuple((known | ({there: there} if there and there not in known else {})).items())

    def _windows(self) -> tuple[tuple[str, str], ...]:
        days = self.query.renews_within_days
        if days is None or str(days) in dict(_WINDOWS):
            return _WINDOWS
        return (*_WINDOWS, (str(days), f"Within {days:,} days"))

    def _chips(self) -> tuple[PageLink, ...]:
        query, usual = self.query, RedListQuery()
        texts = {
            "colours": "Colours: " + ", ".join(query.colours),
            "owner": f"Owner: {_NOBODY['owner'] if query.owner == NONE else query.owner}",
            "segment": f"Segment: {self._named('segment', query.segment or '')}",
            "renews_within_days": f"Renews within {query.renews_within_days} days",
            "quarter": f"Renews in {self._named('quarter', query.quarter or '')}",
            "family": f"Main reason: {FAMILIES.get(query.family or '', query.family)}",
            "place": PLACES[query.place] if query.place else "",
            "newly_red": "Red since the last run",
            "snoozed": "Only snoozed" if query.snoozed == "only" else "With snoozed",
            "disposition": f"On record: {DISPOSITIONS.get(query.disposition or '', 'nothing yet')}",
            "assignee": f"Assigned to: {_NOBODY['assignee'] if query.assignee == NONE else query.assignee}",
            "search": f"Search: {query.search}",
        }
        return tuple(
            PageLink(self.link(**{name: getattr(usual, name)}), text)
            for name, text in texts.items()
            if getattr(query, name) != getattr(usual, name)
        )
