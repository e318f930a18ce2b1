"""What was scored last and in which state of everything, so that nothing is loaded where nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from churnrisk.errors import ChurnRiskError, UsageError
from churnrisk.files import digest_of, read_sealed, write_sealed, write_whole
from churnrisk.records import Run
from churnrisk.settings import Project, open_store
from churnrisk.sources import Engine, TableConfig, Via, find_files, open_engine
from churnrisk.store import HistoryStore, with_overrides
from churnrisk.tracking import CHAMPION
from churnrisk.training import tracking_of

if TYPE_CHECKING:
    import pyarrow as pa

Take = Callable[[Iterator["pa.Table"]], object]
#: Format of the file that says what was scored last. Raise it when older files would be read wrongly.
_FORM = 1


@dataclass(frozen=True)
class ScoringResult:
    """The outcome of a scoring run; ``run`` is None after a dry run.

    ``is_new`` is False when it had been published before, and nothing was written: then ``mix`` is empty. ``scores``
    has a row per account, where the library has collected them.
    """

    run: Run | None
    is_new: bool
    notes: tuple[str, ...]
    mix: Mapping[str, int] = field(default_factory=dict)
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Settled:
    """The run that was scored here last, and the state in which that was: of everything, of overrides, of the store."""

    state: str
    overrides: str
    last_run: int
    run_key: str
    notes: tuple[str, ...]


def settle(
    project: Project, store: HistoryStore, state: str, run: Run, notes: tuple[str, ...], *, now: datetime
) -> None:
    """Note that a run is done with all that follows it, unless the folder is read-only."""
    done = Settled(state, with_overrides(store, state, at=now), _last_run(store), run.run_key, notes)
    file = _file_of(project)
    with suppress(UsageError):
        write_whole(file.with_name(".gitignore"), b"*\n")
        write_sealed(file, done, form=_FORM)


def settled(project: Project, state: str, *, now: datetime) -> ScoringResult | None:
    """Return the published run if the state is that of the last one; another run since then may need more work."""
    try:
        done = read_sealed(_file_of(project), Settled, form=_FORM)
    except (OSError, ValueError):
        return None
    if done.state != state:
        return None
    with open_store(project) as store:
        if done.last_run != _last_run(store) or done.overrides != with_overrides(store, state, at=now):
            return None
        run = store.find_run(done.run_key)
    return None if run is None else ScoringResult(run, False, done.notes)


def _last_run(store: HistoryStore) -> int:
    return max((run.run_id for run in store.runs()), default=0)


def state_of(project: Project, *, now: datetime, request: tuple[date | None, bool]) -> str | None:
    """Return a digest of all but the store that a run is made of; None where it is not in files, or cannot be read.

    The content of files counts, as an edit may keep size and time, and the time too: rather too much work than too
    little. So does the day, as rows become past and contracts begin and end.
    """
    if project.engine.name == "spark" or any(config.url for config in project.tables.values()):
        return None
    try:
        with open_engine(project.engine, base=project.data) as engine:
            marks = [list(_marks(engine, name, config)) for name, config in project.tables.items()]
        versions = tracking_of(project).versions()
    except (ChurnRiskError, OSError):
        return None  # the run itself says what is wrong
    champion = next((one for one in versions if CHAMPION in one.aliases), None)
    # a copy of the folder is in the same state
    settings = replace(project, directory=Path(), data=Path())
    return digest_of(repr((installed("churnrisk"), settings, marks, now.date(), request, champion)))


def _marks(engine: Engine, name: str, config: TableConfig) -> Iterator[object]:
    """Yield what changes with the content of a table."""
    if config.sql:
        yield engine.rows(f"select count(*), sum(hash(s)) from ({config.sql.rstrip().rstrip(';')}) s")
    ways = (config.via,) if isinstance(config.via, str | Via) else config.via
    for pattern in (config.path, *(way if isinstance(way, str) else way.path for way in ways)):
        for path in find_files(pattern, base=engine.base, table=name) if pattern else ():
            yield path.name, path.stat().st_mtime_ns, digest_of(path)


def _file_of(project: Project) -> Path:
    return project.directory / ".churnrisk" / "scored" / "last.json"
