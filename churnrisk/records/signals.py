"""Features as declared, and violations of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "recency", "breadth", "complaints", "satisfaction", "value", "relationship", "attributes", "own"
]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature, declared once: query, constraint, reason text, docs and signature derive from it.

    Attributes
    ----------
    name : str
        Column name; carries the unit or the window.
    family : str
        One of :data:`Family`.
    unit : str
        What one unit of the value is ("days", "events", "share" …).
    sql : str
        Expression over the blocks of :mod:`churnrisk.features` at one (account, as_of).
    label : str
        A noun phrase for people, without the value: "days since last event".
    why : str
        The reason sentence; ``{value}`` is formatted in. With a direction (``monotone``) it may take sides
        ("only 2 people active") and is used on the churn side alone; without one it states the value.
    monotone : int
        +1 when a higher value can only raise the churn probability, -1 the other way, 0 when unknown.
    requires : tuple of str
        Tables and columns it needs, as "table" or "table.column"; without one the feature is left out.
    categorical : bool
        True when the value is a name and not a number.
    why_missing : str
        The reason sentence when there is no value.
    """

    name: str
    family: Family
    unit: str
    sql: str
    label: str
    why: str
    monotone: int = 0
    requires: tuple[str, ...] = ()
    categorical: bool = False
    why_missing: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of the contract: where, how often, and how to fix it."""

    table: str
    column: str
    rule: str
    level: Literal["error", "warn"]
    count: int
    examples: tuple[str, ...]
    mend: str
