"""Levers: what a customer-success team can change about an account, and what that does to its signals.

A lever replaces prepared columns of the blocks, so every feature over them follows by its own SQL, the user's
own included: resolving a complaint closes it, lowers the worst open severity and lengthens the mean time to
resolution at once. The past stays: no lever takes back complaints made, a change of owner or money paid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING

from churnrisk.contract import Available, identifier, timestamp_literal
from churnrisk.features.catalogue import FeatureConfig
from churnrisk.records import Feature
from churnrisk.sources import Engine

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Accounts whose levers are applied at once, each with its doses.
CHUNK = 50_000

_YESTERDAY = "cast(as_of as date) - 1"
_NEW_DAY = f"case when last_day = {_YESTERDAY} then 0 else 1 end"
#: Events of the account on one of its active days, and of one of its people in 30 days.
_A_DAY = "greatest(coalesce(round(events_365 / nullif(active_days_365, 0)::double), 1), 1)::bigint"
_A_PERSON = "greatest(coalesce(round(user_events_30 / nullif(users_30, 0)::double), 1), 1)::bigint"


@dataclass(frozen=True)
class Lever:
    """One thing the team can bring about; ``text`` and ``texts`` say it for ``{n}`` of 1 and of more.

    ``sets`` maps prepared columns to SQL for their values afterwards, over those before, where ``{n}`` is the dose,
    from small to large; ``when`` is SQL for where there is something to change. ``aims`` are the features to
    change, which must stay within what retained accounts show. The feature ``count``, if any, stands for ``{n}`` in the
    text. ``requires`` names tables and columns, as "table" or "table.column".
    """

    name: str
    text: str
    texts: str
    sets: Mapping[str, str]
    when: str
    aims: tuple[str, ...]
    doses: tuple[int, ...] = (1,)
    count: str = ""
    requires: tuple[str, ...] = ()

    def step(self, n: int) -> str:
        """Return what to do: "get 2 more people active"."""
        return (self.text if n == 1 else self.texts).format(n=n)


def _used(events: str, days: str) -> dict[str, str]:
    """Add events of the busiest person, in a feature in use, on new active days of the last week, up to yesterday."""
    quantity = f"{events} * coalesce(quantity_365 / nullif(events_365, 0)::double, 0)"
    used = {f"events_{span}": events for span in (7, 30, 90, 365)}
    used |= {f"quantity_{span}": quantity for span in (30, 90, 365)}
    used |= {f"active_days_{span}": days for span in (7, 30, 90, 180, 365)}
    used |= {"user_events_30": events, "top_user_events_30": events}
    return {column: _more(column, amount) for column, amount in used.items()} | {
        "last_day": _YESTERDAY,
        "first_day_365": f"coalesce(first_day_365, cast(as_of as date) - ({days}))",
        "users_30": "greatest(coalesce(users_30, 0), 1)",
        **_back_in_use(),
    }


def _back_in_use() -> dict[str, str]:
    """Put one product feature back in use where none was used for 30 days."""
    idle = "coalesce(features_30, 0) = 0"
    known = "coalesce(features_dropped, 0) > 0"
    return {f"features_{span}": f"greatest(coalesce(features_{span}, 0), 1)" for span in (7, 30, 90)} | {
        "features_dropped": f"coalesce(features_dropped, 0) - case when {idle} and {known} then 1 else 0 end",
        "features_adopted": _more("features_adopted", f"case when {idle} and not {known} then 1 else 0 end"),
    }


def _more(column: str, amount: str) -> str:
    return f"coalesce({column}, 0) + {amount}"


def _key_lever(name: str, position: int) -> Lever:
    """Return the lever "use again" of one of the project's key features."""
    last = f"last_key_{position}"
    before_30 = f"case when {last} >= cast(as_of as date) - 30 then 0 else 1 end"
    before_90 = f"case when {last} >= cast(as_of as date) - 90 then 0 else 1 end"
    return Lever(
        f"use {name}",
        f"get them to use {name} again",
        f"get them to use {name} again",
        _used("1", _NEW_DAY)
        | {
            last: _YESTERDAY,
            "features_7": _more("features_7", "1"),
            "features_30": _more("features_30", before_30),
            "features_90": _more("features_90", before_90),
            "features_adopted": _more("features_adopted", before_90),
            "features_dropped": _more("features_dropped", f"({before_90}) - ({before_30})"),
        },
        f"({last} is null or {last} < cast(as_of as date) - 7)",
        (f"days_since_{name}", "features_30"),
        requires=("events.feature",),
    )


