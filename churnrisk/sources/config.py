"""What ``[tables.*]`` and ``[engine]`` in churnrisk.toml may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from churnrisk.contract import Reading
from churnrisk.errors import UsageError


@dataclass(frozen=True)
class Via:
    """A table that leads from the key of a row to the account it belongs to.

    ``key`` is its column that holds the row's key, ``account`` the one that holds the account's id, or the key of the
    next table on the way; both are found by their values if they are not given.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    path: str
    key: str | None = None
    account: str | None = None


@dataclass(frozen=True)
class TableConfig(Reading):
    """Where one contract table comes from, and how its values are to be read.

    Exactly one of ``path`` (a file or glob: CSV, Parquet, JSON, also .gz and .zst, or a workbook's sheet as
    ``book.xlsx#Usage``), ``sql`` (over files), ``url`` with ``table`` (a database) and ``table`` alone (of Spark's
    catalog) is given.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    path: str | None = None
    sql: str | None = None
    url: str | None = None
    table: str | None = None
    #: The contract's name to the user's; names that agree need no entry. A dotted path leads into nested JSON; of
    #: several names, the first that is filled counts.
    columns: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    #: For CSV files that are not comma-separated UTF-8.
    delimiter: str | None = None
    encoding: str | None = None
    #: SQL condition over the source's columns; other rows do not count.
    where: str | None = None
    #: Format of the date in the files' names, like "%Y-%m": adds the columns file_from and file_until, the first and
    #: the last day of that period.
    file_date: str | None = None
    #: Format of the columns whose names are periods, like "%Y-%m": each becomes a row with column_from, column_until
    #: and column_value.
    unpivot: str | None = None
    #: Tables that lead from what account_id is mapped to, such as a user's id, to the account.
    via: str | Via | tuple[str | Via, ...] = ()

    def __post_init__(self) -> None:
        given = [name for name in ("path", "sql", "url") if getattr(self, name)]
        if len(given) != 1 and not (self.table and not given):
            raise UsageError(
                f"a table needs exactly one of path, sql or url; found {' and '.join(given) or 'none'}. "
                'Write for example path = "events.csv".'
            )
        if given and bool(self.url) != bool(self.table):
            raise UsageError('url and table go together: url = "postgresql://…", table = "public.events".')


@dataclass(frozen=True)
class EngineConfig:
    """Which engine reads the tables, and how much of the machine it may use."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    #: ``engine = "spark"`` at the top of churnrisk.toml is short for this one.
    name: Literal["duckdb", "spark"] = "duckdb"
    #: Of the engine in this process; beyond it, work spills to ``temp_directory``.
    memory_limit: str = "1GB"
    temp_directory: str | None = None
    #: How many cores it uses; default: all.
    threads: int | None = None
    #: Training learns from a part of the accounts, always the same, where more rows than this have a label.
    max_panel_rows: int = 2_000_000
    #: Spark's own settings, such as "spark.master" and "spark.executor.memory".
    spark: dict[str, str] = field(default_factory=dict)
    #: Where Spark writes all scores: a folder that its workers see; default: ``scores`` in the project folder.
    scores: str | None = None
    #: Scoring caches the daily roll-up of the events between runs, where DuckDB reads them from files.
    cache: bool = True

    def __post_init__(self) -> None:
        if self.max_panel_rows < 1:
            raise UsageError(f"[engine] max_panel_rows must be at least 1; found {self.max_panel_rows}.")
