"""What ``[tables.*]`` and ``[engine]`` in churnrisk.toml may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from churnrisk.errors import UsageError


@dataclass(frozen=True)
class TableConfig:
    """Where one contract table comes from.

    Exactly one of ``path`` (a file or glob: CSV, Parquet, JSON, also .gz and .zst), ``sql`` (over files),
    ``url`` with ``table`` (a database) and ``table`` alone (of Spark's catalog) is given.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    path: str | None = None
    sql: str | None = None
    url: str | None = None
    table: str | None = None
    #: The contract's name to the user's; names that agree need no entry.
    columns: dict[str, str] = field(default_factory=dict)
    #: For CSV files that are not comma-separated UTF-8.
    delimiter: str | None = None
    encoding: str | None = None
    #: Texts in CSV files that mean "unknown", like "NA".
    nulls: tuple[str, ...] = ()
    #: strptime format of text dates that are not ISO 8601, like "%d/%m/%Y".
    date_format: str | None = None

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
