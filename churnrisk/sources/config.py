"""What ``[tables.*]`` and ``[engine]`` in churnrisk.toml may say."""

from __future__ import annotations

from dataclasses import dataclass, field

from churnrisk.errors import UsageError


@dataclass(frozen=True)
class TableConfig:
    """Where one contract table comes from.

    Exactly one of ``path`` (a file or glob: CSV, Parquet, JSON, also .gz and .zst), ``sql`` (over files)
    and ``url`` with ``table`` (a database) is given.

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
        if len(given) != 1:
            raise UsageError(
                f"a table needs exactly one of path, sql or url; found {' and '.join(given) or 'none'}. "
                'Write for example path = "events.csv".'
            )
        if bool(self.url) != bool(self.table):
            raise UsageError('url and table go together: url = "postgresql://…", table = "public.events".')


@dataclass(frozen=True)
class EngineConfig:
    """How much of the machine the table engine may use."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    memory_limit: str = "1GB"
    temp_directory: str | None = None
    threads: int | None = None
