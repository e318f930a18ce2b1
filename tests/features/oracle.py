"""Every catalogue feature of one account at one as-of date, slowly and in plain Python."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from churnrisk.features import HISTORY_DAYS
from tests.world import Row, World

Values = dict[str, Any]


def oracle(world: World, account: str, as_of: datetime, *, key_features: tuple[str, ...]) -> Values:
    """Return feature name to value; None stands for unknown."""
    active_days_90, users_30, events = _events(world, account, as_of, key_features)
    contract = _value(world, account, as_of)
    complaints = _complaints(world, account, as_of)
    complaints["complaints_per_active_day"] = _ratio(complaints["complaints_90"], active_days_90)
    events["seats_used_share"] = _ratio(users_30, contract["seats"])
    surveys = _surveys(world, account, as_of)
    return events | contract | complaints | surveys | _attributes(world, account, as_of)


def _known(world: World, table: str, time: str, as_of: datetime) -> list[Row]:
    return [
        row
        for row in world.rows(table)
        if row[time] < as_of and (row.get("recorded_at") is None or row["recorded_at"] < as_of)
    ]


def _of(rows: list[Row], account: str) -> list[Row]:
    return [row for row in rows if row["account_id"] == account]


def _ratio(part: Any, whole: Any) -> float | None:
    return None if part is None or not whole else float(part) / float(whole)


def _trend(now: Any, before: Any) -> float | None:
    return _ratio(now - before, now + before)


def _days(later: datetime, earlier: datetime | None) -> int | None:
    return None if earlier is None else (later.date() - earlier.date()).days


def _events(
    world: World, account: str, as_of: datetime, key_features: tuple[str, ...]
) -> tuple[int, int, Values]:
    everyone = _known(world, "events", "occurred_at", as_of)
    rows = _of(everyone, account)

    def window(far: int, near: int = 0) -> list[Row]:
        low, high = as_of - timedelta(days=far), as_of - timedelta(days=near)
        return [row for row in rows if low <= row["occurred_at"] < high]

    def days(found: list[Row]) -> set[Any]:
        return {row["occurred_at"].date() for row in found}

    def used(found: list[Row]) -> set[str]:
        return {row["feature"] for row in found} - {None}

    def quantity(found: list[Row]) -> Decimal:
        return sum(
            (Decimal(str(row["quantity"])) for row in found if row["quantity"] is not None), Decimal(0)
        )

    last = max((row["occurred_at"] for row in rows), default=None)
    since = _days(as_of, last)
    values: Values = {
        "days_since_last_event": since,
        "silent_30d": int(since is None or since > 30),
        "events_trend_30": _trend(len(window(30)), len(window(60, 30))),
        "active_days_trend_30": _trend(len(days(window(30))), len(days(window(60, 30)))),
        "quantity_30": quantity(window(30)),
        "quantity_90": quantity(window(90)),
        "quantity_trend_30": _ratio(
            quantity(window(30)) - quantity(window(60, 30)),
            abs(quantity(window(30))) + abs(quantity(window(60, 30))),
        ),
    }
    for far in (7, 30, 90):
        values[f"active_days_{far}"] = len(days(window(far)))
        values[f"events_{far}"] = len(window(far))
        values[f"features_{far}"] = len(used(window(far)))
    values["feature_share_90"] = _ratio(values["features_90"], len(used(everyone)))
    values["features_dropped"] = len(used(window(90, 30)) - used(window(30)))
    values["features_adopted"] = len(used(window(30)) - used(window(90, 30)))

    history = sorted(days(window(HISTORY_DAYS)))
    gaps = len(history) - 1
    span = (history[-1] - history[0]).days if history else 0
    year = window(HISTORY_DAYS)
    measured = [row for row in year if row["quantity"] is not None]
    values["active_days_180"] = len(days(window(180)))
    values["active_days_365"] = len(history)
    values["activity_span_days"] = span if history else None
    values["events_per_active_day"] = _ratio(len(year), len(history))
    values["quantity_365"] = quantity(year)
    values["quantity_per_active_day"] = _ratio(quantity(year), len(history)) if measured else None
    values["usual_gap_days"] = span / gaps if gaps > 0 else None
    values["overdue_ratio"] = since * gaps / max(span, 1) if gaps > 0 and since is not None else None

    users = [row["user_id"] for row in window(30) if row["user_id"] is not None]
    former = {row["user_id"] for row in window(60, 30)} - {None}
    values["users_30"] = len(set(users))
    values["users_trend_30"] = _trend(len(set(users)), len(former))
    values["top_user_share_30"] = max(users.count(user) for user in users) / len(users) if users else None
    for name in key_features:
        of_key = [row["occurred_at"] for row in rows if row["feature"] == name]
        values[f"days_since_{name}"] = _days(as_of, max(of_key, default=None))
    return values["active_days_90"], values["users_30"], values


def _complaints(world: World, account: str, as_of: datetime) -> Values:
    rows = _of(_known(world, "complaints", "opened_at", as_of), account)

    def resolved(row: Row) -> datetime | None:
        return None if row["resolved_at"] is None else max(row["resolved_at"], row["opened_at"])

    def is_done(row: Row) -> bool:
        moment = resolved(row)
        return moment is not None and moment < as_of

    def mean_hours(moments: list[tuple[datetime, datetime]]) -> float | None:
        seconds = sum(max((later - earlier).total_seconds(), 0) for earlier, later in moments)
        return seconds / len(moments) / 3600 if moments else None

    def came_back(row: Row) -> bool:
        return any(
            former["category"] == row["category"]
            and former["opened_at"] < row["opened_at"]
            and (end := resolved(former)) is not None
            and row["opened_at"] - timedelta(days=14) <= end <= row["opened_at"]
            for former in rows
        )

    def recent(far: int) -> list[Row]:
        return [row for row in rows if row["opened_at"] >= as_of - timedelta(days=far)]

    still_open = [row for row in rows if not is_done(row)]
    rated = [row["csat"] for row in rows if is_done(row) and row["csat"] is not None]
    answered = [
        (row["opened_at"], row["first_response_at"])
        for row in rows
        if row["first_response_at"] is not None and row["first_response_at"] < as_of
    ]
    done = [(row["opened_at"], moment) for row in rows if (moment := resolved(row)) and moment < as_of]
    return {
        "complaints_30": len(recent(30)),
        "complaints_90": len(recent(90)),
        "open_complaints": len(still_open),
        "worst_open_severity": max((row["severity"] or 0 for row in still_open), default=0),
        "oldest_open_complaint_days": _days(
            as_of, min((row["opened_at"] for row in still_open), default=None)
        ),
        "days_since_complaint": _days(as_of, max((row["opened_at"] for row in rows), default=None)),
        "first_response_hours": mean_hours(answered),
        "resolution_hours": mean_hours(done),
        "complaints_reopened_90": sum(came_back(row) for row in recent(90)),
        "complaint_csat": sum(rated) / len(rated) if rated else None,
    }


def _surveys(world: World, account: str, as_of: datetime) -> Values:
    rows = _of(_known(world, "surveys", "answered_at", as_of), account)
    # of two answers at one instant the worse one counts as the later
    rows = sorted(rows, key=lambda row: (row["answered_at"], -row["score"]), reverse=True)
    if not rows:
        return dict.fromkeys(("last_survey_score", "survey_score_change", "detractor", "days_since_survey"))
    last = rows[0]
    unhappy = last["score"] <= 6 and last["answered_at"] >= as_of - timedelta(days=90)
    return {
        "last_survey_score": last["score"],
        "survey_score_change": last["score"] - rows[1]["score"] if len(rows) > 1 else None,
        "detractor": int(unhappy),
        "days_since_survey": _days(as_of, last["answered_at"]),
    }


def _value(world: World, account: str, as_of: datetime) -> Values:
    rows = _of(_known(world, "subscriptions", "started_at", as_of), account)

    def runs(row: Row, instant: datetime) -> bool:
        end = row["ended_at"]
        return row["started_at"] < instant and (end is None or max(end, row["started_at"]) >= instant)

    def total(name: str, instant: datetime) -> Decimal | None:
        values = [Decimal(str(row[name])) for row in rows if runs(row, instant) and row[name] is not None]
        return sum(values, Decimal(0)) if values else None

    running = [row for row in rows if runs(row, as_of)]
    renewals = [row["renewal_at"] for row in running if row["renewal_at"] and row["renewal_at"] >= as_of]
    mrr, mrr_ago = total("mrr", as_of), total("mrr", as_of - timedelta(days=90))
    flags = [row["auto_renew"] for row in running if row["auto_renew"] is not None]
    plans = [(row["started_at"], row["plan"]) for row in running if row["plan"] is not None]
    ends = [
        (max(row["ended_at"], row["started_at"]), row["status"] != "completed")
        for row in rows
        if not runs(row, as_of)
    ]
    lapsed = not running and ends and max(ends)[1]
    lately = lapsed and max(ends)[0] >= as_of - timedelta(days=60)
    terms = sorted(
        rows,
        key=lambda row: (
            row["started_at"],
            row["plan"] or "",
            *((row[n] or 0) for n in ("mrr", "seats", "auto_renew")),
        ),
    )

    def last(name: str) -> Any:
        return next((row[name] for row in reversed(terms) if row[name] is not None), None)

    if lately:
        mrr = None if last("mrr") is None else Decimal(str(last("mrr")))
    notices = [
        max(row["cancelled_at"], row["started_at"]) for row in running if row["cancelled_at"] is not None
    ]
    notice = min((moment for moment in notices if moment < as_of), default=None)
    sign_up = next(row["signed_up_at"] for row in world.rows("accounts") if row["account_id"] == account)
    return {
        "tenure_days": _days(as_of, sign_up),
        "mrr": mrr,
        "mrr_change_90": None if mrr is None or mrr_ago is None else _ratio(mrr - mrr_ago, mrr_ago),
        "seats": last("seats") if lately else total("seats", as_of),
        "days_to_renewal": 0 if lately else (min(renewals).date() - as_of.date()).days if renewals else None,
        "renewals": max(len({row["started_at"] for row in rows}) - 1, 0),
        "term_age_days": _days(as_of, max((row["started_at"] for row in rows), default=None)),
        "days_lapsed": _days(as_of, max(ends)[0]) if lapsed else None,
        "notice_given_days": _days(as_of, notice),
        "auto_renew": last("auto_renew") if lately else int(all(flags)) if flags else None,
        "plan": last("plan") if lately else max(plans)[1] if plans else None,
    }


def _attributes(world: World, account: str, as_of: datetime) -> Values:
    rows = [row for row in _of(list(world.rows("attributes")), account) if row["valid_from"] < as_of]

    def latest(name: str) -> Any:
        known = [(row["valid_from"], row[name]) for row in rows if row[name] is not None]
        return max(known)[1] if known else None

    owners = sorted((row["valid_from"], row["owner"]) for row in rows if row["owner"] is not None)
    changes = [now[0] for before, now in pairwise(owners) if now[1] != before[1]]
    changed = max(changes, default=None)
    return {
        "contacts": latest("contacts"),
        "owner_changed_60d": int(changed is not None and changed >= as_of - timedelta(days=60)),
        "days_since_owner_change": _days(as_of, changed),
        "tier": latest("tier"),
        "load": latest("load"),
        "trial": latest("trial"),
    }
