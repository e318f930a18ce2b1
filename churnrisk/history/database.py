"""Connections to the history database, and database errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

from sqlalchemy import URL, Connection, Engine, Executable, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from churnrisk.errors import ChurnRiskError, UnavailableError, UsageError
from churnrisk.history.migrate import is_current, upgrade

#: What the use cases hand on, without knowing the library behind it.
Transaction: TypeAlias = Connection

_WRITES = "churnrisk_writes"
_MIGRATION_LOCK = 748_291_003
# KiB of pages that each SQLite connection keeps: many are open at once in a pool.
_CACHE, _POOLED_CACHE = 65_536, 8_192
# A connection that the server has closed in the meantime is noticed before it is used.
_POOL = {"pool_size": 8, "max_overflow": 8, "pool_timeout": 10.0, "pool_pre_ping": True}
_MENDS = {
    "queuepool limit": "too many ask it at once. Try again in a moment",
    "locked": "another program is writing to it. Try again when that has finished",
    "readonly": "it cannot be written. Give this user write access to the file and its folder",
    "unable to open": "it cannot be opened. Make the folder first, or mend the path",
    "not a database": "it is not a SQLite database. Restore a backup, or name another file",
    "malformed": "the file is damaged. Restore a backup, or name another file",
    "disk is full": "the disk is full. Make room and run again",
    "disk i/o": "the disk reported an error. Check the disk, then run again",
    "lock timeout": "another program is writing to it. Try again when that has finished",
    "connection refused": "no server listens there. Start it, or mend host and port",
    "no such file or directory": "no server listens there. Start it, or mend host and port",
    "translate host name": "there is no such host. Mend the host",
    "resolve host": "there is no such host. Mend the host",
    "timeout expired": "the server does not answer. Check network and server, then run again",
    "password authentication failed": "the server does not take this user and password. Mend them",
    "no password supplied": "the server asks for a password. Give one in the URL or in PGPASSWORD",
    "does not exist": "it is not there. Create it, or mend its name",
    "permission denied": "this user may not do that there. Grant this user the right",
    "read-only transaction": "it cannot be written. Name a server that takes writes",
    "too many clients": "the server has no connection free. Try again later",
    "no space left": "the server's disk is full. Make room and run again",
    "terminating connection": "the server ended the connection. Nothing was changed; run again",
    "connection is lost": "the server ended the connection. Nothing was changed; run again",
    "closed the connection unexpectedly": "the server ended the connection. Nothing was changed; run again",
}
_SECRET = re.compile(r"(?<=:)[^:@/]*(?=@)|(?<=pass=)[^&]*|(?<=password=)[^&]*")


class Database:
    """One database: an engine with the settings that publishing needs.

    Parameters
    ----------
    url : str
        An SQLAlchemy URL, such as ``sqlite:///history.db`` or ``postgresql+psycopg://…``.
    busy_seconds : float
        How long to wait for another writer.
    pooled : bool
        Keep connections for the next use instead of opening one each time.

    Attributes
    ----------
    shown : str
        The URL without its secrets.
    """

    def __init__(self, url: str, *, busy_seconds: float = 60.0, pooled: bool = False) -> None:
        self._url = _parsed(url)
        self._busy_seconds = busy_seconds
        self.shown = _without_secrets(self._url.render_as_string(hide_password=True))
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = _engine(self._url, busy_seconds if self._is_sqlite else None, pooled=pooled)
        if self._is_sqlite:
            event.listen(self._engine, "connect", _set_up_sqlite(_POOLED_CACHE if pooled else _CACHE))
            event.listen(self._engine, "begin", _begin_sqlite)

    def prepare(self) -> None:
        """Bring the schema up to date; a no-op on a current one, so a read-only copy can be read."""
        with self.reading() as connection:
            if is_current(connection):
                return
        if self._is_sqlite:
            self._keep_readers_going()
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            # Another process may have upgraded between the look and the lock.
            if not is_current(connection):
                upgrade(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the database."""
        with self._told(), self._engine.connect() as connection:
            if not self._is_sqlite:
                # by default PostgreSQL takes a new view for every statement
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing; on SQLite it waits for other writers first."""
        with self._told(), self._engine.connect() as connection:
            connection.execution_options(**{_WRITES: True})
            with connection.begin():
                if not self._is_sqlite:
                    wait = text("select set_config('lock_timeout', :wait, true)")
                    connection.execute(wait, {"wait": f"{round(self._busy_seconds * 1000)}ms"})
                yield connection

    def note(self, statement: Executable) -> None:
        """Execute a statement that may be lost: another writer is not waited for, and no failure is told.

        Reading a page must not wait for a run that is being published.
        """
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

    def _wait_for_writers(self, connection: Connection, seconds: float) -> None:
        if self._is_sqlite:
            cursor = connection.connection.cursor()
            cursor.execute(f"pragma busy_timeout = {round(seconds * 1000):d}")
            cursor.close()

    def _keep_readers_going(self) -> None:
        """Switch to the write-ahead log, under which the red list can be read while a run is published."""
        with self._told(), self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("pragma journal_mode = wal")
            cursor.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error) as error:
            raise self._in_plain_words(error) from error

    def _in_plain_words(self, error: Exception) -> ChurnRiskError:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        for sign, mend in _MENDS.items():
            if sign in cause.lower():
                return UnavailableError(f"the history at {self.shown}: {mend} ({cause}).")
        return UnavailableError(
            f"the history at {self.shown} does not answer as expected ({cause}). Check the database."
        )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"the history expects a database URL such as sqlite:///history.db, found "
            f"{_without_secrets(url)!r}. Mend it in churnrisk.toml."
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


def _engine(url: URL, busy_seconds: float | None, *, pooled: bool) -> Engine:
    options: dict[str, Any] = {} if busy_seconds is None else {"connect_args": {"timeout": busy_seconds}}
    # Runs are few and long: without a server around them a pool would only keep files open.
    pool: dict[str, Any] = _POOL if pooled else {"poolclass": NullPool}
    try:
        return create_engine(url, **pool, **options)
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
        # of a new file only: a score with its reasons is long, and larger pages are written in half the time
        cursor.execute("pragma page_size = 16384")
        cursor.execute("pragma synchronous = normal")
        cursor.execute("pragma foreign_keys = on")
        cursor.execute(f"pragma cache_size = -{cache:d}")
        cursor.close()

    return set_up


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    if writes:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    # Every page begins so, and this cannot fail: the driver is asked without the library's preparations.
    cursor = connection.connection.cursor()
    cursor.execute("BEGIN")
    cursor.close()
