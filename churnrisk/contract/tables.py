"""The tables of the contract: which columns, of which type, and how raw text becomes that type."""

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
    """

    name: str
    columns: tuple[ColumnSpec, ...]
    time: str | None = None
    key: tuple[str, ...] = ()
    open: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> ColumnSpec | None:
        """Return the column's specification, or None for a column of the user's own."""
        return next((column for column in self.columns if column.name == name), None)


def _columns(text: str, required: str) -> tuple[ColumnSpec, ...]:
    names_and_types = (part.split(":") for part in text.split())
    return tuple(ColumnSpec(name, type_, name in required.split()) for name, type_ in names_and_types)  # type: ignore[arg-type]


def _table(
    name: str,
    columns: str,
    *,
    required: str,
    time: str | None = None,
    key: tuple[str, ...] = (),
    is_open: bool = False,
) -> TableSpec:
    return TableSpec(name, _columns(columns, required), time, key, is_open)


TABLES: Mapping[str, TableSpec] = MappingProxyType(
    {
        table.name: table
        for table in (
            _table(
                "accounts",
                "account_id:id name:text signed_up_at:timestamp owner:text segment:text plan:text "
                "mrr:number seats:number renewal_at:timestamp contacts:number",
                required="account_id",
                key=("account_id",),
                is_open=True,
            ),
            _table(
                "events",
                "account_id:id occurred_at:timestamp feature:text user_id:id quantity:number "
                "recorded_at:timestamp",
                required="account_id occurred_at",
                time="occurred_at",
            ),
            _table(
                "complaints",
                "account_id:id opened_at:timestamp resolved_at:timestamp severity:severity category:text "
                "csat:number first_response_at:timestamp recorded_at:timestamp",
                required="account_id opened_at",
                time="opened_at",
            ),
            _table(
                "subscriptions",
                "account_id:id started_at:timestamp ended_at:timestamp plan:text mrr:number seats:number "
                "renewal_at:timestamp auto_renew:boolean recorded_at:timestamp",
                required="account_id started_at",
                time="started_at",
            ),
            _table(
                "surveys",
                "account_id:id answered_at:timestamp score:number kind:text recorded_at:timestamp",
                required="account_id answered_at score",
                time="answered_at",
            ),
            _table(
                "attributes",
                "account_id:id valid_from:timestamp owner:text contacts:number",
                required="account_id valid_from",
                time="valid_from",
                key=("account_id", "valid_from"),
                is_open=True,
            ),
            _table(
                "labels",
                "account_id:id as_of:timestamp churned:boolean",
                required="account_id as_of churned",
                time="as_of",
                key=("account_id", "as_of"),
            ),
        )
    }
)


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
