"""What ``[tables.*]`` and ``[engine]`` in churnrisk.toml may say."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from churnrisk.contract import EPOCHS, GROUPS, TABLES, Reading, literal, scale_bounds
from churnrisk.errors import ChurnRiskError, UsageError


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
    #: As for a table; those of the table itself do not count here.
    encoding: str | None = None
    delimiter: str | None = None


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
        self._require_values()

    def _require_values(self) -> None:
        """Refuse values of settings that mean nothing."""
        if self.decimal not in (None, ".", ",") or (self.thousands and self.thousands not in GROUPS):
            raise UsageError(
                f'decimal is "." or ",", and thousands one of {", ".join(f"{one!r}" for one in GROUPS)}; '
                f"found decimal = {self.decimal!r}, thousands = {self.thousands!r}."
            )
        if self.point == self.thousands:
            raise UsageError(f"decimal and thousands are both {self.thousands!r}; one of them is another.")
        for scale in self.scale.values() if isinstance(self.scale, Mapping) else (self.scale,):
            try:
                scale_bounds(scale or "0-10")
            except ValueError as error:
                raise UsageError(
                    f'scale is written like "1-5", lowest to highest; found {scale!r}.'
                ) from error
        for one in self.date_formats.values():
            if "%" not in one and one not in EPOCHS:
                raise UsageError(
                    f'date_format is a strptime format like "%d/%m/%Y", or {", ".join(EPOCHS)}; found {one!r}.'
                )
        try:
            # some codecs are of no texts
            "".encode(self.encoding or "utf-8")
        except LookupError as error:
            raise UsageError(
                f'encoding {self.encoding!r} is unknown. Write for example "cp1252", "latin-1" or "utf-16".'
            ) from error

    @property
    def mapped(self) -> set[str]:
        """The user's names that are mapped, in small letters."""
        names = ((own,) if isinstance(own, str) else own for own in self.columns.values())
        return {one.strip().lower() for some in names for one in some}

    @property
    def date_formats(self) -> Mapping[str, str]:
        """The date formats by column; "" stands for all."""
        if isinstance(self.date_format, Mapping):
            return self.date_format
        return {"": self.date_format} if self.date_format else {}


def require_applicable(name: str, config: TableConfig, rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Refuse settings that the engine or the table's columns cannot follow; ``rows`` runs SQL."""
    columns = TABLES[name].columns
    for column, date_format in config.date_formats.items():
        times = [one.name for one in columns if one.type == "timestamp"]
        if column and column not in times:
            raise UsageError(
                f"[tables.{name}] date_format names {column!r}; the dates of {name} are {', '.join(times)}."
            )
        if date_format not in EPOCHS:
            try:
                rows(f"select try_strptime('', {literal(date_format)})")
            except ChurnRiskError as error:
                raise UsageError(
                    f'[tables.{name}] date_format {date_format!r} is no strptime format. Write it like "%d/%m/%Y".'
                ) from error
    for setting in ("status", "completed"):
        if getattr(config, setting) is not None and name != "subscriptions":
            raise UsageError(
                f"[tables.{name}] {setting} does nothing: only subscriptions have states. Remove it."
            )
    for setting, type_ in (("scale", "score"), ("severity_order", "severity")):
        if getattr(config, setting) and not any(one.type == type_ for one in columns):
            raise UsageError(f"[tables.{name}] {setting} does nothing: {name} has no {type_}. Remove it.")
    if config.timezone and config.timezone != "UTC":
        zones = [zone for (zone,) in rows("select name from pg_timezone_names()")]
        if config.timezone.lower() not in {zone.lower() for zone in zones}:
            near = difflib.get_close_matches(config.timezone, zones, 1) or ["Europe/Berlin"]
            raise UsageError(
                f'[tables.{name}] timezone {config.timezone!r} is unknown. Write it like "{near[0]}".'
            )


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
