"""Servers that tests start as people do, and stop by their id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.uncounted import uncounted

_PATIENCE_SECONDS = 180


@dataclass
class Server:
    """A running process that answers at an address."""

    process: subprocess.Popen[bytes]
    address: str

    def kill(self) -> None:
        """End it at once, with all that it started, as a machine that is switched off."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def with_own_commands() -> str:
    """The search path of an activated environment: mlflow calls uvicorn by its name."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@contextmanager
def started(
    *command: str, port: int, log: Path, path: str, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    """Start ``mlflow`` with a command and wait until it answers at a path."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command],
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env={
                **uncounted(),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "PATH": with_own_commands(),
                **(environment or {}),
            },
            start_new_session=True,
        )
    server = Server(process, f"http://127.0.0.1:{port}")
    try:
        _wait(server, path, log)
        yield server
    finally:
        server.kill()


def _wait(server: Server, path: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and server.process.poll() is None:
        try:
            with urlopen(server.address + path, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


def tracking_server(folder: Path, port: int) -> AbstractContextManager[Server]:
    """``mlflow server`` with a SQLite database and its files in a folder."""
    return started(
        "server",
        "--host", "127.0.0.1",
        "--port", str(port),
        "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/server.db",
        "--artifacts-destination", str(folder / "files"),
        port=port,
        log=folder / "server.log",
        path="/health",
    )  # fmt: skip
