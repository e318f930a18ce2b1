"""No two classes share a name, and no modules import each other in a circle."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def parsed_modules() -> dict[str, ast.Module]:
    """Every module of churnrisk by its dotted name."""
    modules = {}
    for path in sorted((ROOT / "churnrisk").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_bytes())
    return modules


def imports(tree: ast.Module, modules: Mapping[str, object]) -> Iterator[str]:
    """Names of the modules that a module imports anywhere: at its top, in functions, for type checking."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in modules else node.module


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of one import circle, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_class_name_is_used_twice() -> None:
    homes = defaultdict(list)
    for module, tree in parsed_modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(module)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = parsed_modules()
    graph = {name: set(imports(tree, modules)) & modules.keys() - {name} for name, tree in modules.items()}
    assert len(graph) > 50
    assert cycle(graph) == []
