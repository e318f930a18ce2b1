"""The command serve."""

from __future__ import annotations

from typing import Annotated

import typer

from churnrisk.cli.app import app
from churnrisk.cli.show import project_of, say

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
    from churnrisk.web.server import Listener, check_ready, default_workers, run

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
