"""How a raw table becomes features: one group per table, whose block prepares the columns that features name.

A block honours "known before as_of" row by row and leaves relations to join with the rows of the panel by
``account_key``, which is quicker than an id of text, and ``as_of``. Sums run over integers and decimals only: sums of
floats depend on the order of rows, and the same snapshot must come out bit-identical.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.contract import Available
from churnrisk.records import Family, Feature
from churnrisk.sources import Engine, Tables

if TYPE_CHECKING:
    import pyarrow as pa

#: What names a row of the panel, and so of most relations.
ROW = ("account_key", "as_of")


@dataclass(frozen=True)
class ArrayBlock:
    """Columns that are computed beside SQL: from rows of some accounts to one row per date and account, in that order.

    ``rows`` is a relation with account_key. ``compute`` gets its rows, with the accounts numbered from 0 on in a column
    account, and how many accounts there are; it runs on the workers of Spark too. ``weight`` are the values that it
    holds for each account, in rows.
    """

    rows: str
    compute: Callable[[pa.Table, int], pa.Table]
    weight: float = 0.0


@dataclass(frozen=True)
class FeatureBlock:
    """What features may name: all columns of relations that a block has created, and of arrays that it computes."""

    #: By relation what identifies its rows, of account_key and as_of.
    relations: Mapping[str, tuple[str, ...]]
    arrays: ArrayBlock | None = None

    @classmethod
    def of(cls, *relations: str) -> FeatureBlock:
        """Return the block of relations with one row per account and date."""
        return cls(dict.fromkeys(relations, ROW))


@dataclass(frozen=True)
class BlockInputs:
    """What a block computes for."""

    tables: Tables
    #: Relation (account_id, account_key, as_of) of the panel's rows.
    rows: str
    #: Relation (account_id, account_key) of their accounts.
    keys: str
    #: Relation (as_of).
    dates: str
    #: Its dates, in their order.
    as_of: tuple[datetime, ...]
    #: Product features whose last day of use is computed.
    key_features: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        """Runs the SQL."""
        return self.tables.engine

    @property
    def available(self) -> Available:
        """Which tables and columns there are."""
        return self.tables.available

    def create(self, name: str, query: str) -> str:
        """Create a table, replacing one of that name, and return the name."""
        return self.engine.create(name, query)


@dataclass(frozen=True)
class FeatureFamily:
    """What the features of one family share by default; call it to declare one."""

    name: Family
    requires: tuple[str, ...]
    why_missing: str = ""

    def __call__(
        self,
        name: str,
        unit: str,
        sql: str,
        label: str,
        why: str,
        monotone: int = 0,
        requires: tuple[str, ...] | None = None,
        why_missing: str | None = None,
    ) -> Feature:
        """Declare a feature; see :class:`churnrisk.records.Feature`."""
        needs = self.requires if requires is None else requires
        missing = self.why_missing if why_missing is None else why_missing
        return Feature(name, self.name, unit, sql, label, why, monotone, needs, why_missing=missing)

    def count(
        self,
        name: str,
        unit: str,
        label: str,
        why: str,
        monotone: int = 0,
        requires: tuple[str, ...] | None = None,
    ) -> Feature:
        """Declare the prepared column of the same name, 0 where there is no row."""
        return self(name, unit, f"coalesce({name}, 0)", label, why, monotone, requires)

    def trend(
        self, of: str, label: str, why: str, monotone: int, requires: tuple[str, ...] | None = None
    ) -> Feature:
        """Declare the change against the 30 days before as a share of both: -1 all gone, +1 all new."""
        now, before = f"coalesce({of}_30, 0)", f"coalesce({of}_prev_30, 0)"
        sql = f"({now} - {before}) / nullif({now} + {before}, 0)::double"
        return self(f"{of}_trend_30", "trend", sql, label, why, monotone, requires)


@dataclass(frozen=True)
class FeatureGroup:
    """Everything that one raw table gives to the model: a plugin point, registered in ``catalogue.GROUPS``.

    Attributes
    ----------
    table : str
        Of the contract; without it the group is left out.
    prepare : callable
        From :class:`BlockInputs` to the :class:`FeatureBlock` that it creates.
    features : tuple of Feature
        Expressions over the block's columns.
    steps : mapping of str to str
        What each relation that ``prepare`` creates is for, as ``churnrisk features --sql`` prints it.
    """

    table: str
    prepare: Callable[[BlockInputs], FeatureBlock]
    features: tuple[Feature, ...]
    steps: Mapping[str, str] = field(default_factory=dict)
