"""What the page of the red list shows besides its rows: links, chips, charts, empty states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from churnrisk.history import NONE, RedListQuery
from churnrisk.records import AtRisk, Colour, Disposition, RedList, User
from churnrisk.report.wording import DISPOSITIONS, FAMILIES
from churnrisk.web.charts import Group, bar_rows

#: Bars per chart; smaller groups are added up in the last one.
MOST_BARS = 7
_NOBODY = {"segment": "No segment", "quarter": "No renewal date", "owner": "Nobody", "assignee": "Nobody"}
WINDOWS = (("", "Any time"), ("30", "Within 30 days"), ("90", "Within 90 days"), ("180", "Within 180 days"))
_WORST_FIRST = tuple(str(one) for one in (Colour.RED, Colour.AMBER, Colour.GREEN, Colour.GREY))
SNOOZES = (("hide", "Hide"), ("only", "Only these"), ("all", "Show with the others"))


@dataclass(frozen=True, slots=True)
class ListLink:
    """A link with its text; ``is_current`` says that it leads to where one is."""

    text: str
    href: str
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column; with ``href`` the column can be sorted by."""

    text: str
    href: str | None = None
    is_current: bool = False
    direction: str = "descending"
    number: bool = False


@dataclass(frozen=True, slots=True)
class Empty:
    """Why nothing is listed, and what to do."""

    what: str
    why: str
    ways: tuple[ListLink, ...]


