"""The Typer application, the options that commands share, exit codes, progress, and the output of results."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from churnrisk import __version__
from churnrisk.errors import ChurnRiskError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from churnrisk.settings import Project

app = typer.Typer(
    name="churnrisk",
    help="Raw customer tables in, a red list with reasons and next steps out.",
    epilog="Start with `churnrisk demo`, or `churnrisk init` in the folder that holds your tables.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(show: bool) -> None:
    if show:
        typer.echo(f"churnrisk {__version__}")
        raise typer.Exit


@app.callback()
def _project(
    context: typer.Context,
    project: Annotated[
        Path, typer.Option("--project", "-p", metavar="DIR", help="Project folder, with its churnrisk.toml.")
    ] = Path(),
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where relative table paths start, if not in the project folder."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    context.obj = (project, data)


def main() -> None:
    """Run the command line; :mod:`churnrisk.errors` lists the exit codes."""
    try:
        app()
    except ChurnRiskError as error:
        _leave(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _leave("interrupted; nothing was published", 130)
    except BrokenPipeError:
        # the reader of our output is gone (`| head`), which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("CHURNRISK_DEBUG"):
            raise
        _leave(
            f"internal error: {type(error).__name__}: {str(error).strip() or 'no message'}\n"
            "This is a bug in churnrisk. Set CHURNRISK_DEBUG=1 to see the traceback, and please report it.",
            1,
        )


def _leave(message: str, code: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(code)


Rows = Sequence[dict[str, Any]]
Style = Callable[[dict[str, Any]], str | None]
Format = Literal["table", "json", "csv"]
AsFormat = Annotated[Format | None, typer.Option("--format", "-f", help="Output format.")]
ToFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file instead of the terminal."),
]

AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="As-of date; default: the latest.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")]
Author = Annotated[
    str,
    typer.Option(
        "--author",
        envvar=["CHURNRISK_AUTHOR", "USER"],
        help="Who decides; kept in the record.",
        show_default=False,
        callback=lambda author: author or "unknown",
    ),
]


def project_of(context: typer.Context) -> Project:
    """Load the project that the command line chose."""
    from churnrisk.settings import load_project

    directory, data = context.obj
    return load_project(directory, data=data)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show the running step on stderr, and how long each took."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:
        report = ProgressReport(console, status)
        yield report
        report.done()


class ProgressReport:
    """Shows one stage at a time, with a bar where its parts are counted, then how long it took."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console, self._status = console, status
        self._stage: str | None = None
        self._since = 0.0

    def __call__(self, stage: str) -> None:
        """Start a stage."""
        self.done()
        self._stage, self._since = stage, time.monotonic()
        self._status.update(stage)

    def advance(self, done: int, of: int) -> None:
        """Show how many parts of the stage are done."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 1))
        row.add_row(self._stage or "", ProgressBar(of, done, width=30), f"{done:,} of {of:,}")
        self._status.update(row)

    def done(self) -> None:
        """Print how long the stage took."""
        if self._stage is not None:
            took = time.monotonic() - self._since
            self._console.print(f"[dim]  {self._stage} … {took:.1f} s[/dim]", highlight=False)


def say(message: str) -> None:
    """Print a message to stderr."""
    print(message, file=sys.stderr)


def note(*notes: str) -> None:
    """Print notes about a result to stderr."""
    for one in notes:
        say(f"note: {one}")


class Output:
    """Shows a result in the format given, else in that of the file extension, else as a table."""

    def __init__(self, format_: Format | None, file: Path | None) -> None:
        self.format = format_ or _format_of(file)
        self.file = file

    @property
    def in_terminal(self) -> bool:
        """Whether somebody reads a table on the screen."""
        return self.format == "table" and self.file is None

    def rows(self, rows: Rows, title: str, columns: dict[str, str], style: Style = lambda _: None) -> None:
        """Show rows as a table of ``columns`` (key to heading), or all they hold as JSON or CSV."""
        if self.format == "table":
            self.text(self.table(rows, title, columns, style))
        elif self.format == "json":
            self.json(rows, default=_plain)
        else:
            self.text(_csv(rows, columns))

    def table(self, rows: Rows, title: str, columns: dict[str, str], style: Style = lambda _: None) -> str:
        """Return rows as a table, without terminal codes unless a terminal shows it."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=title,
            title_justify="left",
            title_style="bold",
            header_style="bold",
            box=None,
            pad_edge=False,
        )
        for key, heading in columns.items():
            numeric = any(isinstance(row.get(key), int | float) for row in rows)
            table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            # the user's own texts are no markup
            cells = (Text(_text(row.get(key))) for key in columns)
            table.add_row(*cells, style=style(row))
        text = io.StringIO()
        if self.file is None and sys.stdout.isatty():
            Console(file=text, width=Console().width, force_terminal=True).print(table)
        else:
            Console(file=text, width=160, color_system=None).print(table)
        return text.getvalue()

    def json(self, value: Any, *, default: Callable[[Any], Any] = str) -> None:
        """Show a value as JSON, in whatever format the output is."""
        self.text(json.dumps(value, default=default, ensure_ascii=False, indent=2) + "\n")

    def text(self, text: str) -> None:
        """Write text to stdout, or whole to the file."""
        if self.file is None:
            sys.stdout.write(text)
            return
        from churnrisk.files import write_whole

        write_whole(self.file, text.encode())
        say(f"wrote {self.file}")


def _format_of(file: Path | None) -> Format:
    formats: dict[str, Format] = {".json": "json", ".csv": "csv", ".txt": "table"}
    if file is None:
        return "table"
    if file.suffix not in formats:
        raise UsageError(
            f"{file.name} has no supported file extension. Use .csv, .json or .txt, or give --format."
        )
    return formats[file.suffix]


def _csv(rows: Rows, columns: dict[str, str]) -> str:
    from churnrisk.files import csv_text

    header = list(rows[0]) if rows else list(columns)
    return csv_text([header, *([_cell(row.get(name)) for name in header] for row in rows)])


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return _plain(value) if isinstance(value, date) else value


def _plain(value: Any) -> str:
    return value.isoformat()[:10] if isinstance(value, date) else str(value)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
    return _plain(value)
