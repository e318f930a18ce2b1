"""The demo: the main job on the sample, each step the very command line that it shows."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from churnrisk.cli.app import app
from churnrisk.cli.show import say
from churnrisk.errors import UsageError

_MARK = ".churnrisk-demo"


def run_demo(directory: Path, source: Path | None) -> None:
    """Copy or make the sample world in a folder and run the main job there.

    Raises
    ------
    UsageError
        If the folder holds something that is no earlier demo.
    """
    _empty(directory)
    shown = os.path.relpath(directory)
    if source is None:
        _run("sample", shown, "--force")
    else:
        shutil.copytree(source, directory, dirs_exist_ok=True)
    (directory / _MARK).touch()
    month_ago = _latest(directory) - timedelta(days=30)
    here = ("--project", shown)
    _run(*here, "check", "--leaks")
    _run(*here, "train")
    _run(*here, "promote", "--author", "demo")
    # a month ago first, so that the list of today has arrows
    _run(*here, "score", "--as-of", f"{month_ago:%Y-%m-%d}")
    _run(*here, "score")
    _run(*here, "redlist", "--limit", "10")
    _run(*here, "report", "--output", f"{shown}/report.html")
    say(f"\nOpen {shown}/report.html in a browser, or work with the list there:")
    say(f"  churnrisk --project {shown} user add {_me()} --role admin   (asks for a password)")
    say(f"  churnrisk --project {shown} serve --open")
    say(f"Why one account: churnrisk --project {shown} explain ACCOUNT")
    say("On your own data: churnrisk init FOLDER_WITH_YOUR_TABLES")


def _run(*arguments: str) -> None:
    say(f"\n$ churnrisk {shlex.join(arguments)}")
    app(list(arguments), standalone_mode=False)


def _me() -> str:
    """Return a sign-in name for whoever runs the demo."""
    try:
        name = getpass.getuser().lower()
    except (KeyError, OSError):  # no name for this user, as in some containers
        return "me"
    return name if re.fullmatch(r"[a-z][a-z0-9_-]{1,30}", name) and name != "root" else "me"


def _latest(directory: Path) -> datetime:
    from churnrisk.settings import load_project
    from churnrisk.workflows.panel import latest_date

    return latest_date(load_project(directory), now=datetime.now())


def _empty(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()) and not (directory / _MARK).exists():
        raise UsageError(f"{directory} is not empty and no earlier demo. Choose another folder with --dir.")
    if directory.is_dir():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
