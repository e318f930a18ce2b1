"""Commands of access for programs: token."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from churnrisk.cli.access import opened, show_counted
from churnrisk.cli.app import app
from churnrisk.cli.show import AuthorOption, DryRunOption, FormatOption, OutputOption, author_or_unknown, say
from churnrisk.records import Role

token = typer.Typer(
    help="Tokens with which programs use the API: add, list, revoke.",
    no_args_is_help=True,
    epilog='Example: `churnrisk token add "our CRM" --role reviewer --expires 2027-01-01`.',
)
app.add_typer(token, name="token")

_COLUMNS = {
    "token_id": "id",
    "name": "name",
    "prefix": "begins with",
    "role": "role",
    "owner": "owner",
    "created_by": "made by",
    "created_at": "since",
    "expires_at": "until",
    "used_at": "last used",
    "state": "state",
}


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
    author: AuthorOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Make a token for the API; it is printed once and cannot be shown again."""
    from churnrisk.workflows.access import check_token, make_token

    until = expires.replace(tzinfo=UTC) if expires else None
    now = datetime.now(UTC)
    with opened(context) as store:
        if dry_run:
            check_token(name, owner=owner, expires_at=until, now=now)
            say(f"a token {name!r} would be made; nothing was written")
            return
        made_by = author_or_unknown(author)
        _, text = make_token(
            store, name, role=role, owner=owner, expires_at=until, created_by=made_by, now=now
        )
    print(text)
    say(f"this is the token {name!r}; keep it where secrets are kept, since it is not shown again")


@token.command("list", epilog="Example: `churnrisk token list`.")
def list_tokens(context: typer.Context, format_: FormatOption = None, output: OutputOption = None) -> None:
    """List the tokens: for what, with which role, until when, and when last used."""
    from dataclasses import asdict

    from churnrisk.history.access import all_tokens

    now = datetime.now(UTC).replace(tzinfo=None)
    with opened(context) as store:
        rows = [
            asdict(found) | {"role": found.role.value, "state": found.state(now)}
            for found in all_tokens(store)
        ]
    show_counted(rows, ("token", "tokens"), format_, output, _COLUMNS)


@token.command("revoke", epilog="Example: `churnrisk token revoke 3`.")
def revoke(
    context: typer.Context,
    token_id: Annotated[int, typer.Argument(metavar="ID", help="Its id in `churnrisk token list`.")],
    dry_run: DryRunOption = False,
) -> None:
    """End a token for good, from its next request on."""
    from churnrisk.history.access import revoke_token

    with opened(context) as store:
        if dry_run:
            say(f"token {token_id} would be revoked; nothing was written")
            return
        revoke_token(store, token_id, at=datetime.now(UTC))
    say(f"token {token_id} is revoked")
