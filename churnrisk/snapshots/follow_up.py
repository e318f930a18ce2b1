"""What became of each row of the panel in the windows after its first, for models of time to churn."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.snapshots.churn import ChurnConfig
from churnrisk.snapshots.losses import lost_terms
from churnrisk.sources import Tables

if TYPE_CHECKING:
    import pandas as pd


def follow_up(tables: Tables, churn: ChurnConfig, *, data_end: datetime, max_windows: int) -> pd.DataFrame:
    """Return in which label window each labelled row of ``panel`` was lost, or how many it is known to have stayed.

    Window k is ``[as_of + gap + (k - 1) horizon, as_of + gap + k horizon)``: the first is the label window itself,
    and each later one is judged by the same rule. A row whose windows are not known to the end is censored there.

    Parameters
    ----------
    tables : Tables
        Opened tables whose engine holds what :func:`churnrisk.snapshots.build_panel` creates.
    churn : ChurnConfig
        The definition of churn; "labels" tell of one window only and have no follow-up.
    data_end : datetime
        The tables are complete before it.
    max_windows : int
        Later windows are not looked at.

    Returns
    -------
    DataFrame
        One row per labelled (account_id, as_of), which is the index, ordered as features are by (as_of,
        account_id): windows (how many are known; the last is the one of the loss) and churned (whether it was lost in
        that one). Rows that were lost within the gap have 0 windows.
    """
    lost = {"contractual": _lost_terms, "inactivity": _silences}[churn.definition](tables, churn, max_windows)
    frame: pd.DataFrame = tables.engine.arrow(
        f"select p.account_id, p.as_of, least(coalesce(l.stayed, {max_windows}), {max_windows}) as windows, "
        f"coalesce(l.stayed < {max_windows}, false) as churned "
        f"from panel p left join ({lost}) l on l.account_id = p.account_id and l.as_of = p.as_of "
        "where p.churned is not null order by p.as_of, p.account_id"
    ).to_pandas()
    frame = frame.set_index(["account_id", "as_of"])
    # the window of the loss counts as seen; a loss before the first window leaves nothing to see
    frame["windows"] += frame["churned"]
    gone = frame["windows"] < 1
    frame.loc[gone, "churned"] = False
    frame["windows"] = frame["windows"].clip(lower=0)
    return known_by(frame, churn, end=data_end)


def known_by(found: pd.DataFrame, churn: ChurnConfig, *, end: datetime) -> pd.DataFrame:
    """Return a follow-up as it was known before an earlier instant: what had not ended by then is censored.

    Parameters
    ----------
    found : DataFrame
        Of :func:`follow_up`.
    end : datetime
        Windows whose outcome was known later are left out.
    """
    import pandas as pd

    as_of = pd.DatetimeIndex(found.index.get_level_values("as_of"))
    first_open = churn.outcome_delay - pd.Timedelta(days=churn.horizon_days)
    passed = (pd.Timestamp(end) - as_of - first_open) // pd.Timedelta(days=churn.horizon_days)
    windows = found["windows"].clip(upper=pd.Series(passed, index=found.index).clip(lower=0))
    return pd.DataFrame(
        {"windows": windows.astype("int64"), "churned": found["churned"] & (windows == found["windows"])}
    )


def _lost_terms(tables: Tables, churn: ChurnConfig, max_windows: int) -> str:
    """(account_id, as_of, stayed): whole windows until the first loss; negative for a loss within the gap."""
    opened = f"(p.as_of + interval {churn.gap_days} day)"
    days = f"date_diff('day', {opened}, min(l.churned_at))"
    return (
        f"select p.account_id, p.as_of, cast(floor({days} / {churn.horizon_days}) as integer) as stayed "
        f"from panel p join ({lost_terms(churn)}) l on l.account_id = p.account_id and l.churned_at >= p.as_of "
        f"and l.churned_at < {opened} + interval {churn.horizon_days * max_windows} day "
        "where p.churned is not null group by p.account_id, p.as_of"
    )


def _silences(tables: Tables, churn: ChurnConfig, max_windows: int) -> str:
    """(account_id, as_of, stayed): active windows before the first silent one."""
    opened = f"p.as_of + interval {churn.gap_days} day"
    active = (
        "select distinct p.account_id, p.as_of, "
        f"cast(floor(date_diff('day', {opened}, a.day) / {churn.horizon_days}) as integer) as window_no "
        f"from panel p join activity_days a on a.account_id = p.account_id and a.day >= {opened} "
        f"and a.day < {opened} + interval {churn.horizon_days * max_windows} day where p.churned is not null"
    )
    # windows are counted from 0: their rank is their number only until the first one that is missing
    place = "row_number() over (partition by account_id, as_of order by window_no) - 1"
    ranked = f"select *, {place} as place from ({active})"
    return (
        "select p.account_id, p.as_of, count(r.place) filter (r.place = r.window_no) as stayed from panel p "
        f"left join ({ranked}) r on r.account_id = p.account_id and r.as_of = p.as_of "
        "where p.churned is not null group by p.account_id, p.as_of"
    )
