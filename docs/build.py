"""Write docs/cli.md and docs/features.md from the code; with --check, say whether they are current."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# The pages must not depend on the terminal that they are written in.
PLAIN_TERMINAL = {"TERMINAL_WIDTH": "100", "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
COLOURFUL = ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS")
GENERATED = "<!-- Written by `make docs`; changes belong into the code. -->\n"


def main(argv: list[str] | None = None) -> int:
    """Write the pages, or compare them with the code; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail when a page is out of date"
    )
    check = parser.parse_args(argv).check
    os.environ.update(PLAIN_TERMINAL)
    for name in COLOURFUL:
        os.environ.pop(name, None)
    pages = {HERE / "cli.md": cli_page(), HERE / "features.md": features_page()}
    if check:
        return report_stale(pages)
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote docs/{path.name}")
    return 0


def report_stale(pages: dict[Path, str]) -> int:
    """Name the pages that differ from the code; return 1 when there are any."""
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        print(f"docs/{path.name} is not what the code says; run `make docs`", file=sys.stderr)
    return int(bool(stale))


def cli_page() -> str:
    """Return the help of every command as one page."""
    # Imported late: typer and rich look at the terminal when they are imported.
    import typer

    from churnrisk.cli.app import app

    parts = ["# Commands\n", GENERATED]
    for words in command_paths(typer.main.get_command(app), ()):
        parts += [f"## `{' '.join(('churnrisk', *words))}`\n", f"```text\n{help_text(app, words)}\n```\n"]
    return "\n".join(parts)


def command_paths(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the words of the command and of all commands under it that are not hidden."""
    yield words
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from command_paths(child, (*words, name))


def help_text(app: Any, words: tuple[str, ...]) -> str:
    """Return what `churnrisk WORDS --help` prints, without spaces at line ends."""
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, [*words, "--help"], prog_name="churnrisk")
    if result.exit_code:
        raise SystemExit(f"`churnrisk {' '.join(words)} --help` failed:\n{result.output}")
    return "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())


def features_page() -> str:
    """Return the feature catalogue as one page of tables, by family."""
    from churnrisk.features import CATALOGUE

    parts = ["# Features\n", GENERATED]
    parts.append(
        "A feature is computed when the tables hold what it needs. "
        "Direction says what a higher value can do to the churn probability: "
        "↑ only raise it, ↓ only lower it, · either.\n"
    )
    for family in dict.fromkeys(feature.family for feature in CATALOGUE):
        parts += [
            f"## {family.capitalize()}\n",
            "| feature | meaning | unit | direction | needs |",
            "|---|---|---|---|---|",
        ]
        for feature in CATALOGUE:
            if feature.family == family:
                arrow = {1: "↑", 0: "·", -1: "↓"}[feature.monotone]
                needs = ", ".join(f"`{need}`" for need in feature.requires)
                parts.append(f"| `{feature.name}` | {feature.label} | {feature.unit} | {arrow} | {needs} |")
        parts.append("")
    return "\n".join([*parts, *levers_section()])


def levers_section() -> list[str]:
    """Return what the customer-success team can change, as a table."""
    from churnrisk.features import LEVERS

    return [
        "## What the team can change\n",
        "`explain` searches these levers, singly and in pairs, for the smallest change that would turn a red or amber "
        "account. A lever changes the prepared columns, so every signal over them follows, your own included; the "
        "signals that it is about stay within what retained customers show, for each lever alone and for both. "
        "Key features have a lever each.\n",
        "| lever | what the team brings about | about | needs |",
        "|---|---|---|---|",
        *(
            f"| {lever.name} | {lever.step(lever.doses[-1] if not lever.count else 1)} | "
            f"{', '.join(f'`{aim}`' for aim in lever.aims)} | {', '.join(f'`{need}`' for need in lever.requires)} |"
            for lever in LEVERS
        ),
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
