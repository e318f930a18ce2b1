"""One company whose customers are known, as frames of the contract's tables, to be written in each connector's shape.

Among its sixty accounts are trials that convert and trials that never pay, upgrades, notices, losses and returns.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

START, END = datetime(2025, 1, 6), datetime(2025, 10, 6)
OWNERS = ("Ada", "Ben", "Cleo")
PLANS = {"starter": 100.0, "team": 300.0, "scale": 900.0}
FEATURES = ("report", "export", "login")


def make_company(key: Callable[[int], str]) -> dict[str, pd.DataFrame]:
    """Return the tables; ``key`` names an account by its number, as the product does that the company uses."""
    random = np.random.default_rng(5)
    rows: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("accounts", "events", "complaints", "subscriptions", "surveys")
    }
    for number in range(60):
        _add_account(rows, number, key(number), random)
    frames = {name: pd.DataFrame(found) for name, found in rows.items()}
    for name, frame in frames.items():
        for column in frame.columns:
            if column.endswith("_at"):
                frame[column] = frame[column].astype("datetime64[us]")
        frames[name] = frame.reset_index(drop=True)
    return frames


def _add_account(
    rows: dict[str, list[dict[str, object]]], number: int, account_id: str, random: np.random.Generator
) -> None:
    signed_up = START + timedelta(days=int(random.integers(0, 270)), hours=9, minutes=number)
    plan = list(PLANS)[number % 2]
    trial = number % 4 == 0
    unpaid = number % 12 == 4
    left = signed_up + timedelta(days=int(random.integers(60, 160)))
    leaves = number % 2 == 1 and not unpaid and left < END - timedelta(days=10)
    trial_ends = signed_up + timedelta(days=14) if trial else None
    ended = trial_ends if unpaid else left if leaves else None
    rows["accounts"].append(
        {
            "account_id": account_id,
            "name": f"Firm {number}",
            "signed_up_at": signed_up,
            "owner": OWNERS[number % 3],
            "segment": ("retail", "banking")[number % 2],
        }
    )
    term = {
        "subscription_id": f"sub_{number}_1",
        "account_id": account_id,
        "started_at": signed_up,
        "ended_at": ended,
        "plan": plan,
        "mrr": PLANS[plan],
        "seats": 5.0,
        "status": "canceled" if ended else "active",
        "trial_ends_at": trial_ends,
        "cancelled_at": left - timedelta(days=20) if leaves and number % 3 else None,
    }
    if number % 5 == 3 and not unpaid and signed_up < END - timedelta(days=50):
        upgraded = signed_up + timedelta(days=40)
        rows["subscriptions"].append(
            {**term, "ended_at": upgraded, "status": "canceled", "cancelled_at": None}
        )
        term |= {
            "subscription_id": f"sub_{number}_2",
            "started_at": upgraded,
            "plan": "scale",
            "mrr": PLANS["scale"],
            "trial_ends_at": None,
        }
    rows["subscriptions"].append(term)
    day, last = signed_up, (ended or END)
    while day < last:
        for user in range(1 + number % 2):
            at = day + timedelta(seconds=int(random.integers(0, 20_000)))
            rows["events"].append(
                {
                    "account_id": account_id,
                    "occurred_at": at,
                    "recorded_at": at + timedelta(minutes=7),
                    "feature": FEATURES[int(random.integers(3))],
                    "user_id": f"u{number}_{user}",
                    "quantity": float(random.integers(1, 9)),
                }
            )
        # those who will leave use it less and less
        day += timedelta(
            days=int(random.integers(2, 6)) * (2 if leaves and day > left - timedelta(days=60) else 1)
        )
    for day in pd.date_range(signed_up, last, freq="25D")[1:]:
        opened = day.to_pydatetime() + timedelta(hours=int(random.integers(0, 400 if leaves else 600)))
        solved = opened + timedelta(hours=int(random.integers(2, 200))) if random.random() < 0.8 else None
        if (solved or opened) < END:
            rows["complaints"].append(
                {
                    "account_id": account_id,
                    "opened_at": opened,
                    "resolved_at": solved,
                    "first_response_at": opened + timedelta(hours=1),
                    "severity": ("low", "normal", "high", "urgent")[int(random.integers(4))],
                    "category": ("bug", "question")[int(random.integers(2))],
                    "csat": float(random.choice([1, 5])) if solved else None,
                }
            )
    for day in pd.date_range(signed_up, last, freq="45D")[1:]:
        rows["surveys"].append(
            {
                "account_id": account_id,
                "answered_at": day.to_pydatetime() + timedelta(hours=2),
                "score": float(random.integers(0, 6) if leaves else random.integers(5, 11)),
                "kind": "nps",
            }
        )
