"""The command line: parse, call one workflow, show. Nothing heavy is imported before a command runs."""

from churnrisk.cli.app import app, main

__all__ = ["app", "main"]
