"""The command line: parse, call one use case, show. Nothing heavy is imported before a command runs."""

from churnrisk.cli.app import app, main

# The commands register themselves in the order in which help shows them.
# isort: off
from churnrisk.cli import start
from churnrisk.cli import features
from churnrisk.cli import model
from churnrisk.cli import daily
from churnrisk.cli import team
from churnrisk.cli import review
from churnrisk.cli import access
# isort: on

__all__ = ["app", "main", "start", "features", "model", "daily", "team", "review", "access"]
