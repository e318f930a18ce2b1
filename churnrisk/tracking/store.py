"""One MLflow store, opened quietly and without changing the state of the process."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churnrisk.errors import ChurnRiskError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
_CHATTY_LOGGERS = ("mlflow", "alembic", "git")
_FOREIGN = {"mlflow", "sqlalchemy", "alembic", "requests", "urllib3"}
_BUSY_SECONDS = 5.0
# Read by MLflow when it is imported or called; a value that the user has set wins.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class Store:
    """Where the runs and models of one project are; as in :class:`churnrisk.tracking.Tracking`.

    A relative SQLite path starts at the workspace.
    """

    uri: str | None
    workspace: Path

    @property
    def address(self) -> str:
        """The URI that MLflow is given."""
        return f"{_SQLITE}{self.database}" if self.database else str(self.uri)

    @property
    def database(self) -> Path | None:
        """The SQLite file; None when the store is another database or a server."""
        if self.uri is None:
            return self.workspace.absolute() / "models" / "mlflow.db"
        if not self.uri.startswith(_SQLITE):
            return None
        return self.workspace.absolute() / self.uri.removeprefix(_SQLITE)

    @property
    def artifacts(self) -> Path | None:
        """Folder for files; None when a tracking server decides."""
        if self.uri is not None and re.match(r"(https?|databricks|uc)\b", self.uri):
            return None
        return self.workspace.absolute() / "models" / "artifacts"

    @property
    def is_empty(self) -> bool:
        """True when nothing was ever stored here; answered without importing MLflow."""
        return self.database is not None and not self.database.exists()

    @contextmanager
    def opened(self) -> Iterator[MlflowClient]:
        """Yield a client; a store that is away, locked, damaged or of another version is one ChurnRiskError."""
        with _quiet(), self._translated():
            if self.database is not None:
                _check_sqlite(self.database)
            yield _client(self.address)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ChurnRiskError:
            raise
        except Exception as cause:
            root = type(cause).__module__.partition(".")[0]
            if root not in _FOREIGN and not isinstance(cause, OSError | sqlite3.Error | ImportError):
                raise
            raise ChurnRiskError(
                f"expected a working model store at {masked(self.address)}, found: "
                f"{masked(_first_line(cause))} Check that it is reachable, writable and not in use by "
                "another program; its address is `uri` under [tracking] in churnrisk.toml."
            ) from cause


def masked(text: str) -> str:
    """Replace the password of every URL in the text by ``***``."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]+@", r"\1:***@", text)


def _first_line(cause: Exception) -> str:
    line = next(iter(str(cause).strip().splitlines()), "") or type(cause).__name__
    return line if line.endswith(".") else line + "."


def _check_sqlite(database: Path) -> None:
    """Fail at once; MLflow would retry for minutes."""
    database.parent.mkdir(parents=True, exist_ok=True)
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _client(address: str) -> MlflowClient:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)

    import mlflow.store.db.utils as database_tools
    from mlflow import MlflowClient

    _set_levels(dict.fromkeys(_CHATTY_LOGGERS, logging.ERROR))
    patience = database_tools.MAX_RETRY_COUNT
    # The pauses double: MLflow's own ten attempts take 100 seconds, five take three.
    database_tools.MAX_RETRY_COUNT = min(patience, 5)
    try:
        client = MlflowClient(tracking_uri=address, registry_uri=address)
        client.search_registered_models(max_results=1)
    finally:
        database_tools.MAX_RETRY_COUNT = patience
    return client


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's and Alembic's messages and deprecations from the user's terminal."""
    levels = {name: logging.getLogger(name).level for name in _CHATTY_LOGGERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _set_levels(dict.fromkeys(_CHATTY_LOGGERS, logging.ERROR))
        try:
            yield
        finally:
            _set_levels(levels)


def _set_levels(levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
