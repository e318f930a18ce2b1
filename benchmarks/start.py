"""How soon the command line answers: CPU of `--help` against a bare interpreter, medians of fresh processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

REPEATS = 7


def cpu_seconds(*command: str) -> float:
    """Return user and system time of one process."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print medians and their ratio."""
    commands = {
        "python -c pass": ("-c", "pass"),
        "import churnrisk": ("-c", "import churnrisk"),
        "churnrisk --help": ("-m", "churnrisk", "--help"),
    }
    runs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, arguments in commands.items():
            runs[name].append(cpu_seconds(sys.executable, *arguments))
    medians = {name: statistics.median(times) for name, times in runs.items()}
    for name, seconds in medians.items():
        print(
            f"{name:18} {seconds:5.2f} s of CPU, {seconds / medians['python -c pass']:4.1f} times a bare interpreter"
        )


if __name__ == "__main__":
    main()
