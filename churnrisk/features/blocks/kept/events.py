"""The roll-up of the events as an earlier run has kept it, with what came since."""

from __future__ import annotations

import hashlib
from datetime import date

from churnrisk.errors import ChurnRiskError
from churnrisk.features.blocks.kept.blocks import whole_blocks, with_blocks
from churnrisk.features.blocks.kept.changes import find_changes
from churnrisk.features.blocks.kept.files import KeptFiles
from churnrisk.features.blocks.kept.manifest import KeptError, Manifest
from churnrisk.features.blocks.kept.reading import AtDate
from churnrisk.features.blocks.kept.update import Update
from churnrisk.features.blocks.rollup import Shape
from churnrisk.sources import Cache, Parts, Tables, literal


def create_from_kept(tables: Tables, key_features: tuple[str, ...]) -> bool:
    """Bring the kept roll-up up to date and create from it what the events block joins.

    Leaves ``event_windows``, ``event_users``, ``event_before`` and ``feature_sightings``.

    Returns
    -------
    bool
        False where nothing is to be kept, or nothing can be: then raw events must be read.
    """
    cache, parts = tables.cache, tables.event_parts
    if cache is None or parts is None:
        return False
    try:
        try:
            _create(tables, parts, cache, key_features)
        except KeptError as error:
            cache.say(f"rolling up all events anew: {error}")
            _create(tables, parts, cache, key_features, anew=True)
    except (OSError, ChurnRiskError, KeptError) as error:
        cache.say(f"the roll-up of the events cannot be kept ({error}); reading all events")
        return False
    return True


def _create(
    tables: Tables, parts: Parts, cache: Cache, key_features: tuple[str, ...], *, anew: bool = False
) -> None:
    files = KeptFiles(tables.engine, cache.folder)
    former = None if anew else files.read()
    start = former or Manifest(_made_from(tables, parts))
    if start.made_from != _made_from(tables, parts):
        raise KeptError("other columns, settings or version of DuckDB")
    changes = find_changes(tables, parts, start)
    if changes.wanted and former is not None:
        cache.say(f"rolling up {len(changes.rebuilt | changes.merged):,} new or changed days of events")
    manifest = Update(tables, parts, files, start).made(changes)
    changes.require_still(parts)
    shape = Shape.of(tables.available, len(manifest.features), key_features)
    dates = [row[0].date() for row in tables.engine.rows("select as_of from as_of_dates order by as_of")]
    for as_of in dates:
        manifest = with_blocks(tables.engine, files, manifest, shape, whole_blocks(manifest, as_of))
    _create_tables(tables, [AtDate(as_of, shape, files, manifest) for as_of in dates])
    _create_sightings(tables, manifest)
    # last, when every file has been found as it should be
    if manifest != former:
        files.keep(manifest, former)


def _made_from(tables: Tables, parts: Parts) -> str:
    version = tables.engine.value("select version()")
    return hashlib.sha256(f"{version} {parts.made_from}".encode()).hexdigest()


def _create_tables(tables: Tables, dates: list[AtDate]) -> None:
    engine = tables.engine
    engine.run(
        "create or replace temp table kept_keys as "
        "select a.code, k.account_key from event_accounts a join account_keys k using (account_id)"
    )
    for name, statements in {
        "event_windows": [at.windows() for at in dates],
        "event_users": [at.users() for at in dates],
        "event_before": [at.before() for at in dates],
    }.items():
        engine.run(f"create or replace temp table {name} as {' union all '.join(statements)}")


def _create_sightings(tables: Tables, manifest: Manifest) -> None:
    """Create ``feature_sightings`` from what is known of each day."""
    since: dict[int, date] = {}
    for day in manifest.days.values():
        for place, known in day.seen.items():
            since[place] = min(known, since.get(place, known))
    values = ", ".join(
        f"({literal(manifest.features[place])}, date '{first}')" for place, first in since.items()
    )
    tables.engine.run(
        "create or replace temp table feature_sightings as select s.feature, a.as_of as known_as_of "
        f"from (values {values or '(null, null::date)'}) s(feature, known) "
        "asof join as_of_dates a on a.as_of > s.known"
    )
