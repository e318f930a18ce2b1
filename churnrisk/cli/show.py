"""Show results: tables for people, JSON and CSV for programs, progress on stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from churnrisk.workflows.project import Project


class Format(StrEnum):
    """How a list comes out."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format | None, typer.Option("--format", "-f", help="How the list comes out.")]
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
    """Return the author, or a word that says there is none on record."""
    return author or "unknown"


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done on stderr, with the time that each step took."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:
        report = _Report(console, status)
        yield report
        report.done()


class _Report:
    """Shows one stage at a time, with a bar where its parts are counted, and what it took when the next one begins."""

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
    """Say something to a person, on stderr."""
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
    """Show a list of rows.

    Parameters
    ----------
    rows : sequence of dict
        Everything that JSON and CSV carry.
    title : str
        Heading of the table.
    format_ : Format, optional
        Default: by the ending of ``output``, else a table.
    output : Path, optional
        File to write.
    columns : dict of str to str
        Keys that the table for people shows, with their headings.
    styles : callable, optional
        The style of a table row.
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
    """Return the format asked for, or the one that the file's ending names; a table for the terminal."""
    if format_ is not None:
        return format_
    if output is None:
        return Format.TABLE
    endings = {".json": Format.JSON, ".csv": Format.CSV, ".txt": Format.TABLE}
    if output.suffix not in endings:
        raise UsageError(
            f"the ending of {output.name} names no format. Use .csv, .json or .txt, or give --format."
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
    """Return rows as the table that people see; ``plain`` leaves out what only a terminal understands."""
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
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else list(columns), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    """Return a value as a spreadsheet may take it: a text that begins like a formula stays text."""
    if isinstance(value, list | tuple | dict):
        value = json.dumps(value, default=_plain, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
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
