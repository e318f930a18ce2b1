"""The query of the red list, shared by command line, API and page; an address carries all of it but the scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from churnrisk.errors import UsageError
from churnrisk.records import Colour, Disposition, Family

Sort = Literal["loss", "probability", "renewal", "days", "name"]
Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_OptionalText = Annotated[Text | None, AfterValidator(lambda text: text or None)]

#: Names the accounts without an owner, segment, assignee or renewal date, or that nobody has reviewed.
NONE = "(none)"
FAMILIES: tuple[str, ...] = get_args(Family)
#: Parameters of an address that are not called like their field.
_PARAMETERS = {"colours": "colour", "renews_within_days": "renews_within", "family": "reason", "search": "q"}


def _parameter(field: str) -> str:
    return _PARAMETERS.get(field, field)


class RedListParameters(BaseModel):
    """Which rows to list, in which order; an empty field restricts nothing. Names match in any case."""

    model_config = ConfigDict(frozen=True, alias_generator=_parameter, validate_by_name=True)

    colours: tuple[Colour, ...] = Field((Colour.RED, Colour.AMBER), min_length=1, max_length=4)
    owner: _OptionalText = Field(None, description=f"{NONE} for accounts without one.")
    segment: _OptionalText = Field(None, description=f"{NONE} for accounts without one.")
    newly_red: bool = Field(False, description="Only accounts that are red and were not at the last run.")
    assignee: _OptionalText = Field(None, description=f"{NONE} for accounts that nobody is assigned to.")
    renews_within_days: int | None = Field(None, ge=0, le=3660, description="Days from the run on.")
    quarter: str | None = Field(
        None,
        pattern=r"^(\(none\)|(19|20)[0-9]{2}-Q[1-4])$",
        description=f"Of the renewal, such as 2026-Q3; {NONE} for accounts without a renewal date.",
    )
    family: Family | None = Field(None, description="Family of the main reason.")
    snoozed: Literal["hide", "only", "all"] = Field("hide", description="What to do with snoozed accounts.")
    disposition: Disposition | Literal["(none)"] | None = Field(
        None,
        description=f"{NONE} for accounts without one; churned accounts are listed only when named here.",
    )
    search: _OptionalText = Field(None, description="Part of the name or id.")
    sort: Sort = Field(
        "loss",
        description="By expected loss (red first), probability, nearest renewal, longest in its colour, or name.",
    )


class RedListQuery(RedListParameters):
    """The parameters within a scope: the one owner whose accounts the asker may see, never read from an address."""

    scope: str | None = None

    @classmethod
    def from_query(
        cls, query: Mapping[str, str] | Iterable[tuple[str, str]], *, scope: str | None = None
    ) -> Self:
        """Parse the parameters of an address; unknown and empty ones are ignored.

        A colour may be repeated, or several separated by commas. Raises UsageError on an invalid value.
        """
        pairs = list(query.items() if isinstance(query, Mapping) else query)
        given: dict[str, Any] = {key: clean(value) for key, value in pairs if clean(value)}
        colours = [part.strip() for key, value in pairs if key == "colour" for part in value.split(",")]
        given["colour"] = tuple(dict.fromkeys(colour for colour in colours if colour))
        known = {_parameter(name) for name in RedListParameters.model_fields}
        try:
            return cls(**{key: value for key, value in given.items() if key in known and value}, scope=scope)
        except ValidationError as error:
            first = error.errors()[0]
            # "Input should be 'hide', 'only' or 'all'": the parameter is the better subject
            _, _, expected = first["msg"].partition(" ")
            raise UsageError(f"{first['loc'][0]} {expected}, found {str(first['input'])[:60]!r}.") from None

    def to_query(self) -> dict[str, str]:
        """Return the parameters that :meth:`from_query` parses back; defaults are left out."""
        shown = self.model_dump(by_alias=True, exclude_defaults=True, exclude={"scope"})
        return {name: _written(value) for name, value in shown.items()}


def clean(text: str) -> str:
    """Return typed text without surrounding space and without what no database stores."""
    return text.encode("utf-8", errors="replace").decode().replace("\0", "").strip()


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return "1" if value is True else str(value)
