"""How fast the pages are: many people at once on a large store, against a real `churnrisk serve`.

    python benchmarks/web.py --store history.db            # a store of benchmarks/store.py
    python benchmarks/web.py --project build/demo          # any scored project

Each client is a thread with a connection and a session of its own, and asks for the next page as soon as it has one.
What is measured is the time from the first byte sent to the last one read, so queueing in the server counts.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlencode

PASSWORD = "correct horse battery staple"
MIB = 1024 * 1024


def main() -> int:
    """Serve the store, ask for pages with all clients at once, print the figures."""
    options = parsed()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        project = prepared(options, Path(scratch))
        server, port = started(project, options.workers)
        try:
            measure(server, port, accounts_of(project, 400), options)
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
    parser.add_argument("--workers", type=int, default=1)
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


def started(project: Path, workers: int) -> tuple[subprocess.Popen[str], int]:
    """Start the server; return it with its port once it answers."""
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), "serve", "--port", "0"]
    server = subprocess.Popen([*command, "--workers", str(workers)], stderr=subprocess.PIPE, text=True)
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
    """Return ids of accounts of the latest run, red and amber ones first."""
    text = (project / "churnrisk.toml").read_text()
    found = re.search(r"sqlite:///([^\"]+)\"", text)
    path = Path(found.group(1)) if found else project / "history.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as store:
        latest = "select run_id from runs order by as_of desc, run_id desc limit 1"
        query = f"select account_id from scores where run_id = ({latest}) and colour in ('red', 'amber') limit {number}"
        return [row[0] for row in store.execute(query)]


def measure(
    server: subprocess.Popen[str], port: int, accounts: list[str], options: argparse.Namespace
) -> None:
    """Ask for each kind of page with all clients at once and print how long it took."""
    cookie = session(port)
    kinds = {
        "first page of the red list": ["/"],
        "account page": [f"/accounts/{quote(account, safe='')}" for account in accounts],
        "both in turn": [
            path for account in accounts for path in ("/", f"/accounts/{quote(account, safe='')}")
        ],
    }
    print(
        f"{options.clients} clients, {options.workers} workers, {os.cpu_count()} cores, pause {options.pause:g} s"
    )
    for name, paths in kinds.items():
        ask(port, cookie, paths, clients=2, seconds=1.0, pause=0.0)
        before = cpu_seconds(server.pid)
        times = ask(port, cookie, paths, options.clients, options.seconds, options.pause)
        cpu = 1000 * (cpu_seconds(server.pid) - before) / len(times)
        ordered = sorted(times)
        p50, p95, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.95, 0.99))
        print(
            f"{name:28} {len(times) / options.seconds:6.0f} pages/s   p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   "
            f"p99 {p99:6.1f} ms   mean {1000 * statistics.mean(times):6.1f} ms   server CPU {cpu:4.1f} ms a page"
        )
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


def ask(port: int, cookie: str, paths: list[str], clients: int, seconds: float, pause: float) -> list[float]:
    """Return how long each page took, over all clients."""
    times: list[float] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        turn = number * 7
        while time.monotonic() < end:
            begin = time.perf_counter()
            connection.request("GET", paths[turn % len(paths)], headers={"cookie": cookie})
            answer = connection.getresponse()
            answer.read()
            times.append(time.perf_counter() - begin)
            if answer.status != 200:
                raise SystemExit(f"{paths[turn % len(paths)]} answered {answer.status}")
            turn += 1
            time.sleep(pause)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


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
