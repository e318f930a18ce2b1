"""Missed churners: the scores of every lost account 30, 60 and 90 days before the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.settings import Project
from churnrisk.snapshots import churn_dates
from churnrisk.sources import Tables
from churnrisk.store import HistoryStore, read_reasons
from churnrisk.training import Progress, checked_tables, main_families

#: Days before the loss.
LEADS = (30, 60, 90)
#: How far the nearest run may lie from a lead.
TOLERANCE_DAYS = 15
SEEN, MISSED, UNSCORED = "seen coming", "never seen coming", "never scored"
ABSENT, NO_RUN = "not in the run", "no run"
_FLAGGED = ("red", "amber")
# Smaller groups arise by chance.
_LEAST_IN_COMMON, _LEAST_RATIO = 3, 1.2
_READ = ("account_id", "name", "owner", "segment", "colour", "probability", "reasons")


@dataclass(frozen=True, slots=True)
class ScoreBefore:
    """An account's score at one run; reasons are stored for red and amber only."""

    as_of: datetime
    colour: str
    probability: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LostAccount:
    """A lost account, its scores by days before the loss, and a verdict: SEEN, MISSED or UNSCORED."""

    account_id: str
    name: str | None
    owner: str | None
    segment: str | None
    plan: str | None
    churned_at: datetime
    verdict: str
    before: Mapping[int, ScoreBefore | None]


@dataclass(frozen=True, slots=True)
class InCommon:
    """A trait that is more frequent among the missed than among the green accounts of the same runs."""

    what: str
    value: str
    missed: int
    missed_share: float
    green: int
    green_share: float
    ratio: float


@dataclass(frozen=True)
class MissedChurners:
    """The lost accounts near a run (latest loss first), and what the missed have in common (highest ratio first).

    ``colours`` counts colours, "not in the run" and "no run" by days before the loss; ``caught`` is the share of those
    with a colour that were red or amber, ``flagged`` that of all accounts of the same runs: as much a light catches
    that knows nothing. ``out_of_reach`` are lost accounts without a run near, ``green`` the green ones of these runs.
    """

    accounts: tuple[LostAccount, ...]
    colours: Mapping[int, Mapping[str, int]]
    caught: Mapping[int, float | None]
    flagged: Mapping[int, float | None]
    verdicts: Mapping[str, int]
    out_of_reach: int
    green: int
    common: tuple[InCommon, ...]
    notes: tuple[str, ...]


def missed_churners(project: Project, *, now: datetime, progress: Progress) -> MissedChurners:
    """Return what the published runs said of every lost account; rows dated after ``now`` are ignored."""
    with HistoryStore(project.store_url) as store:
        live = {run.as_of: run.run_id for run in reversed(store.runs())}
        if not live:
            raise UsageError("nothing has been scored yet. Run `churnrisk score`.")
        with checked_tables(project, now=now, progress=progress) as checked:
            progress("looking up who was lost")
            lost = churn_dates(checked.tables, project.churn, data_end=checked.span.end)
            near = _near(lost, sorted(live))
            progress("looking up what was said")
            seen, green, flagged = _look_up(store, near, live)
            verdicts = _verdicts(seen)
            plans = _plans(checked.tables)
            progress("comparing with the green")
            common, notes = _in_common(
                project, checked.tables, checked.span.end, seen, verdicts, green, plans
            )
    return MissedChurners(
        accounts=_accounts(seen, verdicts, plans),
        colours={lead: _counts(seen.loc[seen["lead"] == lead, "colour"]) for lead in LEADS},
        caught={lead: _flagged_share(seen.loc[seen["lead"] == lead, "colour"]) for lead in LEADS},
        flagged={lead: _mean_share(seen.loc[seen["lead"] == lead], flagged) for lead in LEADS},
        verdicts=_counts(verdicts),
        out_of_reach=len(lost) - len(verdicts),
        green=len(green),
        common=common,
        notes=(*_missing_runs(near, sorted(live), checked.span.start), *notes),
    )


