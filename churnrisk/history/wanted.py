"""Which rows of the red list somebody wants, as it stands in an address: a view is a link that can be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Literal, Self, get_args

from churnrisk.errors import UsageError
from churnrisk.records import Colour, Disposition, Family

Snoozed = Literal["hide", "only", "all"]
Sort = Literal["loss", "probability", "renewal", "days", "name"]

#: Names the accounts without an owner, segment, assignee or renewal date, or that nobody has reviewed.
NONE = "(none)"
FAMILIES: tuple[str, ...] = get_args(Family)
_QUARTER = re.compile(r"(?:19|20)\d\d-Q[1-4]", re.ASCII)
_LONGEST_SEARCH = 200
_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}
#: Field to its name in an address.
_KEYS = {
    "colours": "colour",
    "owner": "owner",
    "assignee": "assignee",
    "segment": "segment",
    "renews_within_days": "renews_within",
    "quarter": "quarter",
    "family": "reason",
    "newly_red": "newly_red",
    "snoozed": "snoozed",
    "disposition": "disposition",
    "search": "q",
    "sort": "sort",
}


@dataclass(frozen=True, slots=True)
class WorklistFilter:
    """Which rows to show, and in which order; an empty field asks nothing.

    Attributes
    ----------
    colours : tuple of str
        Red and amber by default.
    scope : str, optional
        The one owner whose accounts the asker may see at all; it never comes from an address.
    owner, segment, assignee : str, optional
        In any case of letters; :data:`NONE` asks for the accounts without one.
    renews_within_days : int, optional
        The contract renews on one of so many days from the run on.
    quarter : str, optional
        Of the renewal: "2026-Q3", or :data:`NONE`.
    family : str, optional
        Of the first reason: one of :data:`FAMILIES`.
    newly_red : bool
        Red, and not red at the run before.
    snoozed : {"hide", "only", "all"}
        What becomes of accounts that are snoozed now.
    disposition : str, optional
        One of :class:`churnrisk.records.Disposition`, or :data:`NONE`. Without one, churned accounts stay away.
    search : str, optional
        Part of name or id.
    sort : {"loss", "probability", "renewal", "days", "name"}
        Expected loss (red first), churn probability, nearest renewal, longest in the colour, name.

    Raises
    ------
    UsageError
        If a field says something that it cannot.
    """

    colours: tuple[str, ...] = ("red", "amber")
    owner: str | None = None
    segment: str | None = None
    newly_red: bool = False
    scope: str | None = None
    assignee: str | None = None
    renews_within_days: int | None = None
    quarter: str | None = None
    family: str | None = None
    snoozed: Snoozed = "hide"
    disposition: str | None = None
    search: str | None = None
    sort: Sort = "loss"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.colours) - set(Colour))
        if unknown or not self.colours:
            raise UsageError(
                f"{', '.join(unknown) or 'nothing'} is no colour; choose among {', '.join(Colour)}."
            )
        _require("snoozed", self.snoozed, get_args(Snoozed))
        _require("sort", self.sort, get_args(Sort))
        _require("reason", self.family, (*FAMILIES, None))
        _require("disposition", self.disposition, (*Disposition, NONE, None))
        if len(self.search or "") > _LONGEST_SEARCH:
            raise UsageError(f"a search takes up to {_LONGEST_SEARCH} characters. Shorten it.")
        days = self.renews_within_days
        if days is not None and not 0 <= days <= 3_660:
            raise UsageError(f"renews_within expects 0 to 3660 days, found {days}.")
        if self.quarter not in (None, NONE) and not _QUARTER.fullmatch(str(self.quarter)):
            raise UsageError(f"quarter expects one like 2026-Q3, found {self.quarter!r}.")

    @classmethod
    def from_query(
        cls, query: Mapping[str, str] | Iterable[tuple[str, str]], *, scope: str | None = None
    ) -> Self:
        """Return the filter that the parameters of an address name; parameters of others are passed over.

        Parameters
        ----------
        query : mapping or pairs of str to str
            A colour may come several times, or several with commas between them; empty values ask nothing.
        scope : str, optional
            The owner that the asker is limited to.

        Raises
        ------
        UsageError
            If a value is none that its parameter can have.
        """
        pairs = list(query.items() if isinstance(query, Mapping) else query)
        said = {key: clean(value) for key, value in pairs if clean(value)}
        colours = [part.strip() for key, value in pairs if key == "colour" for part in value.split(",")]
        made: dict[str, object] = {
            name: said[key] for name, key in _KEYS.items() if key in said and name != "colours"
        }
        if any(colours):
            made["colours"] = tuple(dict.fromkeys(colour for colour in colours if colour))
        if "newly_red" in made:
            made["newly_red"] = _flag("newly_red", said["newly_red"])
        if "renews_within_days" in made:
            made["renews_within_days"] = _number("renews_within", said["renews_within"])
        return cls(**made, scope=scope)  # type: ignore[arg-type]  # each field checks its own value

    def to_query(self) -> dict[str, str]:
        """Return the parameters of an address that :meth:`from_query` turns into this filter again."""
        usual = type(self)()
        shown = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in _KEYS and getattr(self, field.name) != getattr(usual, field.name)
        }
        return {_KEYS[name]: _written(value) for name, value in shown.items()}


def clean(text: str) -> str:
    """Return a text that somebody typed without what no database takes, and without space around it."""
    return text.encode("utf-8", errors="replace").decode().replace("\0", "").strip()


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return "1" if value is True else str(value)


def _require(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        known = ", ".join(str(one) for one in allowed if one)
        raise UsageError(f"{name} expects one of {known}; found {value!r}.")


def _flag(name: str, value: str) -> bool:
    if value.casefold() not in _FLAGS:
        raise UsageError(f"{name} expects 1 or 0, found {value!r}.")
    return _FLAGS[value.casefold()]


def _number(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,6}", value, re.ASCII):
        raise UsageError(f"{name} expects a number of days, found {value!r}.")
    return int(value)
