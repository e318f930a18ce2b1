"""The server process: the listening socket, the readiness check, uvicorn."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.reduction import DupFd, ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from churnrisk.settings import Project

_PROJECT, _DATA, _HOSTS = "CHURNRISK_SERVE_PROJECT", "CHURNRISK_SERVE_DATA", "CHURNRISK_SERVE_HOSTS"
_EVERY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on
# Each process takes about 170 MB; two use the cores of a small server.
_MOST_DEFAULT_WORKERS = 2
_GRACE_SECONDS = 5
_QUEUE = 2048


class Listener:
    """A listening socket, bound before anything else so that a taken port is reported at once; port 0 picks one."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.socket = _bound(host, port)

    @property
    def url(self) -> str:
        """The address for a browser."""
        port = self.socket.getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{host}:{port}/"

    @property
    def names(self) -> tuple[str, ...]:
        """The host names, besides loopback ones, that lead here: the address given, or this machine's name."""
        if self.host in _EVERY_ADDRESS:
            return (socket.gethostname(),)
        return (f"[{self.host}]" if ":" in self.host else self.host,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def default_workers() -> int:
    """Return the default number of server processes: one per core, at most two."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_DEFAULT_WORKERS)


def check_ready(project: Project) -> None:
    """Raise UsageError if there is nothing to show, or nobody who could sign in."""
    from churnrisk.auth import Store, can_anybody_sign_in

    with Store(project.store_url) as store:
        if store.latest_run() is None:
            raise UsageError("nothing has been scored yet. Run `churnrisk score`, then serve.")
        if not can_anybody_sign_in(store, project.web.oidc):
            raise UsageError(
                "nobody can sign in yet. Add yourself with `churnrisk user add NAME --role admin`, then serve."
            )


def run(project: Project, listener: Listener, *, workers: int = 1) -> None:
    """Serve until interrupted; requests in progress are finished first."""
    # An interrupt during the imports would be lost or print a traceback: it is blocked until it can be handled.
    if workers > 1 and hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # starting it unblocks interrupts
    _let_interrupts("SIG_BLOCK")
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    class SingleServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            _let_interrupts("SIG_UNBLOCK")
            await super().startup(sockets)

    class Supervisor(Multiprocess):
        def init_processes(self) -> None:
            super().init_processes()
            # The workers keep them blocked: the supervisor ends them.
            _let_interrupts("SIG_UNBLOCK")

    os.environ[_PROJECT], os.environ[_DATA] = str(project.directory), str(project.data)
    os.environ[_HOSTS] = ",".join(listener.names)
    config = uvicorn.Config(
        "churnrisk.web.server:app_of_environment",
        factory=True,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        # Only behind a declared proxy: any other client could claim another address.
        proxy_headers=bool(project.web.public_url),
        # How many connections a process accepts at a time: with more, one would take all of a burst.
        # uvloop would bypass the long queue of the shared socket.
        backlog=1,
        loop="asyncio",
        forwarded_allow_ips="127.0.0.1",
    )
    try:
        if workers == 1:
            SingleServer(config).run(sockets=[listener.socket])
        else:
            Supervisor(config, sockets=[listener.socket]).run()
    except KeyboardInterrupt:
        return
    finally:
        _let_interrupts("SIG_UNBLOCK")


def _let_interrupts(how: str) -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(getattr(signal, how), {signal.SIGINT})


def app_of_environment() -> FastAPI:
    """Return the application of the project that :func:`run` serves; each worker makes its own."""
    from churnrisk.settings import load_project
    from churnrisk.web.app import create_app

    project = load_project(Path(os.environ[_PROJECT]), data=Path(os.environ[_DATA]))
    return create_app(project, hosts=os.environ[_HOSTS].split(","))


class _SharedSocket(socket.socket):
    """A listening socket that keeps its long queue, whatever backlog the processes that share it ask for."""

    def listen(self, backlog: int = 0, /) -> None:
        """Listen; connections that arrive before a process is ready wait instead of being refused."""
        super().listen(max(backlog, _QUEUE))


def _reduce(shared: _SharedSocket) -> tuple[Callable[..., _SharedSocket], tuple[object, ...]]:
    return _rebuild, (DupFd(shared.fileno()), shared.family, shared.type, shared.proto)


def _rebuild(handle: Any, family: int, kind: int, protocol: int) -> _SharedSocket:
    return _SharedSocket(family, kind, protocol, handle.detach())


# How a worker process receives it.
ForkingPickler.register(_SharedSocket, _reduce)


def _bound(host: str, port: int) -> _SharedSocket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the protocol is named; else the end of a page waits 40 ms for an acknowledgement.
    listening = _SharedSocket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        raise _cannot_listen(host, port, error) from error
    listening.set_inheritable(True)
    return listening


def _cannot_listen(host: str, port: int, error: Exception) -> UsageError:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return UsageError(
            f"port {port} of {host} is taken, perhaps by another `churnrisk serve`. "
            f"Stop that one, or choose another: --port {port + 1 if port < 65535 else 8765}."
        )
    if code == errno.EACCES:
        return UsageError(f"this user may not listen on port {port}. Choose one above 1023: --port 8765.")
    return UsageError(
        f"cannot listen on {host}:{port} ({error}). Name an address of this machine: --host 127.0.0.1."
    )
