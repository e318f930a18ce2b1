"""Small random worlds as plain Python rows, and how to open them as a project's tables."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from churnrisk.contract import TABLES
from churnrisk.sources import Engine, EngineConfig, TableConfig, Tables, open_tables

Row = dict[str, Any]

DAY = timedelta(days=1)
START = datetime(2025, 1, 1)
#: Worlds reach from START for so many days.
WORLD_DAYS = 500
#: The user's own columns in worlds.
OWN = {
    "accounts": {"region": pa.string(), "staff": pa.float64()},
    "attributes": {"tier": pa.string(), "load": pa.float64(), "trial": pa.bool_()},
}
_ARROW = {
    "id": pa.string(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us"),
    "number": pa.float64(),
    "integer": pa.int64(),
    "score": pa.float64(),
    "severity": pa.float64(),
    "boolean": pa.bool_(),
}


@dataclass(frozen=True)
class World:
    """Rows per contract table; every row has every column, None where it is unknown."""

    tables: Mapping[str, Sequence[Row]]
    #: "table" or "table.column" that the project does not have.
    absent: Collection[str] = field(default=frozenset())

    def rows(self, table: str) -> Sequence[Row]:
        return self.tables.get(table, ())

    def without(self, *absent: str) -> World:
        return replace(self, absent=frozenset({*self.absent, *absent}))

    def with_rows(self, **tables: Sequence[Row]) -> World:
        return replace(self, tables={**self.tables, **tables})

    def shuffled(self, seed: int) -> World:
        rng = random.Random(seed)
        return self.with_rows(**{name: rng.sample(rows, len(rows)) for name, rows in self.tables.items()})


def columns(table: str) -> dict[str, pa.DataType]:
    """All columns of a world's table with their types."""
    declared = {column.name: _ARROW[column.type] for column in TABLES[table].columns}
    return declared | OWN.get(table, {})


def row(table: str, **values: Any) -> Row:
    """Return a full row, None where no value is given."""
    unknown = set(values) - set(columns(table))
    assert not unknown, f"{table} has no columns {unknown}"
    return dict.fromkeys(columns(table)) | values


def arrow(world: World, table: str) -> pa.Table:
    """Return one table of a world, without its absent columns."""
    kept = {name: type_ for name, type_ in columns(table).items() if f"{table}.{name}" not in world.absent}
    arrays = [pa.array([row[name] for row in world.rows(table)], type_) for name, type_ in kept.items()]
    return pa.table(arrays, names=list(kept))


@contextmanager
def opened(world: World, base: Path | None = None) -> Iterator[Tables]:
    """Open a world as a project's tables."""
    with Engine(EngineConfig(threads=1), base=base or Path.cwd()) as engine:
        configs: dict[str, TableConfig] = {}
        for table in world.tables:
            if table not in world.absent:
                engine.table_from(f"world_{table}", arrow(world, table))
                configs[table] = TableConfig(sql=f"select * from world_{table}")
        yield open_tables(engine, configs)


def moment(rng: random.Random, low: int = 0, high: int = WORLD_DAYS) -> datetime:
    """Draw a time of the world; many fall on 00:00, where off-by-one errors live."""
    midnight = START + rng.randrange(low, high) * DAY
    return midnight + timedelta(seconds=rng.choice((0, 0, 0, 1, 43_200, 86_399)))


def maybe(rng: random.Random, share: float, value: Any) -> Any:
    return value if rng.random() < share else None


def recorded(rng: random.Random, happened: datetime) -> datetime | None:
    """Draw when a row reached the warehouse: mostly soon, sometimes late, sometimes unknown."""
    delay = rng.choice((0, 0, 0, 1, 3_600, 86_400, 40 * 86_400, -86_400))
    return maybe(rng, 0.9, happened + timedelta(seconds=delay))


def random_world(seed: int, *, accounts: int = 4, events: int = 60, features: int = 6) -> World:
    """Draw a world in which every table has rows, ids that do not match, gaps and late rows."""
    rng = random.Random(seed)
    ids = [f"A{number}" for number in range(accounts)]
    anyone = [*ids, ids[0], "stranger"]
    return World(
        {
            "accounts": [_account(rng, name) for name in ids],
            "events": [_event(rng, rng.choice(anyone), features) for _ in range(events)],
            "complaints": [_complaint(rng, rng.choice(anyone)) for _ in range(rng.randrange(1, 25))],
            "subscriptions": [_subscription(rng, rng.choice(anyone)) for _ in range(rng.randrange(1, 16))],
            "surveys": [_survey(rng, rng.choice(anyone)) for _ in range(rng.randrange(1, 12))],
            "attributes": [_attribute(rng, rng.choice(anyone)) for _ in range(rng.randrange(1, 15))],
        }
    )


