"""Published runs and their scores, whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from math import sqrt
from typing import Any, Self

import pandas as pd
import sqlalchemy as sa

from churnrisk.errors import ContractError, GuardError, UsageError
from churnrisk.files import digest_of
from churnrisk.records import Run
from churnrisk.store.database import Database, QueryCache, Result, WriteLock, insert_row
from churnrisk.store.schema import run_totals, runs, scores
from churnrisk.store.scores import frame_of, naive_utc, read_frame, write_scores
from churnrisk.store.totals import write_totals

# Three standard errors: chance alone trips the guard once in a few hundred runs.
_SPREAD = 3.0
_COLOURS = ("red", "amber", "green", "grey")
#: Ids of the live runs: the last one published for each as-of date.
LIVE = sa.select(sa.func.max(runs.c.run_id)).group_by(runs.c.as_of)
# Built once: every page needs them.
_BY_DATE = sa.select(runs).order_by(runs.c.as_of.desc(), runs.c.run_id.desc())
NEWEST = _BY_DATE.limit(1)
_NEWEST_BEFORE = NEWEST.where(runs.c.as_of < sa.bindparam("before", type_=sa.DateTime))
_BY_ID = sa.select(runs).where(runs.c.run_id == sa.bindparam("one_run", type_=sa.Integer))
Guard = Callable[[Run, Run], None]
_WAIT, _POOLED_WAIT = 60.0, 5.0
_PREVIOUS = ("colour", "raw_colour", "model_colour", "decided_by", "probability", "log_odds")


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a scoring run depends on; instants are in UTC unless they have an offset, ``published_at`` is now."""

    as_of: datetime
    published_at: datetime
    inputs_digest: str
    model_version: str
    policy_version: str
    forced_by: str | None = None

    @property
    def run_key(self) -> str:
        """Digest of as_of, inputs, model and policy: the same key is the same run."""
        as_of = naive_utc(self.as_of).isoformat()
        parts = [as_of, self.inputs_digest, self.model_version, self.policy_version]
        return digest_of(json.dumps(parts))

    def values(self) -> dict[str, Any]:
        """Return its columns of the ``runs`` table, instants in UTC."""
        instants = {"as_of": naive_utc(self.as_of), "published_at": naive_utc(self.published_at)}
        return asdict(self) | instants | {"run_key": self.run_key}


@dataclass(frozen=True, slots=True)
class Publication:
    """The published run; ``is_new`` is False when it had been published before."""

    run: Run
    is_new: bool


def check_colour_jump(
    new: Mapping[str, int], old: Mapping[str, int], limit: float = 0.20, *, since: str = "the last run"
) -> None:
    """Refuse a run in which the share of a colour changes by more than ``limit`` since an earlier run.

    A colour mix that jumps is more often a broken input than a bad week. Chance alone moves the shares of few accounts,
    so the limit is widened by three standard errors of the difference.
    """
    now, before = (sum(counts.get(colour, 0) for colour in _COLOURS) for counts in (new, old))
    if not before:
        return
    jumps = []
    for colour in _COLOURS:
        share = new.get(colour, 0) / now if now else 0.0
        old_share = old.get(colour, 0) / before
        pooled = (new.get(colour, 0) + old.get(colour, 0)) / (now + before)
        allowance = _SPREAD * sqrt(pooled * (1.0 - pooled) * (1.0 / now + 1.0 / before)) if now else 0.0
        if abs(share - old_share) > limit + allowance:
            jumps.append(f"{colour} from {old_share:.1%} to {share:.1%}")
    if jumps:
        raise GuardError(
            f"not published: {', '.join(jumps)} of all accounts since {since} ({before:,} accounts then, {now:,} "
            f"now); the limit is a change of {limit:.0%}. Look for missing or late input; if the change is real, "
            "publish with --force (in Python: forced_by)."
        )


def run_before(connection: sa.Connection, before: datetime | None) -> Run | None:
    """Return the live run of the latest as-of date (smaller than ``before``), None without one."""
    if before is None:
        return one_run(connection, NEWEST)
    return one_run(connection, _NEWEST_BEFORE, {"before": naive_utc(before)})


