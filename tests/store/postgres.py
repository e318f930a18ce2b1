"""A PostgreSQL server of the tests' own: started on first use, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url, text

from tests.absent import absent

GIVEN = "CHURNRISK_TEST_DATABASE_URL"


@contextmanager
def server() -> Iterator[URL]:
    """Yield the URL of a database to make schemas in; skip where there is no server, but in CI."""
    if os.environ.get(GIVEN):
        yield make_url(os.environ[GIVEN]).set(drivername="postgresql+psycopg")
        return
    binaries = _binaries()
    if binaries is None:
        absent(f"PostgreSQL is not installed here, and {GIVEN} names no server (make system)")
    # a short path, because it holds a socket; readable for the user that runs the server
    folder = Path(tempfile.mkdtemp(prefix="churnrisk-pg-", dir="/tmp"))
    user = _unprivileged()
    if user:
        shutil.chown(folder, user)
    try:
        _run(user, folder, binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")  # fmt: skip
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c full_page_writes=off"
        _run(user, folder, binaries / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w",
             "-o", options, "start")  # fmt: skip
        try:
            yield URL.create(
                "postgresql+psycopg", "postgres", database="postgres", query={"host": str(folder)}
            )
        finally:
            _run(user, folder, binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_schema(base: URL) -> str:
    """Create an empty schema, far quicker than a database, and return a URL that sees nothing else."""
    name = f"churnrisk_{uuid.uuid4().hex[:12]}"
    _execute(base, f"create schema {name}")
    url = base.update_query_dict({"options": f"-csearch_path={name}"})
    return url.render_as_string(hide_password=False)


def drop_schema(base: URL, url: str) -> None:
    """Drop what :func:`new_schema` made."""
    name = str(make_url(url).query["options"]).rpartition("=")[2]
    _execute(base, f"drop schema {name} cascade")


def _execute(base: URL, statement: str) -> None:
    engine = create_engine(base)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _unprivileged() -> str | None:
    """Return a user to run the server as; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def _run(user: str | None, folder: Path, *command: object) -> None:
    become = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    with (folder / "said").open("a") as said:
        ended = subprocess.run(
            [str(part) for part in command], cwd=folder, stdout=said, stderr=said, check=False, **become
        )
    if ended.returncode:
        raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {(folder / 'said').read_text()}")
