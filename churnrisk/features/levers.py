"""Levers: what a customer-success team can change about an account, and what that does to its signals.

A lever replaces prepared columns of the blocks, so every feature over them follows by its own SQL, the user's
own included: resolving a complaint closes it, lowers the worst open severity and lengthens the mean time to
resolution at once. The past stays: complaints made, an owner that changed and money paid are no lever's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from churnrisk.contract import Available
from churnrisk.features.catalogue import FeatureConfig

_YESTERDAY = "cast(as_of as date) - 1"
_NEW_DAY = f"case when last_day = {_YESTERDAY} then 0 else 1 end"
#: Events of the account on one of its active days, and of one of its people in 30 days.
_A_DAY = "greatest(coalesce(round(events_365 / nullif(active_days_365, 0)::double), 1), 1)::bigint"
_A_PERSON = "greatest(coalesce(round(user_events_30 / nullif(users_30, 0)::double), 1), 1)::bigint"


@dataclass(frozen=True)
class Lever:
    """One thing the team can bring about, declared once.

    Attributes
    ----------
    name : str
        Unique.
    text, texts : str
        What to do, for ``{n}`` of 1 and of more: "resolve the open complaint".
    sets : mapping of str to str
        SQL by prepared column: its value afterwards, over the values before; ``{n}`` is the dose.
    when : str
        SQL over the same columns: where there is something to change.
    aims : tuple of str
        Features that it is about. They must stay within what retained accounts show.
    doses : tuple of int
        How much of it, smallest first.
    count : str
        A feature whose value ``{n}`` tells instead of the dose.
    requires : tuple of str
        Tables and columns it needs, as "table" or "table.column".
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

    def tell(self, n: int) -> str:
        """Return what to do, in words: "get 2 more people active"."""
        return (self.text if n == 1 else self.texts).format(n=n)


def _used(events: str, days: str) -> dict[str, str]:
    """Return what so many more events on so many new active days of the last week do, the last one yesterday.

    They are of the account's busiest person, and of a product feature that it uses already, if it uses any.
    """
    sets = {f"events_{span}": f"coalesce(events_{span}, 0) + {events}" for span in (7, 30, 90, 365)}
    sets |= {
        f"quantity_{span}": f"coalesce(quantity_{span}, 0) "
        f"+ {events} * coalesce(quantity_365 / nullif(events_365, 0)::double, 0)"
        for span in (7, 30, 90, 365)
        if span != 7
    }
    sets |= {
        f"active_days_{span}": f"coalesce(active_days_{span}, 0) + {days}" for span in (7, 30, 90, 180, 365)
    }
    sets |= {
        "last_day": _YESTERDAY,
        "first_day_365": f"coalesce(first_day_365, cast(as_of as date) - ({days}))",
        "users_30": "greatest(coalesce(users_30, 0), 1)",
        "user_events_30": f"coalesce(user_events_30, 0) + {events}",
        "top_user_events_30": f"coalesce(top_user_events_30, 0) + {events}",
    }
    return sets | _back_in_use()


def _back_in_use() -> dict[str, str]:
    """Return what happens to the product features of an account that used none for 30 days."""
    idle = "coalesce(features_30, 0) = 0"
    known = "coalesce(features_dropped, 0) > 0"
    return {
        **{f"features_{span}": f"greatest(coalesce(features_{span}, 0), 1)" for span in (7, 30, 90)},
        "features_dropped": f"coalesce(features_dropped, 0) - case when {idle} and {known} then 1 else 0 end",
        "features_adopted": f"coalesce(features_adopted, 0) + case when {idle} and not {known} then 1 else 0 end",
    }


def _more(column: str, amount: str) -> str:
    return f"coalesce({column}, 0) + {amount}"


def _key_lever(name: str, position: int) -> Lever:
    """Return the lever that one product feature, named as key by the user, is used again."""
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


#: In the order of preference: what is owed to the customer first.
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
    """Return the pairs of levers to pull together; two about one signal are the same thing said twice."""
    return tuple((a, b) for a, b in combinations(levers, 2) if not set(a.aims) & set(b.aims))


def select_levers(config: FeatureConfig, available: Available) -> tuple[Lever, ...]:
    """Return the levers that the tables can feed, in order of preference."""
    offered = (*LEVERS, *(_key_lever(name, place) for place, name in enumerate(config.key_features)))
    return tuple(lever for lever in offered if all(available.has(need) for need in lever.requires))
