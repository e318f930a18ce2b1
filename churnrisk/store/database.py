"""The database of the store: connections, schema version, cached queries, errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import IntEnum
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import sqlalchemy as sa
from cachetools import LRUCache
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from churnrisk.errors import UnavailableError, UsageError
from churnrisk.store.schema import actions, reviews, run_outcomes, runs

if TYPE_CHECKING:
    from alembic.config import Config

#: A transaction, for use cases that do not know the library behind it.
Transaction: TypeAlias = sa.Connection

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION = sa.table("alembic_version", sa.column("version_num"))
_WRITES = "churnrisk_writes"
# KiB of pages that each SQLite connection caches: a pool holds many connections.
_CACHE, _POOLED_CACHE = 65_536, 8_192
# pre-ping: a connection that the server has closed is noticed before it is used.
_POOL = {"pool_size": 8, "max_overflow": 8, "pool_timeout": 10.0, "pool_pre_ping": True}
_FIXES = {
    "queuepool limit": "too many ask it at once. Try again in a moment",
    "locked": "another program is writing to it. Try again when that has finished",
    "readonly": "it cannot be written. Give this user write access to the file and its folder",
    "unable to open": "it cannot be opened. Make the folder first, or correct the path",
    "not a database": "it is not a SQLite database. Restore a backup, or name another file",
    "malformed": "the file is damaged. Restore a backup, or name another file",
    "disk is full": "the disk is full. Make room and run again",
    "disk i/o": "the disk reported an error. Check the disk, then run again",
    "lock timeout": "another program is writing to it. Try again when that has finished",
    "connection refused": "no server listens there. Start it, or correct host and port",
    "no such file or directory": "no server listens there. Start it, or correct host and port",
    "translate host name": "there is no such host. Correct the host",
    "resolve host": "there is no such host. Correct the host",
    "timeout expired": "the server does not answer. Check network and server, then run again",
    "password authentication failed": "the server does not take this user and password. Correct them",
    "no password supplied": "the server asks for a password. Give one in the URL or in PGPASSWORD",
    "does not exist": "it is not there. Create it, or correct its name",
    "permission denied": "this user may not do that there. Grant this user the right",
    "read-only transaction": "it cannot be written. Name a server that takes writes",
    "too many clients": "the server has no connection free. Try again later",
    "no space left": "the server's disk is full. Make room and run again",
    "terminating connection": "the server ended the connection. Nothing was changed; run again",
    "connection is lost": "the server ended the connection. Nothing was changed; run again",
    "closed the connection unexpectedly": "the server ended the connection. Nothing was changed; run again",
}
_SECRET = re.compile(r"(?<=:)[^:@/]*(?=@)|(?<=pass=)[^&]*|(?<=password=)[^&]*")
Result = TypeVar("Result")
#: Changes with everything that a result is made of, whichever process writes it.
_STATE = sa.select(
    sa.select(sa.func.max(runs.c.run_id)).scalar_subquery(),
    sa.select(sa.func.max(reviews.c.review_id)).scalar_subquery(),
    sa.select(sa.func.max(actions.c.action_id)).scalar_subquery(),
    sa.func.count(run_outcomes.c.data_end),
    sa.func.max(run_outcomes.c.data_end),
    sa.func.sum(run_outcomes.c.churned),
)


class WriteLock(IntEnum):
    """What only one PostgreSQL transaction at a time may write; SQLite has one writer anyway."""

    MIGRATION = 748_291_003
    ACTIONS = 748_291_004
    RUNS = 748_291_005
    REVIEWS = 748_291_006


class Database:
    """One database by its SQLAlchemy URL (``shown``: without its secrets), with the settings that publishing needs."""

    def __init__(self, url: str, *, busy_seconds: float = 60.0, pooled: bool = False) -> None:
        self._url = _parsed(url)
        self._busy_seconds = busy_seconds
        self.shown = _without_secrets(self._url.render_as_string(hide_password=True))
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = _engine(self._url, busy_seconds if self._is_sqlite else None, pooled=pooled)
        if self._is_sqlite:
            sa.event.listen(self._engine, "connect", _set_up_sqlite(_POOLED_CACHE if pooled else _CACHE))
            sa.event.listen(self._engine, "begin", _begin_sqlite)

    def prepare(self) -> None:
        """Bring the schema up to date; a no-op on a current one, so a read-only copy can be read."""
        with self.reading() as connection:
            if is_current(connection):
                return
        if self._is_sqlite:
            # readers go on while a run is published
            with self._errors_in_plain_words(), self._engine.connect() as connection:
                connection.connection.cursor().execute("pragma journal_mode = wal")
        with self.writing(WriteLock.MIGRATION) as connection:
            # Another process may have upgraded between the check and the lock.
            if not is_current(connection):
                from alembic import command

                command.upgrade(alembic_config(connection), "head")

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that reads one consistent state."""
        with self._errors_in_plain_words(), self._engine.connect() as connection:
            if not self._is_sqlite:
                # by default PostgreSQL takes a new snapshot for every statement
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self, lock: WriteLock | None = None) -> Iterator[sa.Connection]:
        """Open a transaction that writes all or nothing; it waits for others with the lock, on SQLite for all."""
        with self._errors_in_plain_words(), self._engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with connection.begin():
                if not self._is_sqlite:
                    wait = sa.text("select set_config('lock_timeout', :wait, true)")
                    connection.execute(wait, {"wait": f"{round(self._busy_seconds * 1000)}ms"})
                if lock is not None and connection.dialect.name == "postgresql":
                    connection.execute(sa.text("select pg_advisory_xact_lock(:lock)"), {"lock": int(lock)})
                yield connection

    def note(self, statement: sa.Executable) -> None:
        """Execute a statement that may be lost: no page waits for a run that is being published."""
        with (
            suppress(SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error),
            self._engine.connect() as connection,
        ):
            connection.execution_options(**{_WRITES: True})
            self._wait_for_writers(connection, 0.0)
            try:
                with connection.begin():
                    connection.execute(statement)
            finally:
                self._wait_for_writers(connection, self._busy_seconds)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _wait_for_writers(self, connection: sa.Connection, seconds: float) -> None:
        if self._is_sqlite:
            cursor = connection.connection.cursor()
            cursor.execute(f"pragma busy_timeout = {round(seconds * 1000):d}")
            cursor.close()

    @contextmanager
    def _errors_in_plain_words(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            fix = next((fix for sign, fix in _FIXES.items() if sign in cause.lower()), None)
            fix = f": {fix}" if fix else " does not answer as expected. Check the database"
            raise UnavailableError(f"the history at {self.shown}{fix} ({cause}).") from error


def insert_row(connection: sa.Connection, into: sa.Table, values: Mapping[str, Any]) -> int:
    """Insert one row and return its id."""
    key = connection.execute(sa.insert(into).values(**values)).inserted_primary_key
    assert key is not None  # noqa: S101 - every insert of one row has one
    return int(key[0])


def is_current(connection: sa.Connection) -> bool:
    """Whether the database has the newest schema, without Alembic's slow import; UsageError for a newer churnrisk's."""
    exists = connection.dialect.has_table(connection, _VERSION.name)
    found = connection.execute(sa.select(_VERSION.c.version_num)).scalar() if exists else None
    known = schema_versions()
    if found is not None and found not in known:
        raise UsageError(
            f"the history has schema version '{found}', this churnrisk knows up to '{known[-1]}'. "
            "Update churnrisk, or name another history database."
        )
    return found == known[-1]


@cache
def schema_versions() -> tuple[str, ...]:
    """Return the schema versions by the names of the migrations: ``m0004_….py`` is 0004."""
    files = (_MIGRATIONS / "versions").glob("m[0-9][0-9][0-9][0-9]_*.py")
    return tuple(sorted(path.name[1:5] for path in files))


def alembic_config(connection: sa.Connection | None = None) -> Config:
    """Return the settings with which Alembic runs the migrations inside the connection's transaction."""
    from alembic.config import Config

    config = Config()
    # Alembic reads % in the folder's name as interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"the history expects a database URL such as sqlite:///history.db, found "
            f"{_without_secrets(url)!r}. Correct it in churnrisk.toml."
        ) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError(
            f"the history expects a file, found {url!r}, which is lost at the end. Use sqlite:///history.db."
        )
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _without_secrets(url: str) -> str:
    return _SECRET.sub("***", url)


