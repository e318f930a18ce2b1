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

    Attributes
    ----------
    columns : dict of str to str
        The contract's name to the user's name; names that agree need no entry.
    delimiter, encoding : str, optional
        For CSV files that are not comma-separated UTF-8.
    nulls : tuple of str
        Texts in CSV files that mean "unknown", like "NA".
    date_format : str, optional
        strptime format of text dates that are not ISO 8601, like "%d/%m/%Y".
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    path: str | None = None
    sql: str | None = None
    url: str | None = None
    table: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    encoding: str | None = None
    nulls: tuple[str, ...] = ()
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
    """Which engine reads the tables, and how much of the machine it may use.

    Attributes
    ----------
    name : {"duckdb", "spark"}
        ``engine = "spark"`` at the top of churnrisk.toml is short for this one.
    memory_limit : str
        Of the engine in this process; beyond it, work spills to disk.
    temp_directory : str, optional
        Where it spills.
    threads : int, optional
        How many cores it uses; default: all.
    max_panel_rows : int
        Training learns from a part of the accounts, always the same, where more rows than this have a label.
    spark : dict of str to str
        Spark's own settings, such as "spark.master" and "spark.executor.memory".
    scores : str, optional
        Where Spark writes all scores as Parquet: a folder that its workers see; default: ``scores`` in the
        project folder.
    cache : bool
        Scoring caches the daily roll-up of the events between runs, where DuckDB reads them from files.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    name: Literal["duckdb", "spark"] = "duckdb"
    memory_limit: str = "1GB"
    temp_directory: str | None = None
    threads: int | None = None
    max_panel_rows: int = 2_000_000
    spark: dict[str, str] = field(default_factory=dict)
    scores: str | None = None
    cache: bool = True

    def __post_init__(self) -> None:
        if self.max_panel_rows < 1:
            raise UsageError(f"[engine] max_panel_rows must be at least 1; found {self.max_panel_rows}.")
