"""Run every notebook on a fresh kernel in a folder of its own and save its outputs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
TIMEOUT_SECONDS = 900


def main() -> None:
    """Run all notebooks, or those that are named."""
    wanted = sys.argv[1:]
    for path in sorted(FOLDER.glob("*.ipynb")):
        if wanted and path.stem not in wanted:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            nbformat.write(executed(path, Path(scratch)), path)
        print(f"ran notebooks/{path.name}", file=sys.stderr)


def executed(path: Path, folder: Path) -> NotebookNode:
    """Return a notebook with the outputs of a run in a folder, without what differs from run to run.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=TIMEOUT_SECONDS,
        startup_timeout=TIMEOUT_SECONDS,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    client.execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
    return notebook


if __name__ == "__main__":
    main()