class Listing:
    """One view of the red list as links and charts."""

    def __init__(self, found: RedList, query: RedListQuery, user: User) -> None:
        self.found = found
        self.query = query
        self.user = user

    def context(self) -> dict[str, Any]:
        """Return what the template shows."""
        found, query = self.found, self.query
        last = min(found.page * found.per_page, found.matching)
        return {
            "list": found,
            "wanted": query,
            "link": self.link,
            "here_exactly": self.link(page=self.found.page),
            "limited_to": query.scope,
            "scopes": self._scopes(),
            "counted": "Revenue at risk" if self._in_money else "Accounts at risk",
            "by_segment": self._bars(found.by_segment, "segment"),
            "by_quarter": self._bars(found.by_quarter, "quarter"),
            "kept_fields": self._hidden_fields(),
            "windows": self._windows(),
            "reasons": (("", "Any reason"), *((name, FAMILIES.get(name, name)) for name in found.families)),
            "colours": _WORST_FIRST,
            "dispositions": (("", "Anything but churned"), (NONE, "Nothing yet"), *DISPOSITIONS.items()),
            "snoozes": SNOOZES,
            "assignees": self._assignees(),
            "more_open": self._more_open,
            "chips": self._chips(),
            "pages": -(-found.matching // found.per_page) if found.per_page else 1,
            "first_row": (found.page - 1) * found.per_page + 1,
            "last_row": last,
            "heads": self._heads(),
            "empty": None if found.rows else self._empty(),
            "export_csv": self.link(to="/redlist.csv"),
            "export_xlsx": self.link(to="/redlist.xlsx"),
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
    def _at_risk(self) -> float:
        """Of the totals, which know no other owner's accounts where somebody is limited to one."""
        return sum(total.value for total in self.found.totals if total.label in ("Red", "Amber"))

    @property
    def _more_open(self) -> bool:
        query, usual = self.query, RedListQuery()
        names = ("colours", "disposition", "snoozed", "assignee", "newly_red")
        return any(getattr(query, name) != getattr(usual, name) for name in names)

    def _scopes(self) -> tuple[ListLink, ...]:
        mine = self.user.owner
        if self.query.scope or not mine:
            return ()
        is_mine = (self.query.owner or "").casefold() == mine.casefold()
        return (
            ListLink("Everyone", self.link(owner=None), not self.query.owner),
            ListLink("Mine", self.link(owner=mine), is_mine),
        )

    def _bars(self, groups: Sequence[AtRisk], name: str) -> tuple[tuple[Group, Markup], ...]:
        if name == "segment" and [group.key for group in groups] == [NONE]:
            return ()
        if name == "quarter" and [group.key for group in groups] == [NONE]:
            return ()
        shown, rest = groups[:MOST_BARS], groups[MOST_BARS:]
        bars = [self._group(group, name) for group in shown]
        if rest:
            word = "later" if name == "quarter" else "others"
            red, amber = map(sum, zip(*map(self._amounts, rest), strict=True))
            bars.append(Group(f"{len(rest)} {word}", (red, amber)))
        return bar_rows(bars)

    def _group(self, group: AtRisk, name: str) -> Group:
        is_current = str(getattr(self.query, name) or "").casefold() == group.key.casefold()
        change: dict[str, Any] = {name: None if is_current else group.key}
        href = self.link(**change) + "#list"
        return Group(self._named(name, group.key), self._amounts(group), href, is_current)

    def _amounts(self, group: AtRisk) -> tuple[float, float]:
        if self._in_money:
            return group.red_value, group.amber_value
        return float(group.red), float(group.amber)

    def _named(self, name: str, key: str) -> str:
        if key == NONE:
            return _NOBODY[name]
        return key.replace("-", " ") if name == "quarter" else key

    def _hidden_fields(self) -> tuple[tuple[str, str], ...]:
        """Return the parameters that the form has no field for."""
        parameters = self.query.to_query()
        return tuple((name, parameters[name]) for name in ("sort", "quarter") if name in parameters)

    def _assignees(self) -> tuple[tuple[str, str], ...]:
        mine = self.user.owner or self.user.display_name
        known = {"": "Anybody or nobody", mine: f"Me ({mine})", NONE: "Nobody"}
        there = self.query.assignee
        return tuple((known | ({there: there} if there and there not in known else {})).items())

    def _windows(self) -> tuple[tuple[str, str], ...]:
        days = self.query.renews_within_days
        if days is None or str(days) in dict(WINDOWS):
            return WINDOWS
        return (*WINDOWS, (str(days), f"Within {days:,} days"))

    def _chips(self) -> tuple[ListLink, ...]:
        query, usual = self.query, RedListQuery()
        texts = {
            "colours": "Colours: " + ", ".join(query.colours),
            "owner": f"Owner: {_NOBODY['owner'] if query.owner == NONE else query.owner}",
            "segment": f"Segment: {self._named('segment', query.segment or '')}",
            "renews_within_days": f"Renews within {query.renews_within_days} days",
            "quarter": f"Renews in {self._named('quarter', query.quarter or '')}",
            "family": f"Main reason: {FAMILIES.get(query.family or '', query.family)}",
            "newly_red": "Red since the last run",
            "snoozed": "Only snoozed" if query.snoozed == "only" else "With snoozed",
            "disposition": f"On record: {self._disposition()}",
            "assignee": f"Assigned to: {_NOBODY['assignee'] if query.assignee == NONE else query.assignee}",
            "search": f"Search: {query.search}",
        }
        return tuple(
            ListLink(text, self.link(**{name: getattr(usual, name)}))
            for name, text in texts.items()
            if getattr(query, name) != getattr(usual, name)
        )

    def _disposition(self) -> str:
        named = self.query.disposition
        return DISPOSITIONS[named] if isinstance(named, Disposition) else "nothing yet"

    def _heads(self) -> tuple[Head, ...]:
        def head(text: str, sort: str, direction: str, *, number: bool = False) -> Head:
            return Head(text, self.link(sort=sort), self.query.sort == sort, direction, number)

        return (
            head("Colour", "days", "descending"),
            head("Account", "name", "ascending"),
            Head("Owner"),
            head("Value a year", "loss", "descending", number=True),
            head("Renewal", "renewal", "ascending"),
            head("Probability", "probability", "descending", number=True),
            Head("Why"),
            Head("Do first"),
            Head("Last touch"),
        )

    def _empty(self) -> Empty:
        found, query = self.found, self.query
        if found.page > 1 and found.matching:
            return Empty(
                "This page of the list is empty.",
                "The list has become shorter since.",
                (ListLink("To the first page", self.link()),),
            )
        if query == RedListQuery(sort=query.sort, scope=query.scope):
            return Empty(
                "No account is red or amber.",
                "Grey accounts lack data and are no judgement; green ones are unlikely to churn."
                if not query.scope
                else f"None of {query.scope}'s accounts is red or amber at this run.",
                (ListLink("Show all colours", self.link(colours=_WORST_FIRST)),),
            )
        ways = (*self._chips()[:3],)
        return Empty(
            "No account fits this view.",
            f"{self._at_risk:,.0f} accounts are red or amber. Take a filter away:",
            (*(ListLink(f"Without {way.text}", way.href) for way in ways), ListLink("All filters off", "/")),
        )
