"""Commands of access: user."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import (
    DryRunOption,
    FormatOption,
    OutputOption,
    project_of,
    say,
    show_rows,
)
from churnrisk.errors import UsageError
from churnrisk.records import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from churnrisk.cli.show import Format
    from churnrisk.history import HistoryStore

user = typer.Typer(
    help="People who may see the pages: add, list, change, disable.",
    no_args_is_help=True,
    epilog="Example: `churnrisk user add ana --role reviewer`.",
)
app.add_typer(user, name="user")

_USER_COLUMNS = {
    "name": "name",
    "display_name": "shown as",
    "role": "role",
    "sees": "sees",
    "email": "e-mail",
    "state": "state",
}
NameArgument = Annotated[str, typer.Argument(help="Sign-in name.")]
OwnerOption = Annotated[
    str | None,
    typer.Option(help="The person's name as owner in your tables, for the list of one's own accounts."),
]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
]


@user.command(
    "add",
    epilog='Example: `churnrisk user add ana --role reviewer --owner "Ana Castillo"`; in a script: '
    "`pass show churn/ana | churnrisk user add ana --role reviewer --password-stdin`.",
)
def add_user(
    context: typer.Context,
    name: NameArgument,
    role: Annotated[Role, typer.Option(help="viewer sees, reviewer records reviews, admin does everything.")],
    display_name: Annotated[str | None, typer.Option(help="How the person is shown to others.")] = None,
    owner: OwnerOption = None,
    own_only: Annotated[
        bool, typer.Option("--own-only", help="Limit the person to the accounts of --owner.")
    ] = False,
    email: Annotated[str | None, typer.Option(help="As whom single sign-on knows the person.")] = None,
    password_stdin: StdinOption = False,
    sso_only: Annotated[
        bool, typer.Option("--sso-only", help="No password: the person comes by single sign-on.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Give a person access to the pages; the password is asked for, or read from standard input."""
    from churnrisk.history.access import find_user
    from churnrisk.workflows.access import NewPerson, add_person, normal_name
    from churnrisk.workflows.passwords import hash_password

    person = NewPerson(name, role, display_name, owner, own_only, email)
    if sso_only and not email:
        raise UsageError(
            "--sso-only expects an e-mail address to know the person by, found none. Add --email."
        )
    with opened(context) as store:
        if find_user(store, normal_name(name)) is not None:
            raise UsageError(f"{normal_name(name)!r} has access already. See `churnrisk user list`.")
        password = None if sso_only else read_password(from_stdin=password_stdin)
        if dry_run:
            if password is not None:
                hash_password(password, name=normal_name(name))
            say(f"{normal_name(name)} would get access as {role}; nothing was written")
            return
        made = add_person(store, person, password, now=datetime.now(UTC))
    say(
        f"{made.name} has access as {made.role}{f', to the accounts of {made.owner}' if made.own_only else ''}"
    )


@user.command("list", epilog="Example: `churnrisk user list --format json`.")
def list_users(context: typer.Context, format_: FormatOption = None, output: OutputOption = None) -> None:
    """List the people who may see the pages."""
    from dataclasses import asdict

    from churnrisk.history.access import all_users

    with opened(context) as store:
        rows = [
            asdict(found)
            | {
                "role": found.role.value,
                "sees": f"accounts of {found.scope}" if found.scope else "all accounts",
                "state": "disabled" if found.disabled else "active",
            }
            for found in all_users(store)
        ]
    show_counted(rows, ("person", "people"), format_, output, _USER_COLUMNS)


@user.command("password", epilog="Example: `churnrisk user password ana`.")
def set_password(
    context: typer.Context,
    name: NameArgument,
    password_stdin: StdinOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Set a person's password; they are signed out everywhere."""
    from churnrisk.workflows.access import change_password, known_user
    from churnrisk.workflows.passwords import hash_password

    with opened(context) as store:
        found = known_user(store, name)
        password = read_password(from_stdin=password_stdin)
        if dry_run:
            hash_password(password, name=found.name)
            say(f"the password of {found.name} would be changed; nothing was written")
            return
        change_password(store, found.name, password)
    say(f"the password of {found.name} is changed; every session of theirs has ended")


@user.command("role", epilog='Example: `churnrisk user role ana viewer --owner "Ana Castillo" --own-only`.')
def set_role(
    context: typer.Context,
    name: NameArgument,
    role: Annotated[Role, typer.Argument(help="viewer, reviewer or admin.")],
    owner: OwnerOption = None,
    own_only: Annotated[
        bool | None, typer.Option("--own-only/--all-accounts", help="Which accounts the person may see.")
    ] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change what a person may do, from their next click on."""
    from churnrisk.workflows.access import change_role, known_user

    with opened(context) as store:
        if dry_run:
            say(f"{known_user(store, name).name} would be {role}; nothing was written")
            return
        changed = change_role(store, name, role, owner=owner, own_only=own_only, now=datetime.now(UTC))
    sees = f"the accounts of {changed.scope}" if changed.scope else "all accounts"
    say(f"{changed.name} is {changed.role} now and sees {sees}")


@user.command("disable", epilog="Example: `churnrisk user disable ana`; `--undo` gives the access back.")
def disable(
    context: typer.Context,
    name: NameArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Give the access back.")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Take a person's access at once and everywhere; what they recorded stays."""
    from churnrisk.workflows.access import known_user, set_disabled

    with opened(context) as store:
        what = "has access again" if undo else "has no access any more"
        if dry_run:
            say(f"{known_user(store, name).name} {what}: only said, nothing was written")
            return
        changed = set_disabled(store, name, not undo, now=datetime.now(UTC))
    say(f"{changed.name} {what}")


def show_counted(
    rows: list[dict[str, Any]],
    nouns: tuple[str, str],
    format_: Format | None,
    output: Path | None,
    columns: dict[str, str],
) -> None:
    """Show a list of rows under their number: one person, two people."""
    noun = nouns[0] if len(rows) == 1 else nouns[1]
    show_rows(rows, title=f"{len(rows)} {noun}", format_=format_, output=output, columns=columns)


@contextmanager
def opened(context: typer.Context) -> Iterator[HistoryStore]:
    """Open the history of the project that the command line chose."""
    from churnrisk.history import HistoryStore

    with HistoryStore(project_of(context).store_url) as store:
        yield store


def read_password(*, from_stdin: bool) -> str:
    """Return a password that nobody sees: the first line of standard input, or typed twice.

    Raises
    ------
    UsageError
        If there is none, or it was typed in two ways.
    """
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
        if not given:
            raise UsageError(
                "--password-stdin expects a password on standard input, found none. Pipe one in."
            )
        return given
    if not sys.stdin.isatty():
        raise UsageError("expected a terminal to ask for the password, found none. Use --password-stdin.")
    typed: Any = typer.prompt("Password (at least 12 characters)", hide_input=True, err=True)
    if typer.prompt("The same again", hide_input=True, err=True) != typed:
        raise UsageError("the password was typed in two ways. Nothing was written; try again.")
    return str(typed)
