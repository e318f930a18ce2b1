"""Blocks of kept days added up per account: what lies long ago is read in few rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

from churnrisk.features.blocks.kept.files import KeptFiles
from churnrisk.features.blocks.kept.manifest import KeptBlock, Manifest
from churnrisk.features.blocks.rollup import BITS, DETAIL_DAYS, HISTORY_DAYS, Shape
from churnrisk.sources import Engine

BLOCK_DAYS = 28
_ZERO = "date '0001-01-01'"
#: :func:`block_of` in SQL.
_BLOCK = f"({_ZERO} + ((day - {_ZERO}) // {BLOCK_DAYS} * {BLOCK_DAYS})::int)"


def block_of(day: date) -> date:
    """Return the first day of the block that a day lies in."""
    return date.fromordinal((day.toordinal() - 1) // BLOCK_DAYS * BLOCK_DAYS + 1)


def whole_blocks(manifest: Manifest, as_of: date) -> dict[date, tuple[date, ...]]:
    """Return the blocks before the detail that no window of a date cuts, each with the days that it has."""
    days: dict[date, list[date]] = {}
    for day in sorted(manifest.days):
        days.setdefault(block_of(day), []).append(day)
    edges = [as_of - timedelta(days=edge) for edge in (HISTORY_DAYS, 180, DETAIL_DAYS)]
    return {
        first: tuple(of_block)
        for first, of_block in days.items()
        if first + timedelta(days=BLOCK_DAYS) <= edges[-1]
        and not any(first < edge < first + timedelta(days=BLOCK_DAYS) for edge in edges)
    }


def with_blocks(
    engine: Engine, files: KeptFiles, manifest: Manifest, shape: Shape, wanted: dict[date, tuple[date, ...]]
) -> Manifest:
    """Return the manifest with the wanted blocks, made of the kept days where they are missing or stale."""
    origins = {first: _origin(manifest, days, shape) for first, days in wanted.items()}
    stale = [
        first
        for first, origin in origins.items()
        if first not in manifest.blocks or manifest.blocks[first].made_from != origin
    ]
    if not stale:
        return manifest
    rows = files.rows(file for first in stale for day in wanted[first] for file in manifest.days[day].files)
    added_up = f"select * from ({_added_up(rows, shape, manifest.features)}) order by block, account_id"
    written = files.write(added_up, by="block")
    made = {first: KeptBlock(origins[first], written[f"{first}"]) for first in stale}
    return replace(manifest, blocks=manifest.blocks | made)


def _origin(manifest: Manifest, days: tuple[date, ...], shape: Shape) -> str:
    made_of = [file.digest for day in days for file in manifest.days[day].files]
    return hashlib.sha256(repr((made_of, shape.key_features)).encode()).hexdigest()


def _added_up(rows: str, shape: Shape, features: tuple[str, ...]) -> str:
    """Add up people and days. What was recorded within the block was known from its last day on: no date is inside."""
    known = f", greatest(known, {_BLOCK} + {BLOCK_DAYS - 1}) as known" if shape.late else ""
    amount = ", sum(quantity) as quantity" if shape.quantity else ""
    return (
        f"select account_id, {_BLOCK} as block{known}, sum(n)::bigint as n{amount}, "
        f"bit_or(1::bigint << (day - {_BLOCK})::int) as days, min(day) as first_day, max(day) as last_day"
        + "".join(f", max({last}) as last_key_{i}" for i, last in enumerate(last_keys(shape, features)))
        + f" from {rows} e group by all"
    )


def last_keys(shape: Shape, features: tuple[str, ...]) -> Iterator[str]:
    """Yield per key feature the day of a kept row ``e`` on which it was used, else null."""
    for name in shape.key_features:
        if name not in features:
            yield "null::date"
            continue
        place = features.index(name)
        yield f"case when e.mask_{place // BITS} & {1 << place % BITS} <> 0 then e.day end"
