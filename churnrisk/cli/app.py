"""The ``churnrisk`` application; errors end it with an exit code and a message instead of a traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from churnrisk import __version__
from churnrisk.errors import ChurnRiskError

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