def _engine(url: sa.URL, busy_seconds: float | None, *, pooled: bool) -> sa.Engine:
    options: dict[str, Any] = {} if busy_seconds is None else {"connect_args": {"timeout": busy_seconds}}
    # Runs are few and long: outside a server a pool would only keep files open.
    pool: dict[str, Any] = _POOL if pooled else {"poolclass": NullPool}
    try:
        return sa.create_engine(url, **pool, **options)
    except (NoSuchModuleError, ImportError) as error:
        postgres = url.get_backend_name() == "postgresql"
        raise UsageError(
            f"the history at {_without_secrets(url.render_as_string())} needs a driver that is not installed "
            f"({error}). Install it with pip{' install churnrisk[postgres]' if postgres else ''}."
        ) from error


def _set_up_sqlite(cache: int) -> Callable[[Any, Any], None]:
    def set_up(connection: Any, _record: Any) -> None:
        # pysqlite's own transactions begin too late to keep two publishers apart: _begin_sqlite says BEGIN.
        connection.isolation_level = None
        cursor = connection.cursor()
        # takes effect in a new file only: scores with reasons are long, and larger pages are written in half the time
        cursor.execute("pragma page_size = 16384")
        for pragma in ("synchronous = normal", "foreign_keys = on", f"cache_size = -{cache:d}"):
            cursor.execute(f"pragma {pragma}")
        cursor.close()

    return set_up


def _begin_sqlite(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(_WRITES, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    # Every page begins with this statement, which cannot fail: the plain driver is faster.
    cursor = connection.connection.cursor()
    cursor.execute("BEGIN")
    cursor.close()


class QueryCache:
    """The last results by state of the store and query; safe to use from many threads."""

    def __init__(self, maxsize: int = 128) -> None:
        self._results: LRUCache[Hashable, Any] = LRUCache(maxsize)
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, connection: sa.Connection, query: Hashable, compute: Callable[[], Result]) -> Result:
        """Return the cached result; recompute if the store has changed. The transaction sees one state of it."""
        key = (tuple(connection.execute(_STATE).one()), query)
        with self._lock:
            if key in self._results:
                cached: Result = self._results[key]
                return cached
        result = compute()
        with self._lock:
            self._results[key] = result
        return result
