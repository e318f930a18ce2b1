"""Nobody is approached twice for the same thing, nor too often on the same channel, across runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.bool_]
_DAY = pd.Timedelta(days=1)


def may_go_out(
    candidates: pd.DataFrame,
    past: pd.DataFrame,
    *,
    now: datetime,
    cooldowns: Mapping[str, int],
    channels: Mapping[str, int],
    default_cooldown: int,
) -> Mask:
    """Return which candidates may be handed out now, shape (candidates,).

    A candidate waits while the same play went to the account less than its cooldown away from now, or
    any play went to it on the same channel less than the channel's days away. "Away" counts in both
    directions, so a clock that was set back cannot send twice. Of several candidates for one account
    and play, or account and limited channel, the first goes.

    Parameters
    ----------
    candidates : DataFrame of shape (candidates, …)
        ``account_id``, ``play``, ``channel``; the most urgent first.
    past : DataFrame of shape (actions, …)
        The same and ``handed_out_at``.
    now : datetime
        The instant of handing out.
    cooldowns : mapping of play to days
        Of the playbook.
    channels : mapping of channel to days
        Of the playbook; 0 and unnamed channels have no limit.
    default_cooldown : int
        Days for a play that the playbook does not hold.
    """
    age = (pd.to_datetime(past["handed_out_at"]) - pd.Timestamp(now)).abs()
    rests = past["play"].map(dict(cooldowns)).astype(float).fillna(default_cooldown) * _DAY
    limits = past["channel"].map(dict(channels)).astype(float).fillna(0) * _DAY
    waits = _among(candidates, past[(age < rests).to_numpy()], "play")
    waits |= _among(candidates, past[(age < limits).to_numpy()], "channel")
    free = candidates[~waits]
    limited = free["channel"].map(dict(channels)).astype(float).fillna(0).to_numpy() > 0
    same_play = free.duplicated(["account_id", "play"]).to_numpy()
    repeated = same_play | (free.duplicated(["account_id", "channel"]).to_numpy() & limited)
    goes = ~waits
    goes[np.flatnonzero(goes)[repeated]] = False
    return goes


def _among(candidates: pd.DataFrame, resting: pd.DataFrame, column: str) -> Mask:
    """Return which candidates share account and ``column`` with a resting action."""
    keys = ["account_id", column]
    known = pd.MultiIndex.from_frame(resting[keys].astype(object))
    return np.asarray(pd.MultiIndex.from_frame(candidates[keys].astype(object)).isin(known), dtype=bool)
