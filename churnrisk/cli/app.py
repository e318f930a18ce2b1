"""The application: exit codes instead of tracebacks, and how results are shown."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    """Run the command line; exit codes are those of :mod:`churnrisk.errors`."""
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


class Format(StrEnum):
    """Output format of a list."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format | None, typer.Option("--format", "-f", help="Output format.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to a file instead of the terminal."),
]
AsOfOption = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="As-of date; default: the latest.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")]
AuthorOption = Annotated[
    str | None,
    typer.Option("--author", envvar=["CHURNRISK_AUTHOR", "USER"], help="Who decides; kept in the record."),
]


def project_of(context: typer.Context) -> Project:
    """Load the project that the command line chose."""
    from churnrisk.settings import load_project

    directory, data = context.obj
    return load_project(directory, data=data)


def author_or_unknown(author: str | None) -> str:
    """Return the author, or "unknown"."""
    return author or "unknown"


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show the running step on stderr, and how long each took."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:
        report = _Report(console, status)
        yield report
        report.done()


class _Report:
    """Shows one stage at a time, with a bar where its parts are counted, then how long it took."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console, self._status = console, status
        self._stage: str | None = None
        self._since = 0.0

    def __call__(self, stage: str) -> None:
        self.done()
        self._stage, self._since = stage, time.monotonic()
        self._status.update(stage)

    def advance(self, done: int, of: int) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 1))
        row.add_row(self._stage or "", ProgressBar(of, done, width=30), f"{done:,} of {of:,}")
        self._status.update(row)

    def done(self) -> None:
        if self._stage is not None:
            took = time.monotonic() - self._since
            self._console.print(f"[dim]  {self._stage} … {took:.1f} s[/dim]", highlight=False)


def say(message: str) -> None:
    """Print a message to stderr."""
    print(message, file=sys.stderr)


def show_rows(
    rows: Sequence[dict[str, Any]],
    *,
    title: str,
    format_: Format | None,
    output: Path | None,
    columns: dict[str, str],
    styles: Callable[[dict[str, Any]], str | None] | None = None,
) -> None:
    """Show rows as a table of ``columns`` (key to heading), or all they hold as JSON or CSV.

    The default format follows the file extension of ``output``; ``styles`` gives the style of a table row.
    """
    chosen = choose_format(format_, output)
    if chosen is Format.TABLE:
        text = table_text(rows, title, columns, styles, plain=output is not None)
    elif chosen is Format.JSON:
        text = json.dumps(list(rows), default=_plain, ensure_ascii=False, indent=2) + "\n"
    else:
        text = _csv(rows, columns)
    emit(text, output)


def emit(text: str, output: Path | None) -> None:
    """Write text to stdout, or whole to a file."""
    if output is None:
        sys.stdout.write(text)
        return
    from churnrisk.files import write_whole

    write_whole(output, text.encode())
    say(f"wrote {output}")


def choose_format(format_: Format | None, output: Path | None) -> Format:
    """Return the given format, else that of the file extension, else a table."""
    if format_ is not None:
        return format_
    if output is None:
        return Format.TABLE
    endings = {".json": Format.JSON, ".csv": Format.CSV, ".txt": Format.TABLE}
    if output.suffix not in endings:
        raise UsageError(
            f"{output.name} has no supported file extension. Use .csv, .json or .txt, or give --format."
        )
    return endings[output.suffix]


def table_text(
    rows: Sequence[dict[str, Any]],
    title: str,
    columns: dict[str, str],
    styles: Callable[[dict[str, Any]], str | None] | None = None,
    *,
    plain: bool = False,
) -> str:
    """Return rows as a table; ``plain`` without terminal codes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    for key, heading in columns.items():
        numeric = any(isinstance(row.get(key), int | float) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # the user's own texts are no markup
        table.add_row(*(Text(_text(row.get(key))) for key in columns), style=styles(row) if styles else None)
    if plain or not sys.stdout.isatty():
        console = Console(file=io.StringIO(), width=160, color_system=None)
    else:
        console = Console(file=io.StringIO(), width=Console().width, force_terminal=True)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def _csv(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    from churnrisk.files import csv_text

    header = list(rows[0]) if rows else list(columns)
    return csv_text([header, *([_cell(row.get(name)) for name in header] for row in rows)])


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return _plain(value) if isinstance(value, datetime | date) else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()[:10]
    return str(value)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
    if isinstance(value, datetime | date):
        return f"{value:%Y-%m-%d}"
    return str(value)