def one_run(
    connection: sa.Connection, query: sa.Select[Any], values: dict[str, Any] | None = None
) -> Run | None:
    """Return the first run of a query, None without one."""
    row = connection.execute(query, values or {}).first()
    return None if row is None else Run(**row._mapping)


def _by_key(connection: sa.Connection, run_key: str) -> Run | None:
    return one_run(connection, sa.select(runs).where(runs.c.run_key == run_key))


def _run(connection: sa.Connection, run_id: int) -> Run:
    run = one_run(connection, _BY_ID, {"one_run": run_id})
    if run is None:
        raise UsageError(f"expected a published run, found no run {run_id}. See the list of runs.")
    return run


class HistoryStore:
    """Runs and scores in SQLite (default) or another SQL database; opening it brings its schema up to date.

    A *live* run is the last one published for its as-of date. The *previous* run of an instant is the live run
    with the greatest smaller as-of date, whatever the order of publishing. While another process publishes it waits
    ``busy_seconds`` (SQLite). ``pooled`` keeps connections and query results for any number of threads: for a server.
    Raises UsageError for a database that cannot be opened, is damaged, or has a schema of a newer churnrisk.
    """

    def __init__(self, url: str, *, busy_seconds: float | None = None, pooled: bool = False) -> None:
        patience = busy_seconds if busy_seconds is not None else _POOLED_WAIT if pooled else _WAIT
        self.database = Database(url, busy_seconds=patience, pooled=pooled)
        self.database.prepare()
        self.query_cache = QueryCache() if pooled else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def cached(self, connection: sa.Connection, query: Hashable, compute: Callable[[], Result]) -> Result:
        """Return the cached result of a query, or compute it; without a cache always compute it."""
        if self.query_cache is None:
            return compute()
        return self.query_cache.get(connection, query, compute)

    def publish(
        self,
        run: NewRun,
        frames: pd.DataFrame | Iterable[pd.DataFrame],
        *,
        guard: Guard | None = None,
        rest: pd.DataFrame | None = None,
    ) -> Publication:
        """Publish a run with all its scores in one transaction, or return the run already published.

        A run of the same key is published only once, also by two processes at once. ``frames``, read only if the run is
        new, have one row per account with any of :data:`SCORE_COLUMNS`, texts from :func:`churnrisk.store.with_texts`.
        ``guard`` gets the new run and, one after the other, the one that it replaces and the previous one, just before
        the end; what it raises leaves everything as it was.
        ``rest``: :class:`churnrisk.store.Sums` by owner, segment and colour of scores that are stored elsewhere.
        """
        if (found := self.find_run(run.run_key)) is not None:
            return Publication(found, is_new=False)
        # each run builds on the previous one
        with self.database.writing(WriteLock.RUNS) as connection:
            if (won := _by_key(connection, run.run_key)) is not None:
                return Publication(won, is_new=False)
            return self._publish(connection, run, frames, guard, rest)

    def find_run(self, run_key: str) -> Run | None:
        """Return the published run of a key, None if there is none."""
        with self.database.reading() as connection:
            return _by_key(connection, run_key)

    def latest_run(self, before: datetime | None = None) -> Run | None:
        """Return the live run of the latest as-of date (smaller than ``before``), None if there is none."""
        with self.database.reading() as connection:
            return run_before(connection, before)

    def runs(self) -> tuple[Run, ...]:
        """Return all published runs, latest as-of date first."""
        with self.database.reading() as connection:
            return tuple(Run(**row._mapping) for row in connection.execute(_BY_DATE))

    def live_runs(self, connection: sa.Connection, as_of: datetime | None) -> tuple[Run, Run | None] | None:
        """Return the live run of an as-of date, or of the latest one, and its previous run; None without one."""
        run = one_run(connection, NEWEST if as_of is None else NEWEST.where(runs.c.as_of == as_of))
        return None if run is None else (run, run_before(connection, run.as_of))

    def runs_around(self, connection: sa.Connection, run_id: int) -> tuple[Run, Run | None]:
        """Return a run and its previous run."""
        run = _run(connection, run_id)
        return run, run_before(connection, run.as_of)

    def scores(self, run_id: int, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """Return columns of the scores of a run, one row per account, sorted by account id.

        None reads all and adds ``days_in_colour``: whole days from the first as-of date of the present colour.
        """
        picked = [scores.c[name] for name in columns] if columns is not None else list(scores.columns)
        query = sa.select(*picked).where(scores.c.run_id == run_id)
        with self.database.reading() as connection:
            run = _run(connection, run_id)
            frame = read_frame(connection, query.order_by(by_account(connection)))
        if columns is None:
            frame["days_in_colour"] = (pd.Timestamp(run.as_of) - frame["colour_since"]).dt.days
        return frame

    def batches_of(self, run_id: int, size: int) -> Iterator[pd.DataFrame]:
        """Yield account ids with colours, probability and log-odds of a run, ``size`` accounts at a time."""
        picked = sa.select(scores.c.account_id, *(scores.c[name] for name in _PREVIOUS))
        with self.database.reading() as connection:
            found = connection.execution_options(yield_per=size).execute(
                picked.where(scores.c.run_id == run_id)
            )
            for rows in found.partitions():
                yield frame_of(list(found.keys()), rows)

    def _publish(
        self,
        connection: sa.Connection,
        run: NewRun,
        frames: pd.DataFrame | Iterable[pd.DataFrame],
        guard: Guard | None,
        rest: pd.DataFrame | None,
    ) -> Publication:
        as_of = naive_utc(run.as_of)
        replaced = one_run(connection, NEWEST.where(runs.c.as_of == as_of))
        before = run_before(connection, as_of)
        run_id = insert_row(connection, runs, run.values() | _totals(Counter()) | {"accounts": 0})
        counts = write_scores(
            connection, run_id, as_of, frames, previous=before.run_id if before else None, rest=rest
        )
        if not counts.total():
            raise ContractError(
                "a run needs scores, found none. Check that accounts are eligible at this as_of."
            )
        connection.execute(
            sa.update(runs).where(runs.c.run_id == run_id).values(**_totals(counts), accounts=counts.total())
        )
        _date_later_colours(connection, as_of)
        published = _run(connection, run_id)
        for earlier in (replaced, before):
            if guard is not None and earlier is not None:
                guard(published, earlier)
        _analyze(connection)
        return Publication(published, is_new=True)


def by_account(connection: sa.Connection) -> sa.ColumnElement[str]:
    """Return the account id in byte order, as SQLite and Python sort it, whatever the server's collation."""
    if connection.dialect.name == "postgresql":
        return sa.collate(scores.c.account_id, "C")
    return scores.c.account_id


def _analyze(connection: sa.Connection) -> None:
    """Update PostgreSQL's statistics: until autovacuum does, its planner would scan whole tables."""
    if connection.dialect.name == "postgresql":
        for table in (scores, run_totals):
            connection.execute(
                sa.text(f"analyze {connection.dialect.identifier_preparer.format_table(table)}")
            )


def _date_later_colours(connection: sa.Connection, as_of: datetime) -> None:
    """Set the colour dates of later runs again, where this run is published for a date before them."""
    later = sa.select(runs.c.run_id, runs.c.as_of).where(runs.c.run_id.in_(LIVE), runs.c.as_of > as_of)
    for run_id, instant in connection.execute(later.order_by(runs.c.as_of)).all():
        connection.execute(sa.update(scores).where(scores.c.run_id == run_id).values(colour_since=instant))
        if (previous := run_before(connection, instant)) is not None:
            _carry_over(connection, previous.run_id, run_id)
        write_totals(connection, run_id, instant)


def _carry_over(connection: sa.Connection, source: int, target: int) -> None:
    old = scores.alias("old")
    connection.execute(
        sa.update(scores)
        .where(
            scores.c.run_id == target,
            old.c.run_id == source,
            old.c.account_id == scores.c.account_id,
            old.c.colour == scores.c.colour,
        )
        .values(colour_since=old.c.colour_since)
    )


def _totals(counts: Counter[str]) -> dict[str, int]:
    return {colour: counts[colour] for colour in _COLOURS}
