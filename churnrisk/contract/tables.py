"""The tables of the contract: which columns, of which type. A new raw table is one more entry of ``TABLES``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ColumnType = Literal["id", "text", "timestamp", "number", "integer", "severity", "boolean"]

#: What a value of each type looks like, for messages.
EXPECTED = MappingProxyType(
    {
        "id": "an identifier",
        "text": "text",
        "timestamp": "a date or time like 2026-03-31 or 2026-03-31 14:05:00",
        "number": "a number like 12.5",
        "integer": "a whole number",
        "severity": "1 to 4, or low, medium, high, critical",
        "boolean": "true/false, yes/no or 1/0",
    }
)


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column of a contract table."""

    name: str
    type: ColumnType
    required: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table of the contract.

    Attributes
    ----------
    time : str or None
        The column that says when a row happened; rows are ordered and cut by it.
    key : tuple of str
        Columns that together may appear once; empty when rows need not be unique.
    open : bool
        True when further columns of the user's own are welcome.
    later : tuple of str
        Columns whose date may lie after the row's own time ("resolved_at"): a snapshot sees them once that has come.
    planned : tuple of str
        Dates that may lie in the future ("renewal_at").
    words : tuple of str
        Words in file names by which ``churnrisk init`` recognises the table.
    """

    name: str
    columns: tuple[ColumnSpec, ...]
    time: str | None = None
    key: tuple[str, ...] = ()
    open: bool = False
    later: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        columns: str,
        *,
        required: str,
        time: str | None = None,
        key: tuple[str, ...] = (),
        is_open: bool = False,
        later: tuple[str, ...] = (),
        planned: tuple[str, ...] = (),
        words: str = "",
    ) -> TableSpec:
        """Declare a table by "name:type" pairs and the names of the columns that must be there."""
        pairs = (pair.split(":") for pair in columns.split())
        specs = tuple(ColumnSpec(column, type_, column in required.split()) for column, type_ in pairs)  # type: ignore[arg-type]
        return cls(name, specs, time, key, is_open, later, planned, tuple(words.split()))

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def is_log(self) -> bool:
        """True when each row is something that happened, as against a state or a label."""
        return self.time is not None and not self.key

    def column(self, name: str) -> ColumnSpec | None:
        """Return the column's specification, or None for a column of the user's own."""
        return next((column for column in self.columns if column.name == name), None)


#: By name, in the order in which people read them.
TABLES: dict[str, TableSpec] = {
    table.name: table
    for table in (
        TableSpec.of(
            "accounts",
            "account_id:id name:text signed_up_at:timestamp owner:text segment:text plan:text "
            "mrr:number seats:number renewal_at:timestamp contacts:number",
            required="account_id",
            key=("account_id",),
            is_open=True,
            planned=("renewal_at",),
            words="account customer client company companies crm personal student member train",
        ),
        TableSpec.of(
            "events",
            "account_id:id occurred_at:timestamp feature:text user_id:id quantity:number recorded_at:timestamp",
            required="account_id occurred_at",
            time="occurred_at",
            words="event usage activity engagement log session learning order invoice transaction",
        ),
        TableSpec.of(
            "complaints",
            "account_id:id opened_at:timestamp resolved_at:timestamp severity:severity category:text "
            "csat:number first_response_at:timestamp recorded_at:timestamp",
            required="account_id opened_at",
            time="opened_at",
            later=("resolved_at", "first_response_at"),
            words="complaint ticket support case incident",
        ),
        TableSpec.of(
            "subscriptions",
            "account_id:id started_at:timestamp ended_at:timestamp plan:text mrr:number seats:number "
            "renewal_at:timestamp auto_renew:boolean recorded_at:timestamp",
            required="account_id started_at",
            time="started_at",
            later=("ended_at",),
            planned=("ended_at", "renewal_at"),
            words="subscription contract term purchase licen",
        ),
        TableSpec.of(
            "surveys",
            "account_id:id answered_at:timestamp score:number kind:text recorded_at:timestamp",
            required="account_id answered_at score",
            time="answered_at",
            words="survey nps csat rating feedback",
        ),
        TableSpec.of(
            "attributes",
            "account_id:id valid_from:timestamp owner:text contacts:number",
            required="account_id valid_from",
            time="valid_from",
            key=("account_id", "valid_from"),
            is_open=True,
            words="history attribute snapshot",
        ),
        TableSpec.of(
            "labels",
            "account_id:id as_of:timestamp churned:boolean",
            required="account_id as_of churned",
            time="as_of",
            key=("account_id", "as_of"),
            words="label outcome",
        ),
    )
}


@dataclass(frozen=True)
class Available:
    """Which contract tables are there, with which columns.

    Attributes
    ----------
    tables : mapping of str to tuple of str
        Column names per table, the user's own included.
    categorical : mapping of str to tuple of str
        Of the user's own columns in open tables, those that hold names and not numbers.
    """

    tables: Mapping[str, tuple[str, ...]]
    categorical: Mapping[str, tuple[str, ...]]

    def has(self, need: str) -> bool:
        """Say whether "table" or "table.column" is there."""
        table, _, column = need.partition(".")
        return table in self.tables and (not column or column in self.tables[table])

    def own_columns(self, table: str) -> tuple[str, ...]:
        """Columns that the user brought beyond the contract's."""
        spec = TABLES[table]
        return tuple(name for name in self.tables.get(table, ()) if spec.column(name) is None)