def _near(lost: pd.DataFrame, as_ofs: list[datetime]) -> pd.DataFrame:
    """Return one row per lost account and lead: account_id, churned_at, lead, target, as_of of the nearest run."""
    runs = pd.DataFrame({"as_of": pd.to_datetime(as_ofs).astype("datetime64[us]")})
    rows = lost.merge(pd.DataFrame({"lead": LEADS}), how="cross")
    rows["churned_at"] = rows["churned_at"].astype("datetime64[us]")
    rows["target"] = (rows["churned_at"] - pd.to_timedelta(rows["lead"], unit="D")).astype("datetime64[us]")
    return pd.merge_asof(
        rows.sort_values("target", kind="stable"),
        runs,
        left_on="target",
        right_on="as_of",
        direction="nearest",
        tolerance=pd.Timedelta(days=TOLERANCE_DAYS),
    )


def _look_up(
    store: HistoryStore, near: pd.DataFrame, live: Mapping[datetime, int]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[pd.Timestamp, float | None]]:
    """Return ``near`` with the scores, the accounts last green in these runs, and the share flagged in each."""
    parts, greens, flagged = [near[near["as_of"].isna()]], [], {}
    for as_of, group in near.dropna(subset="as_of").groupby("as_of"):
        moment = pd.Timestamp(str(as_of))
        scores = store.scores(live[moment.to_pydatetime()], columns=_READ)
        parts.append(group.merge(scores, on="account_id", how="left"))
        parts[-1]["colour"] = parts[-1]["colour"].fillna(ABSENT)
        flagged[moment] = _flagged_share(scores["colour"])
        greens.append(scores.loc[scores["colour"] == "green", ["account_id", "segment"]].assign(as_of=moment))
    seen = pd.concat([part for part in parts if len(part)] or [near.reindex(columns=[*near, *_READ[1:]])])
    seen = seen.reindex(columns=[*near.columns, *_READ[1:]])
    seen["colour"] = seen["colour"].astype(object).where(seen["colour"].notna(), NO_RUN)
    green = pd.concat(greens) if greens else pd.DataFrame(columns=["account_id", "segment", "as_of"])
    return seen.reset_index(drop=True), green.drop_duplicates("account_id", keep="last"), flagged


def _flagged_share(colours: pd.Series) -> float | None:
    """Return the share of red and amber among those with a colour; None without any."""
    coloured = colours[colours.isin([*_FLAGGED, "green"])]
    return float(coloured.isin(_FLAGGED).mean()) if len(coloured) else None


def _mean_share(seen: pd.DataFrame, flagged: Mapping[pd.Timestamp, float | None]) -> float | None:
    """Return the share flagged in the runs that lost accounts had a colour in, each weighted with their number."""
    shares = seen.loc[seen["colour"].isin([*_FLAGGED, "green"]), "as_of"].map(flagged)
    return float(shares.mean()) if len(shares) else None


def _verdicts(seen: pd.DataFrame) -> pd.Series:
    """Return the verdict of each lost account near a run, indexed by account id."""
    within = seen[seen["colour"] != NO_RUN]
    by_account = within.groupby("account_id")["colour"]
    warned = by_account.agg(lambda colours: bool(colours.isin(_FLAGGED).any())).astype(bool)
    green = by_account.agg(lambda colours: bool((colours == "green").any())).astype(bool)
    verdicts = np.where(warned, SEEN, np.where(green, MISSED, UNSCORED))
    return pd.Series(verdicts, index=warned.index, dtype=object)


def _in_common(
    project: Project,
    tables: Tables,
    data_end: datetime,
    seen: pd.DataFrame,
    verdicts: pd.Series,
    green: pd.DataFrame,
    plans: pd.Series,
) -> tuple[tuple[InCommon, ...], tuple[str, ...]]:
    missed = green[green["account_id"].isin(verdicts.index[verdicts == MISSED])]
    if missed.empty:
        return (), ()
    families, notes = main_families(project, tables, green, always=missed["account_id"], data_end=data_end)
    known = {
        "segment": green.set_index("account_id")["segment"],
        "plan": plans.reindex(green["account_id"]),
        "main signals": families,
    }
    found = [
        shared
        for what, values in known.items()
        for shared in _over_represented(what, values.dropna(), missed["account_id"])
    ]
    return tuple(sorted(found, key=lambda shared: -shared.ratio)), notes