#: In order of preference: what is owed to the customer first.
LEVERS = (
    Lever(
        "resolve complaints", "resolve the open complaint", "resolve the {n} open complaints",
        {
            "open_complaints": "0",
            "worst_open_severity": "null::double",
            "oldest_open_at": "null::timestamp",
            "resolutions": _more("resolutions", "open_complaints"),
            # as if all were as old as the oldest: exact for one, and never too hopeful
            "resolution_seconds": _more(
                "resolution_seconds", "open_complaints * date_diff('second', oldest_open_at, as_of)"
            ),
        },
        "open_complaints >= 1", ("open_complaints",), count="open_complaints",
        requires=("complaints.resolved_at",),
    ),
    Lever(
        "return", "get them back into the product, on one day of a week",
        "get them back into the product, on {n} days of a week",
        _used(f"{{n}} * {_A_DAY}", "{n}"), "coalesce(active_days_7, 0) = 0",
        ("active_days_7", "active_days_30"), doses=(1, 2, 4), requires=("events",),
    ),
    Lever(
        "more days", "get them active on one more day a week", "get them active on {n} more days a week",
        _used(f"{{n}} * {_A_DAY}", "{n}"), "active_days_7 >= 1 and active_days_7 + {n} <= 7",
        ("active_days_7", "active_days_30"), doses=(1, 2, 3), requires=("events",),
    ),
    Lever(
        "more people", "get one more person active", "get {n} more people active",
        _used(f"{{n}} * {_A_PERSON}", _NEW_DAY)
        | {
            "users_30": _more("users_30", "{n}"),
            "top_user_events_30": f"greatest(coalesce(top_user_events_30, 0), {_A_PERSON})",
        },
        "true", ("users_30", "seats_used_share"), doses=(1, 2, 4), requires=("events.user_id",),
    ),
    Lever(
        "resume features", "bring back one product feature that they stopped using",
        "bring back {n} product features that they stopped using",
        _used("{n}", _NEW_DAY)
        | {
            "features_7": _more("features_7", "{n}"),
            "features_30": _more("features_30", "{n}"),
            "features_90": "features_90",
            "features_dropped": "features_dropped - {n}",
            "features_adopted": "features_adopted",
        },
        "features_dropped >= {n}", ("features_30", "features_dropped"), doses=(1, 2, 4),
        requires=("events.feature",),
    ),
    Lever(
        "wider use", "get them to take up one more product feature",
        "get them to take up {n} more product features",
        _used("{n}", _NEW_DAY)
        | {f"features_{span}": _more(f"features_{span}", "{n}") for span in (7, 30, 90)}
        | {"features_adopted": _more("features_adopted", "{n}"), "features_dropped": "coalesce(features_dropped, 0)"},
        "coalesce(features_90, 0) + {n} <= known_features", ("features_30", "features_adopted"), doses=(1, 2, 3),
        requires=("events.feature",),
    ),
    Lever(
        "more contacts", "get to know one more person at the customer",
        "get to know {n} more people at the customer",
        {"contacts": "contacts + {n}"}, "contacts is not null", ("contacts",), doses=(1, 2),
        requires=("attributes.contacts",),
    ),
    Lever(
        "better answer", "", "win back at least {n} of 10 in a new survey answer",
        {"previous_score": "last_score", "last_score": "{n}", "last_answer_at": "as_of - interval 1 day"},
        "last_score <= 6", ("last_survey_score",), doses=(7, 8), requires=("surveys",),
    ),
)  # fmt: skip


def pairs_of(levers: Sequence[Lever]) -> tuple[tuple[Lever, Lever], ...]:
    """Return the pairs to apply together; two that aim at the same feature are not worth a pair."""
    return tuple((a, b) for a, b in combinations(levers, 2) if not set(a.aims) & set(b.aims))


def select_levers(config: FeatureConfig, available: Available) -> tuple[Lever, ...]:
    """Return the levers that the tables can feed, in order of preference."""
    offered = (*LEVERS, *(_key_lever(name, place) for place, name in enumerate(config.key_features)))
    return tuple(lever for lever in offered if all(available.has(need) for need in lever.requires))


class LeverEffects:
    """The features of some accounts at one as-of date after levers; a place is a position in ``accounts``."""

    def __init__(
        self, engine: Engine, inputs: str, features: Sequence[Feature], accounts: pd.Index, *, as_of: datetime
    ) -> None:
        self._engine, self._features = engine, features
        self._count = len(accounts)
        places = accounts.to_frame(index=False, name="account_id").assign(place=range(len(accounts)))
        self._engine.table_from("lever_accounts", places)
        self._engine.run(
            f"create or replace temp table lever_inputs as select i.*, l.place from {inputs} i "
            f"join lever_accounts l using (account_id) where i.as_of = {timestamp_literal(as_of)}"
        )

    def features(
        self, levers: Sequence[Lever], doses: Sequence[pa.Table | None] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the features that the levers change, applied one after the other, in chunks of accounts.

        ``doses`` says what to try of each lever (columns ``place`` and ``dose``); None tries every dose on everyone.
        A frame has one row per account and dose of each lever, in no order: place, dose_0 (dose_1 …) and features.
        """
        touched = influenced(self._features, levers)
        names = "".join(f", dose_{i}" for i in range(len(levers)))
        columns = "".join(f", ({feature.sql})::double as {identifier(feature.name)}" for feature in touched)
        offered = [self._doses(i, table) for i, table in enumerate(doses or [None] * len(levers))]
        for start in range(0, self._count, CHUNK):
            source = f"(select * from lever_inputs where place >= {start} and place < {start + CHUNK})"
            for i, lever in enumerate(levers):
                source = _applied(source, lever, f"dose_{i}", offered[i])
            yield self._engine.frame(f"select place{names}{columns} from {source}")

    def _doses(self, i: int, table: pa.Table | None) -> str | None:
        if table is None:
            return None
        self._engine.table_from(f"lever_doses_{i}", table)
        return f"lever_doses_{i}"


def _applied(source: str, lever: Lever, dose: str, doses: str | None) -> str:
    replaced = ", ".join(f"{sql.format(n=dose)} as {name}" for name, sql in lever.sets.items())
    if doses is None:
        values = ", ".join(f"({n})" for n in lever.doses)
        dosed = f"cross join (values {values}) d({dose})"
    else:
        dosed = f"join (select place, dose as {dose} from {doses}) using (place)"
    return f"(select * replace ({replaced}) from {source} {dosed} where {lever.when.format(n=dose)})"


def influenced(features: Sequence[Feature], levers: Iterable[Lever]) -> tuple[Feature, ...]:
    """Return the numeric features whose SQL reads a column that one of the levers changes."""
    names = {name for lever in levers for name in lever.sets}
    return tuple(
        feature
        for feature in features
        if not feature.categorical and names & set(re.findall(r"[A-Za-z_]\w*", feature.sql))
    )
