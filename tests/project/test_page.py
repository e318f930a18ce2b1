"""What docs/api.md shows runs, from top to bottom."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import churnrisk as cr

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")


def test_the_page_runs_from_top_to_bottom(small_world: Path, tmp_path: Path) -> None:
    shutil.copytree(small_world, tmp_path / "acme")
    script = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    script = f"import warnings\nwarnings.simplefilter('error')\n{script}"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_every_public_name_is_on_the_page() -> None:
    hidden = {"__version__", "OpenProject", "RecencyRule"}
    assert [name for name in cr.__all__ if name not in hidden and f"cr.{name}" not in PAGE] == []
