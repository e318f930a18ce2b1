"""Run the README's examples on the shipped sample and write their real output between its markers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MARKER = re.compile(r"<!-- output: (\w+) -->.*?(?=<!-- end -->)<!-- end -->", re.DOTALL)


def main() -> None:
    """Replace every marked block of README.md."""
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "sample"
        shutil.copytree(ROOT / "data" / "sample", project)
        trained = run(project, "train")
        run(project, "promote")
        run(project, "score", "--as-of", "2026-06-01")
        run(project, "score")
        worst = json.loads(run(project, "redlist", "--limit", "1", "--format", "json"))[0]["account_id"]
        blocks = {
            "train": block("churnrisk --project data/sample train", trained),
            "redlist": block(
                "churnrisk --project data/sample redlist --limit 3", run(project, "redlist", "--limit", "3")
            ),
            "explain": block(
                f"churnrisk --project data/sample explain {worst}", run(project, "explain", worst)
            ),
        }
    text = MARKER.sub(
        lambda found: f"<!-- output: {found[1]} -->\n{blocks[found[1]]}<!-- end -->",
        README.read_text("utf-8"),
    )
    README.write_text(text, encoding="utf-8")
    print("wrote README.md", file=sys.stderr)


def run(project: Path, *arguments: str) -> str:
    """Return what a command prints on stdout."""
    command = [sys.executable, "-m", "churnrisk", "--project", str(project), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    return done.stdout


def block(command: str, output: str) -> str:
    """Return a command and its output as a console block."""
    lines = "\n".join(line.rstrip() for line in output.strip("\n").splitlines())
    return f"```console\n$ {command}\n{lines}\n```\n"


if __name__ == "__main__":
    main()
