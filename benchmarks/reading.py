"""Read one folder of benchmarks/connectors.py in a process of its own and print the seconds that it took.

usage: python benchmarks/reading.py FOLDER plain|export|bare
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from churnrisk.sources import Engine, EngineConfig, open_tables, table_configs


def read(folder: Path, kind: str) -> float:
    """Open the tables of a folder by its settings."""
    configs = table_configs(json.loads((folder / "tables.json").read_text())[kind])
    with Engine(EngineConfig(), base=folder / kind) as engine:
        return timed(lambda: open_tables(engine, configs))


def read_cells(folder: Path) -> float:
    """Loop over the cells of the sheets that are read."""
    from python_calamine import CalamineWorkbook

    paths = [one["path"] for one in json.loads((folder / "tables.json").read_text())["export"].values()]

    def cells() -> None:
        for path, _, sheet in (path.partition("#") for path in paths):
            for _row in (
                CalamineWorkbook.from_path(folder / "export" / path).get_sheet_by_name(sheet).iter_rows()
            ):
                pass

    return timed(cells)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    place, job = Path(sys.argv[1]), sys.argv[2]
    print(read_cells(place) if job == "bare" else read(place, job))
