"""Whether unusually many newcomers are in a snapshot, told for all of it before its parts are looked at one by one."""

from __future__ import annotations

from dataclasses import replace

from churnrisk.decision import TrafficLight
from churnrisk.sources import Engine

_ALWAYS, _NEVER = -1.0, 2.0


def has_wave(engine: Engine, light: TrafficLight, counted: str) -> bool:
    """Say whether unusually many accounts are new.

    Parameters
    ----------
    light : TrafficLight
        Knows how many newcomers are usual.
    counted : str
        The end of a query, from ``from`` on, that finds one row with ``tenure_days`` per eligible account.
    """
    newcomers = light.newcomers_
    if newcomers is None:
        return False
    new, all_of = engine.rows(
        f"select count(*) filter (where tenure_days <= {newcomers.within_days}), count(*) {counted}"
    )[0]
    return bool((new + 0.5) / (all_of + 1.0) > newcomers.usual_share)


def settled_light(light: TrafficLight, *, wave: bool) -> TrafficLight:
    """Return a light that takes any part of a snapshot as the whole of it: the wave is decided already."""
    settled = TrafficLight.from_dict(light.to_dict())
    if settled.newcomers_ is not None:
        settled.newcomers_ = replace(settled.newcomers_, usual_share=_ALWAYS if wave else _NEVER)
    return settled
