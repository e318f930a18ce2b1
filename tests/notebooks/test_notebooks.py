"""Each notebook runs on a fresh kernel, and what is saved in it can be shown."""

from __future__ import annotations

import ast
import base64
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from docs.notebooks import FOLDER, executed
from tests.uncounted import uncounted

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: What a run has to show, besides coming to its end.
FACTS = {
    "01_quick_start": ["recency rule", r"churn of at most [\d.]+%", "next step"],
    "02_own_data": ["accounts has no column 'account_id'", r"churnrisk +AUC 0\.[78]"],
    "03_retrain_compare_promote": ["champion", "candidate", "log_loss"],
    "04_own_signals": ["days_left changes for", r"rows have it among their reasons"],
    "05_colours": ["capacity: amber from", "churn rate"],
    "06_why_accounts_churn": ["log-odds", "never seen coming|seen coming", "usual_low"],
}
MOST_PICTURE_BYTES = 100_000
BY_STEM = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, blank_store: Path) -> Path:
    """Where all notebooks run: the sample and its first model are made once."""
    made = tmp_path_factory.mktemp("notebooks")
    (made / "acme" / "models").mkdir(parents=True)
    shutil.copy(blank_store, made / "acme" / "models")
    return made


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code(notebook) for output in cell.outputs]


def said(notebook: NotebookNode) -> str:
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs(notebook)
    ]
    return "\n".join(texts)


def test_there_are_the_six_of_the_docs() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(FACTS)


@BY_STEM
def test_it_runs_from_a_clean_kernel(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - uncounted().keys():
        monkeypatch.delenv(name)
    notebook = executed(path, folder)
    assert [output.text for output in outputs(notebook) if output.get("name") == "stderr"] == []
    told = said(notebook)
    assert [fact for fact in FACTS[path.stem] if not re.search(fact, told)] == []


@BY_STEM
def test_what_is_saved_is_a_whole_run_fit_to_be_shown(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert {output.output_type for output in outputs(notebook)} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert not re.search(
        r"(?<![\w.])/(tmp|home|root|work|Users)/|Warning|<.* object at 0x", path.read_text("utf-8")
    )
    pictures = [
        output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})
    ]
    assert pictures
    assert max(len(base64.b64decode(picture)) for picture in pictures) <= MOST_PICTURE_BYTES


@BY_STEM
def test_it_imports_logic_and_defines_none(path: Path) -> None:
    cells = [cell.source for cell in code(nbformat.read(path, as_version=4))]
    trees = [
        ast.parse("\n".join(line for line in cell.splitlines() if not line.startswith("%"))) for cell in cells
    ]
    defined = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    assert defined == []
