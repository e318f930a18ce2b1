"""The command line: parse, call one use case, show. Nothing heavy is imported before a command runs."""

from churnrisk.cli.app import app, main

# The commands register themselves in the order in which help shows them.
from churnrisk.cli import start, model, daily, team, access  # isort: skip

__all__ = ["app", "main", "start", "model", "daily", "team", "access"]