def _over_represented(what: str, values: pd.Series, missed: pd.Series) -> list[InCommon]:
    among_missed = values[values.index.isin(missed)]
    if among_missed.empty:
        return []
    here, everywhere = among_missed.value_counts(), values.value_counts()
    shares, usual = here / len(among_missed), everywhere / len(values)
    ratios = (shares / usual.reindex(shares.index)).rename("ratio")
    keep = ratios[(ratios >= _LEAST_RATIO) & (here >= _LEAST_IN_COMMON)].index
    return [
        InCommon(
            what,
            str(value),
            missed=int(here[value]),
            missed_share=float(shares[value]),
            green=int(everywhere[value]),
            green_share=float(usual[value]),
            ratio=float(ratios[value]),
        )
        for value in keep
    ]


def _plans(tables: Tables) -> pd.Series:
    """Return the last plan on record per account; empty where the tables hold none."""
    if tables.available.has("subscriptions.plan"):
        query = "select account_id, arg_max(plan, started_at) as plan from subscriptions group by account_id"
    elif tables.available.has("accounts.plan"):
        query = "select account_id, plan from accounts"
    else:
        return pd.Series(dtype=object)
    return tables.engine.frame(query).set_index("account_id")["plan"].astype(object)


def _accounts(seen: pd.DataFrame, verdicts: pd.Series, plans: pd.Series) -> tuple[LostAccount, ...]:
    """Return the lost accounts near a run, with the last known name, owner and segment."""
    table = seen[seen["account_id"].isin(verdicts.index)].sort_values("lead").astype(object)
    table = table.where(table.notna(), None)
    grouped = [(str(account), group.to_dict("records")) for account, group in table.groupby("account_id")]
    plan = plans.astype(object).where(plans.notna(), None).to_dict()
    lost = [
        LostAccount(
            account_id=account,
            churned_at=rows[0]["churned_at"],
            verdict=str(verdicts[account]),
            plan=plan.get(account),
            before={int(row["lead"]): _score_before(row) for row in rows},
            **{
                name: next((row[name] for row in rows if row[name]), None)
                for name in ("name", "owner", "segment")
            },
        )
        for account, rows in grouped
    ]
    return tuple(sorted(lost, key=lambda one: (one.churned_at, one.account_id), reverse=True))


def _score_before(row: Mapping[Any, Any]) -> ScoreBefore | None:
    as_of, probability = row["as_of"], row["probability"]
    if not isinstance(as_of, datetime):
        return None
    reasons = tuple(reason.text for reason in read_reasons(row["reasons"]))
    return ScoreBefore(as_of, str(row["colour"]), probability, reasons)


def _counts(values: pd.Series) -> dict[str, int]:
    return {str(value): int(count) for value, count in values.value_counts().items()}


def _missing_runs(near: pd.DataFrame, as_ofs: list[datetime], start: datetime) -> tuple[str, ...]:
    """Return a note on how many accounts lack a run, and which as-of dates would help most."""
    if near.empty:
        return ("no account has been lost as far as the tables tell, so there is nothing to look up",)
    absent = near[near["as_of"].isna()]
    if absent.empty:
        return ()
    targets = absent.loc[absent["target"] >= pd.Timestamp(start) + pd.DateOffset(months=1), "target"]
    months = targets.dt.strftime("%Y-%m-15").value_counts().head(3)
    commands = ", ".join(f"`churnrisk score --as-of {month}`" for month in months.index)
    advice = (
        f". Runs of these dates would show most of them: {commands} (with today's model, which knows more than the "
        "one of that day did)"
    )
    return (
        f"{absent['account_id'].nunique():,} of {near['account_id'].nunique():,} lost accounts lack a run within "
        f"{TOLERANCE_DAYS} days of {', '.join(map(str, LEADS))} days before; the {len(as_ofs)} runs reach from "
        f"{as_ofs[0]:%Y-%m-%d} to {as_ofs[-1]:%Y-%m-%d}" + (advice if commands else ""),
    )
