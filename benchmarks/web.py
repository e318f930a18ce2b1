"""How fast the pages are: many people at once on a large store, against a real `churnrisk serve`.

    python benchmarks/web.py --store history.db            # a store of benchmarks/store.py
    python benchmarks/web.py --project build/demo          # any scored project

Each client is a thread with a connection of its own, and asks for the next page as soon as it has one. Two times are
told: of the client, from the first byte sent to the last one read, so that every queue counts (and the clients' own use
of the same cores); and of the server, from the moment it takes a request up to the answer's first byte, as the header
Server-Timing says. The figure that no neighbour on the machine changes is the processor time of a page.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlencode

PASSWORD = "correct horse battery staple"
MIB = 1024 * 1024
MOST_ACCOUNTS = 50_000
LENGTH = re.compile(rb"content-length: (\d+)")
TOLD = re.compile(rb"server-timing: total;dur=([\d.]+)")


def main() -> int:
    """Serve the store, ask for pages with all clients at once, print the figures."""
    options = parsed()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        project = prepared(options, Path(scratch))
        server, port = started(project, options.workers)
        try:
            measure(server, port, accounts_of(project, MOST_ACCOUNTS), options)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
    return 0


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, help="an SQLite history")
    parser.add_argument("--project", type=Path, help="a scored project")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, help="default: as `churnrisk serve` has it")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two pages of one client")
    parser.add_argument("--scratch", type=Path, help="folder for the project made for --store")
    return parser.parse_args()


def prepared(options: argparse.Namespace, scratch: Path) -> Path:
    """Return a project folder with the store and one user."""
    project = scratch / "project"
    if options.store:
        project.mkdir()
        # a link, since such a store takes gigabytes
        (project / "churnrisk.toml").write_text(
            f'[project]\nname = "Benchmark"\n[history]\nurl = "sqlite:///{options.store.resolve()}"\n'
        )
    else:
        shutil.copytree(options.project, project)
    people = churnrisk(project, "user", "list", "--format", "csv").stdout
    if "bench," not in people:
        churnrisk(
            project, "user", "add", "bench", "--role", "reviewer", "--password-stdin", given=PASSWORD + "\n"
        )
    return project


def churnrisk(project: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command on the project."""
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), *arguments]
    return subprocess.run(command, input=given, text=True, capture_output=True, check=True)


def started(project: Path, workers: int | None) -> tuple[subprocess.Popen[str], int]:
    """Start the server; return it with its port once it answers."""
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), "serve", "--port", "0"]
    if workers:
        command += ["--workers", str(workers)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            port = int(found.group(1))
            wait_for(port)
            return server, port
    raise SystemExit("the server did not start")


def wait_for(port: int) -> None:
    """Wait until the server answers."""
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/sign-in")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


def accounts_of(project: Path, number: int) -> list[str]:
    """Return ids of accounts of the latest run, red and amber ones, from all over it."""
    text = (project / "churnrisk.toml").read_text()
    found = re.search(r"sqlite:///([^\"]+)\"", text)
    path = Path(found.group(1)) if found else project / "history.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
        latest = "select run_id from runs order by as_of desc, run_id desc limit 1"
        query = f"select account_id from scores where run_id = ({latest}) and colour in ('red', 'amber')"
        ids = [row[0] for row in store.execute(query)]
    random.Random(7).shuffle(ids)
    return ids[:number]


def measure(
    server: subprocess.Popen[str], port: int, accounts: list[str], options: argparse.Namespace
) -> None:
    """Ask for each kind of page with all clients at once and print how long it took."""
    cookie = session(port)
    pages = [f"/accounts/{quote(account, safe='')}" for account in accounts]
    few = pages[:20]
    # what nobody has asked for yet comes before what warms it up
    kinds = {
        "account, another each time": pages,
        "red list, first page": ["/"],
        "account, the same again": few,
        "list and account in turn": [path for page in pages[::-1] for path in ("/", page)],
    }
    print(
        f"{options.clients} clients, {options.workers or 'default'} workers, {os.cpu_count()} cores, "
        f"pause {options.pause:g} s; {len(pages):,} accounts"
    )
    ask(port, cookie, ["/", "/help"], clients=4, seconds=1.0, pause=0.0)
    for name, paths in kinds.items():
        before = cpu_seconds(server.pid)
        times = ask(port, cookie, paths, options.clients, options.seconds, options.pause)
        cpu = 1000 * (cpu_seconds(server.pid) - before) / len(times)
        print(f"{name:28} {len(times) / options.seconds:5.0f} pages/s, server CPU {cpu:5.2f} ms a page")
        for seen_by, place in (("client", 0), ("server", 1)):
            ordered = sorted(one[place] for one in times)
            p50, p95, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.95, 0.99))
            print(
                f"    time of the {seen_by}: p50 {p50:6.1f} ms, p95 {p95:6.1f} ms, p99 {p99:6.1f} ms, "
                f"mean {statistics.mean(ordered):6.1f} ms"
            )
        again = len(times) - len(paths) if name.endswith("each time") else 0
        if again > 0:
            print(f"    {again:,} of the pages were asked for a second time: give it a larger store")
    print(f"memory of the server: {resident(server.pid) / MIB:,.0f} MiB")


