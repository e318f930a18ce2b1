"""What happens after a run is published: every sink of the registry is called once, and none can fail the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from churnrisk.records import Run
from churnrisk.settings import Project
from churnrisk.store import HistoryStore, Withdrawal, read_totals


@dataclass(frozen=True)
class RunChanges:
    """What a run changed: ``newly`` counts accounts with a new colour, ``withdrawn`` are broken promises."""

    previous: Run | None
    newly: Mapping[str, int]
    withdrawn: tuple[Withdrawal, ...] = ()


class Sink(Protocol):
    """Something that happens after a run is published, such as a message or a row in another system.

    A run published again is no new run, so a sink sees each run once; runs of past dates are published too.

    Parameters
    ----------
    project : Project
        Its settings and folder.
    run : Run
        The published run with its accounts by colour.
    changes : RunChanges
        What is new since the previous run.

    Raises
    ------
    Exception
        Any: the run stays published, and the result of the scoring has one note.
    """

    def __call__(self, project: Project, run: Run, changes: RunChanges) -> None:
        """Act on a published run."""


#: The registry: write a sink in a file of its own, and add it here under the name that messages give it.
SINKS: dict[str, Sink] = {}


def after_publish(
    project: Project, store: HistoryStore, run: Run, withdrawn: tuple[Withdrawal, ...] = ()
) -> tuple[str, ...]:
    """Call every sink and return a note for each that failed."""
    if not SINKS:
        return ()
    changes, notes = _changes(store, run, withdrawn), []
    for name, sink in SINKS.items():
        try:
            sink(project, run, changes)
        except Exception as error:
            notes.append(f"run {run.run_id} is published, but {name} failed after it: {error}")
    return tuple(notes)


def _changes(store: HistoryStore, run: Run, withdrawn: tuple[Withdrawal, ...]) -> RunChanges:
    newly: dict[str, int] = {}
    with store.database.reading() as connection:
        for sums in read_totals(connection, [run.run_id]):
            newly[sums.colour] = newly.get(sums.colour, 0) + sums.newly
    return RunChanges(store.latest_run(before=run.as_of), newly, withdrawn)
