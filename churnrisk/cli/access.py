"""Commands of the pages and their users: serve, user, token."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnrisk.cli.app import AsFormat, Author, DryRun, Output, ToFile, app, project_of, say
from churnrisk.errors import UsageError
from churnrisk.records import Role

if TYPE_CHECKING:
    from churnrisk.auth import Store

user = typer.Typer(
    help="Users of the pages: add, list, change, disable.",
    no_args_is_help=True,
    epilog="Example: `churnrisk user add ana --role reviewer`.",
)
token = typer.Typer(
    help="API tokens for programs: add, list, revoke.",
    no_args_is_help=True,
    epilog='Example: `churnrisk token add "our CRM" --role reviewer --expires 2027-01-01`.',
)
app.add_typer(user, name="user")
app.add_typer(token, name="token")

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_USER_COLUMNS = {
    "name": "name", "display_name": "shown as", "role": "role", "sees": "sees", "email": "e-mail", "state": "state",
}  # fmt: skip
_TOKEN_COLUMNS = {
    "token_id": "id", "name": "name", "prefix": "begins with", "role": "role", "owner": "owner",
    "created_by": "made by", "created_at": "since", "expires_at": "until", "used_at": "last used", "state": "state",
}  # fmt: skip
NameArgument = Annotated[str, typer.Argument(help="Sign-in name.")]
OwnerOption = Annotated[str | None, typer.Option(help="The user's name in the owner column of your tables.")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of prompting.")
]


@user.command(
    "add",
    epilog='Example: `churnrisk user add ana --role reviewer --owner "Ana Castillo"`; in a script: '
    "`pass show churn/ana | churnrisk user add ana --role reviewer --password-stdin`.",
)
def add_user(
    context: typer.Context,
    name: NameArgument,
    role: Annotated[
        Role, typer.Option(help="viewer reads, reviewer records reviews, admin does everything.")
    ],
    display_name: Annotated[str | None, typer.Option(help="The name others see.")] = None,
    owner: OwnerOption = None,
    own_only: Annotated[
        bool, typer.Option("--own-only", help="Limit the user to the accounts of --owner.")
    ] = False,
    email: Annotated[str | None, typer.Option(help="The address that single sign-on reports.")] = None,
    password_stdin: StdinOption = False,
    sso_only: Annotated[
        bool, typer.Option("--sso-only", help="No password: sign in through single sign-on only.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Add a user; the password is prompted for, or read from standard input."""
    from churnrisk.auth import hash_password, users

    new = users.NewUser(name, role, display_name, owner, own_only, email)
    if sso_only and not email:
        raise UsageError("--sso-only expects an e-mail address to know the user by, found none. Add --email.")
    with _store(context) as store:
        if users.find_user(store, new.name) is not None:
            raise UsageError(f"{new.name!r} has access already. See `churnrisk user list`.")
        password = None if sso_only else _read_password(from_stdin=password_stdin)
        if dry_run:
            if password is not None:
                hash_password(password, name=new.name)
            say(f"would add {new.name} as {role}; nothing was written")
            return
        added = users.add_user(store, new, password=password, now=datetime.now(UTC))
    say(
        f"{added.name} has access as {added.role}{f', to the accounts of {added.scope}' if added.scope else ''}"
    )


@user.command("list", epilog="Example: `churnrisk user list --format json`.")
def list_users(context: typer.Context, format_: AsFormat = None, output: ToFile = None) -> None:
    """List the users."""
    from churnrisk.auth import all_users

    with _store(context) as store:
        found = all_users(store)
    rows = []
    for one in found:
        sees = f"accounts of {one.scope}" if one.scope else "all accounts"
        rows.append(asdict(one) | {"sees": sees, "state": "disabled" if one.disabled else "active"})
    Output(format_, output).rows(rows, _counted(rows, "user"), _USER_COLUMNS)


@user.command("password", epilog="Example: `churnrisk user password ana`.")
def set_password(
    context: typer.Context,
    name: NameArgument,
    password_stdin: StdinOption = False,
    dry_run: DryRun = False,
) -> None:
    """Set a user's password and sign them out everywhere."""
    from churnrisk.auth import change_password, get_user, hash_password

    with _store(context) as store:
        found = get_user(store, name)
        password = _read_password(from_stdin=password_stdin)
        if dry_run:
            hash_password(password, name=found.name)
            say(f"would change the password of {found.name}; nothing was written")
            return
        change_password(store, found.name, password)
    say(f"the password of {found.name} is changed; all their sessions have ended")