def _account(rng: random.Random, name: str) -> Row:
    return row(
        "accounts",
        account_id=name,
        name=f"Company {name}",
        signed_up_at=maybe(rng, 0.8, moment(rng, 0, 300)),
        owner=rng.choice("xyz"),
        segment=rng.choice(("small", "large", None)),
        mrr=maybe(rng, 0.8, float(rng.randrange(10, 900))),
        region=rng.choice(("north", "south", None)),
        staff=maybe(rng, 0.8, float(rng.randrange(1, 5000))),
    )


def _event(rng: random.Random, account: str, features: int) -> Row:
    happened = moment(rng)
    return row(
        "events",
        account_id=account,
        occurred_at=happened,
        feature=maybe(rng, 0.85, f"f{rng.randrange(features):03}"),
        user_id=maybe(rng, 0.85, f"u{rng.randrange(4)}"),
        quantity=maybe(rng, 0.8, rng.randrange(-500, 5000) / 100),
        recorded_at=recorded(rng, happened),
    )


def _complaint(rng: random.Random, account: str) -> Row:
    # half of them close together: only then does one come back shortly after another was resolved
    opened_at = rng.choice((moment(rng), moment(rng, 170, 210)))
    return row(
        "complaints",
        account_id=account,
        opened_at=opened_at,
        resolved_at=maybe(rng, 0.7, opened_at + timedelta(hours=rng.randrange(-30, 900))),
        severity=rng.choice((1.0, 2.0, 3.0, 4.0, None)),
        category=rng.choice(("billing", "bug", None)),
        csat=maybe(rng, 0.6, float(rng.randrange(1, 6))),
        first_response_at=maybe(rng, 0.7, opened_at + timedelta(hours=rng.randrange(-5, 90))),
        recorded_at=recorded(rng, opened_at),
    )


def _subscription(rng: random.Random, account: str) -> Row:
    started = moment(rng)
    ended = maybe(rng, 0.7, started + rng.randrange(-5, 120) * DAY)
    return row(
        "subscriptions",
        account_id=account,
        started_at=started,
        ended_at=ended,
        plan=rng.choice(("basic", "pro", None)),
        mrr=maybe(rng, 0.85, rng.randrange(1_000, 90_000) / 100),
        seats=maybe(rng, 0.85, float(rng.randrange(0, 9))),
        renewal_at=maybe(rng, 0.7, started + rng.randrange(1, 400) * DAY),
        auto_renew=rng.choice((True, False, None)),
        recorded_at=recorded(rng, started),
        status=rng.choice(("active", "cancelled", "completed", None)) if ended else "active",
        cancelled_at=maybe(rng, 0.3, started + rng.randrange(-5, 120) * DAY),
    )


def _survey(rng: random.Random, account: str) -> Row:
    answered = moment(rng)
    return row(
        "surveys",
        account_id=account,
        answered_at=answered,
        score=float(rng.randrange(0, 11)),
        kind=rng.choice(("nps", "csat", None)),
        recorded_at=recorded(rng, answered),
    )


def _attribute(rng: random.Random, account: str) -> Row:
    return row(
        "attributes",
        account_id=account,
        valid_from=moment(rng),
        owner=maybe(rng, 0.8, rng.choice("xyz")),
        contacts=maybe(rng, 0.7, float(rng.randrange(0, 9))),
        tier=maybe(rng, 0.7, rng.choice(("gold", "iron"))),
        load=maybe(rng, 0.7, rng.randrange(100) / 8),
        trial=rng.choice((True, False, None)),
    )


def at(day: int) -> datetime:
    """00:00 of a day of the world."""
    return START + day * DAY


def on(text: str) -> datetime:
    """Read a time like "2025-03-01" or "2025-03-01 12:30"."""
    return datetime.fromisoformat(text)


def day_of(instant: datetime) -> date:
    return instant.date()
