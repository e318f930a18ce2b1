"""The command line: parse, call one workflow, show. Nothing heavy is imported before a command runs."""

# the commands register themselves, in the order in which help shows them
from churnrisk.cli import (
    daily,
    model,
    start,
)
from churnrisk.cli.app import app, main

__all__ = ["app", "main", "start", "model", "daily"]