def session(port: int) -> str:
    """Sign in and return the cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/sign-in")
    answer = connection.getresponse()
    page = answer.read().decode()
    form_cookie = (answer.getheader("set-cookie") or "").split(";")[0]
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token is not None
    body = urlencode({"csrf_token": token.group(1), "name": "bench", "password": PASSWORD, "next": "/"})
    headers = {"cookie": form_cookie, "content-type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/sign-in", body, headers)
    answer = connection.getresponse()
    answer.read()
    cookies = [value for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    return next(value.split(";")[0] for value in cookies if value.startswith("churnrisk_session"))


def ask(
    port: int, cookie: str, paths: list[str], clients: int, seconds: float, pause: float
) -> list[tuple[float, float]]:
    """Return how long each page took in milliseconds, for the client and for the server, over all clients.

    The clients take the paths in turn, so that no two ask for the same one before all have been asked for.
    """
    times: list[tuple[float, float]] = []
    turns = itertools.count()
    end = time.monotonic() + seconds

    def client() -> None:
        with Connection(port, cookie) as connection:
            while time.monotonic() < end:
                times.append(connection.get(paths[next(turns) % len(paths)]))
                time.sleep(pause)

    with ThreadPoolExecutor(clients) as threads:
        for done in [threads.submit(client) for _ in range(clients)]:
            done.result()
    return times


class Connection:
    """One connection that stays open; it does as little as it can, since it shares the cores with the server."""

    def __init__(self, port: int, cookie: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._headers = f" HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncookie: {cookie}\r\n\r\n"

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, path: str) -> tuple[float, float]:
        """Ask for a page; return the milliseconds until it was here, and those that the server says it took."""
        begin = time.perf_counter()
        self._socket.sendall(f"GET {path}{self._headers}".encode())
        answer = self._socket.recv(1 << 18)
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1 << 18)
        head, _, body = answer.partition(b"\r\n\r\n")
        missing = int(LENGTH.search(head).group(1)) - len(body)  # type: ignore[union-attr]
        while missing > 0:
            missing -= len(self._socket.recv(1 << 18))
        took = 1000 * (time.perf_counter() - begin)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{path} was answered by {head.splitlines()[0].decode()}")
        return took, float(TOLD.search(head).group(1))  # type: ignore[union-attr]


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    pids = [pid]
    for one in pids:
        children = Path(f"/proc/{one}/task/{one}/children")
        pids += [int(child) for child in children.read_text().split()] if children.exists() else []
    return pids


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children."""
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Return the memory of a process and its children, in bytes; shared pages are divided among their users."""
    total = 0
    for one in family(pid):
        rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE).group(1))  # type: ignore[union-attr]
    return total * 1024


if __name__ == "__main__":
    sys.exit(main())