@user.command("role", epilog='Example: `churnrisk user role ana viewer --owner "Ana Castillo" --own-only`.')
def set_role(
    context: typer.Context,
    name: NameArgument,
    role: Annotated[Role, typer.Argument(help="viewer, reviewer or admin.")],
    owner: OwnerOption = None,
    own_only: Annotated[
        bool | None, typer.Option("--own-only/--all-accounts", help="Which accounts the user may see.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Change what a user may do, from their next click on."""
    from churnrisk.auth import change_user, get_user

    with _store(context) as store:
        if dry_run:
            say(f"{get_user(store, name).name} would be {role}; nothing was written")
            return
        changed = change_user(store, name, role=role, owner=owner, own_only=own_only, now=datetime.now(UTC))
    sees = f"the accounts of {changed.scope}" if changed.scope else "all accounts"
    say(f"{changed.name} is {changed.role} now and sees {sees}")


@user.command("disable", epilog="Example: `churnrisk user disable ana`; `--undo` gives the access back.")
def disable(
    context: typer.Context,
    name: NameArgument,
    undo: Annotated[bool, typer.Option("--undo", help="Give the access back.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Take a user's access away, at once and everywhere; what they recorded stays."""
    from churnrisk.auth import change_user, get_user

    with _store(context) as store:
        if dry_run:
            say(f"would {'enable' if undo else 'disable'} {get_user(store, name).name}; nothing was written")
            return
        changed = change_user(store, name, disabled=not undo, now=datetime.now(UTC))
    say(f"{changed.name} {'has access again' if undo else 'has no access any more'}")


@token.command(
    "add", epilog='Example: `churnrisk token add "our CRM" --role reviewer --expires 2027-01-01 > crm.token`.'
)
def add_token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    role: Annotated[Role, typer.Option(help="viewer reads, reviewer records reviews and hands out actions.")],
    owner: Annotated[str | None, typer.Option(help="Limit it to this owner's accounts.")] = None,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="It ends when this day begins (UTC).")
    ] = None,
    author: Author = "unknown",
    dry_run: DryRun = False,
) -> None:
    """Make a token for the API; it is printed once and cannot be shown again."""
    from churnrisk.auth import sessions

    until = expires.replace(tzinfo=UTC) if expires else None
    now = datetime.now(UTC)
    with _store(context) as store:
        if dry_run:
            sessions.check_token(name, owner=owner, expires_at=until, now=now)
            say(f"would make a token {name!r}; nothing was written")
            return
        _, text = sessions.add_token(
            store, name, role=role, owner=owner, expires_at=until, created_by=author, now=now
        )
    print(text)
    say(f"this is the token {name!r}; store it as a secret, since it is not shown again")


@token.command("list", epilog="Example: `churnrisk token list`.")
def list_tokens(context: typer.Context, format_: AsFormat = None, output: ToFile = None) -> None:
    """List the tokens: for what, with which role, until when, and when last used."""
    from churnrisk.auth import all_tokens

    with _store(context) as store:
        found = all_tokens(store)
    now = datetime.now(UTC)
    rows = [asdict(one) | {"state": one.state(now)} for one in found]
    Output(format_, output).rows(rows, _counted(rows, "token"), _TOKEN_COLUMNS)


@token.command("revoke", epilog="Example: `churnrisk token revoke 3`.")
def revoke(
    context: typer.Context,
    token_id: Annotated[int, typer.Argument(metavar="ID", help="Its id in `churnrisk token list`.")],
    dry_run: DryRun = False,
) -> None:
    """End a token for good, from its next request on."""
    from churnrisk.auth import revoke_token

    with _store(context) as store:
        if dry_run:
            say(f"would revoke token {token_id}; nothing was written")
            return
        revoke_token(store, token_id, now=datetime.now(UTC))
    say(f"token {token_id} is revoked")


@app.command(epilog="Example: `churnrisk --project build/demo serve --open`; Ctrl-C ends it.")
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine only.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8765,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=32,
            help="Server processes; default: one per core, at most two. API rate limits count in each.",
        ),
    ] = None,
) -> None:
    """Serve the red list in the browser: review, assign, snooze, undo, export."""
    from churnrisk.web import Listener, check_ready, default_workers, run

    project = project_of(context)
    check_ready(project)
    with Listener(host, port) as listener:
        if host not in _LOOPBACK:
            say(
                f"warning: everybody who can reach {host} can reach the sign-in page. Put a server with https in "
                f"front of it. Host names other than {', '.join(sorted(project.web.hosts | set(listener.names)))} are "
                "answered once they are listed under [web] allowed_hosts in churnrisk.toml."
            )
        say(f"The red list of {project.name} is at {listener.url}; Ctrl-C ends it.")
        if open_:
            typer.launch(listener.url)
        run(project, listener, workers=workers or default_workers())
    say("ended")


def _counted(rows: list[dict[str, Any]], noun: str) -> str:
    return f"{len(rows)} {noun}{'' if len(rows) == 1 else 's'}"


def _store(context: typer.Context) -> Store:
    from churnrisk.auth import Store

    return Store(project_of(context).store_url)


def _read_password(*, from_stdin: bool) -> str:
    """Return a password that nobody sees: the first line of standard input, or typed twice."""
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
        if not given:
            raise UsageError(
                "--password-stdin expects a password on standard input, found none. Pipe one in."
            )
        return given
    if not sys.stdin.isatty():
        raise UsageError("expected a terminal to prompt for the password, found none. Use --password-stdin.")
    password: str = typer.prompt("Password (at least 12 characters)", hide_input=True, err=True)
    if typer.prompt("The same again", hide_input=True, err=True) != password:
        raise UsageError("the two passwords differ. Nothing was written; try again.")
    return password
