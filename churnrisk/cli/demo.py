"""The demo: the main job on the sample, step by step, each step the command that it stands for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import say
from churnrisk.errors import UsageError

_PLAIN: dict[str, Any] = {"format_": None, "output": None}


def run_demo(directory: Path, source: Path | None) -> None:
    """Copy or make the sample world in a folder and run the main job there.

    Raises
    ------
    UsageError
        If the folder holds something that is no earlier demo.
    """
    from churnrisk.cli import daily, model, start

    _empty(directory)
    if source is None:
        say("$ churnrisk sample")
        start.sample(directory, seed=7, accounts=2000, months=18, force=True)
    else:
        shutil.copytree(source, directory, dirs_exist_ok=True)
    (directory / _MARK).touch()
    context = typer.Context(typer.main.get_command(app))
    context.obj = (directory, None)
    shown = os.path.relpath(directory)
    for command, run in (
        ("check", lambda: start.check(context, leaks=True, **_PLAIN)),
        ("train", lambda: model.train(context, **_PLAIN)),
        ("promote", lambda: model.promote(context, version=None, force=False, author="demo", dry_run=False)),
        ("score", lambda: _score_two(context)),
        ("redlist --limit 12", lambda: daily.redlist(context, **_LIST)),
        ("report", lambda: daily.report(context, output=directory / "report.html", as_of=None)),
    ):
        say(f"\n$ churnrisk --project {shown} {command}")
        run()
    say(f"\nOpen {os.path.relpath(directory / 'report.html')} in a browser.")
    say(f"Why one account: churnrisk --project {shown} explain ACCOUNT")
    say("On your own data: churnrisk init FOLDER_WITH_YOUR_TABLES")


_MARK = ".churnrisk-demo"
_LIST: dict[str, Any] = {
    "as_of": None, "owner": None, "segment": None, "colour": "red,amber", "newly_red": False, "limit": 12, **_PLAIN,
}  # fmt: skip


def _score_two(context: typer.Context) -> None:
    """Score a month ago and today, so that the list has arrows."""
    from datetime import datetime, timedelta

    from churnrisk.cli import daily
    from churnrisk.cli.show import project_of
    from churnrisk.workflows.span import latest_date

    month_ago = latest_date(project_of(context), now=datetime.now()) - timedelta(days=30)
    plain: dict[str, Any] = {"force": False, "author": "demo", "dry_run": False, "output": None}
    daily.score(context, as_of=month_ago, **plain)
    daily.score(context, as_of=None, **plain)


def _empty(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()) and not (directory / _MARK).exists():
        raise UsageError(f"{directory} is not empty and no earlier demo. Choose another folder with --dir.")
    if directory.is_dir():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
