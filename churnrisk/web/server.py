"""The process that serves the pages: a socket, a check that there is something to show, uvicorn."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.reduction import DupFd, ForkingPickler
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from churnrisk.workflows.project import Project

_PROJECT, _DATA, _HOSTS = "CHURNRISK_SERVE_PROJECT", "CHURNRISK_SERVE_DATA", "CHURNRISK_SERVE_HOSTS"
_EVERY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - told apart here, not listened at
#: Each process takes about 170 MB; two use the cores of a small server.
MOST_WORKERS = 2
_GRACE_SECONDS = 5
_QUEUE = 2048


class Listener:
    """A bound socket, taken before anything else so that a taken port is told at once.

    Parameters
    ----------
    host : str
        Address to listen at.
    port : int
        0 takes a free one.

    Raises
    ------
    UsageError
        If the address cannot be listened at.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.socket = _bound(host, port)

    @property
    def url(self) -> str:
        """The address to type into a browser."""
        port = self.socket.getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{host}:{port}/"

    @property
    def names(self) -> tuple[str, ...]:
        """The host names, besides loopback ones, that lead here: what was typed, or this machine's own name."""
        if self.host in _EVERY_ADDRESS:
            return (socket.gethostname(),)
        return (f"[{self.host}]" if ":" in self.host else self.host,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def usual_workers() -> int:
    """Return how many processes answer where nobody says otherwise: one for each core, two at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def check_ready(project: Project) -> None:
    """Raise UsageError when there is nothing to show, or nobody who could sign in."""
    from churnrisk.history import HistoryStore
    from churnrisk.history.access import all_users

    with HistoryStore(project.store_url) as store:
        if store.latest_run() is None:
            raise UsageError("nothing has been scored yet. Run `churnrisk score`, then serve.")
        anybody = any(not user.disabled for user in all_users(store))
    oidc = project.web.oidc
    if not anybody and not (oidc and oidc.create):
        raise UsageError(
            "nobody can sign in yet. Add yourself with `churnrisk user add NAME --role admin`, then serve."
        )


def run(project: Project, listener: Listener, *, workers: int = 1) -> None:
    """Answer until interrupted; requests under way are finished first."""
    # An interrupt that comes while all is loaded would be lost, or show where it came; it waits for who can handle it.
    if workers > 1 and hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # it lets interrupts through where it is started
    _let_interrupts("SIG_BLOCK")
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    class One(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            _let_interrupts("SIG_UNBLOCK")
            await super().startup(sockets)

    class Several(Multiprocess):
        def init_processes(self) -> None:
            super().init_processes()
            # the processes go on without: this one ends them
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
        # Only where a proxy is said to stand before it: anybody else could claim to be somewhere else.
        proxy_headers=bool(project.web.public_url),
        # How many callers a process takes at a time: with more, one would take all who come at once.
        # uvloop would pass by the door's long queue.
        backlog=1,
        loop="asyncio",
        forwarded_allow_ips="127.0.0.1",
    )
    try:
        if workers == 1:
            One(config).run(sockets=[listener.socket])
        else:
            Several(config, sockets=[listener.socket]).run()
    except KeyboardInterrupt:
        return
    finally:
        _let_interrupts("SIG_UNBLOCK")


def _let_interrupts(how: str) -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(getattr(signal, how), {signal.SIGINT})


def app_of_environment() -> FastAPI:
    """Return the application of the project that :func:`run` was called for; each worker makes its own."""
    from churnrisk.settings import load_project
    from churnrisk.web.app import create_app

    project = load_project(Path(os.environ[_PROJECT]), data=Path(os.environ[_DATA]))
    return create_app(project, hosts=os.environ[_HOSTS].split(","))


class _Door(socket.socket):
    """A listening socket that keeps its long queue whatever the processes that share it ask for."""

    def listen(self, backlog: int = 0, /) -> None:
        """Listen; whoever comes before a process is ready waits instead of being refused."""
        super().listen(max(backlog, _QUEUE))


def _shared(door: _Door) -> tuple[Callable[..., _Door], tuple[object, ...]]:
    return _opened, (DupFd(door.fileno()), door.family, door.type, door.proto)


def _opened(handle: Any, family: int, kind: int, protocol: int) -> _Door:
    return _Door(family, kind, protocol, handle.detach())


# How a process that is started gets it.
ForkingPickler.register(_Door, _shared)


def _bound(host: str, port: int) -> _Door:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sends the end of a page at once; else it waits 40 ms for the browser's receipt.
    listening = _Door(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
            f"End that one, or choose another: --port {port + 1 if port < 65535 else 8765}."
        )
    if code == errno.EACCES:
        return UsageError(f"this user may not listen at port {port}. Choose one above 1023: --port 8765.")
    return UsageError(
        f"cannot listen at {host}:{port} ({error}). Name an address of this machine: --host 127.0.0.1."
    )
