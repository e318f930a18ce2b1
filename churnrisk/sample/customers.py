"""Who the customers are: everything about an account that is settled before it does anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PERIOD_DAYS = 30
FEATURES = (
    "login",
    "dashboards",
    "reports",
    "search",
    "export",
    "sharing",
    "alerts",
    "mobile",
    "automation",
    "integrations",
    "api",
    "forecasting",
)
SEGMENTS = ("SMB", "Mid-Market", "Enterprise")
INDUSTRIES = ("Retail", "Software", "Healthcare", "Logistics", "Finance", "Education", "Manufacturing")
PLANS = ("Starter", "Team", "Business", "Enterprise")

_SEGMENT_SHARES = (0.55, 0.32, 0.13)
_TYPICAL_SEATS = np.array([6.0, 24.0, 90.0])
_ANNUAL_SHARE = np.array([0.35, 0.60, 0.90])
_PRICE_PER_SEAT = np.array([19.0, 29.0, 45.0, 59.0])
_ANNUAL_TERM_DAYS = 365
_SHARE_BEFORE_THE_START = 0.62
_OLDEST_SIGN_UP_DAYS = 1080

_FIRST = """Amber Blue Cedar Delta Evergreen Falcon Granite Harbour Iron Juniper Keystone Lumen Maple Nord
Orchid Pioneer Quarry Rivet Summit Terra Umber Vista Willow Zenith Brücken Åker Émile"""
_SECOND = """Analytics Bakery Clinic Design Energy Foods Freight Health Labs Learning Logistics Media Motors
Optics Partners Press Robotics Studios Supply Systems Textiles Trading Travel Works"""
_LEGAL = ("", " Ltd", " GmbH", " Inc", " AB", " S.A.", " & Co")


@dataclass(frozen=True, slots=True)
class Customers:
    """One entry per account in every array; days are counted from the world's first day."""

    names: NDArray[np.str_]
    sign_up_day: Ints
    segment: Ints
    industry: Ints
    plan: Ints
    seats: Ints
    price_per_seat: Floats
    term_days: Ints
    contacts: Ints
    sessions_per_day: Floats
    adopted: Ints
    feature_order: Ints
    users: Ints
    complaint_rate: Floats
    mood: Floats

    def __len__(self) -> int:
        return len(self.sign_up_day)


def draw_customers(rng: np.random.Generator, *, accounts: int, days: int) -> Customers:
    """Draw customers, most of whom signed up before the world's first day.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    accounts : int
        How many.
    days : int
        Length of the world in days; later sign-ups are spread evenly over it.
    """
    segment = rng.choice(len(SEGMENTS), size=accounts, p=_SEGMENT_SHARES)
    seats = np.maximum(1, np.rint(_TYPICAL_SEATS[segment] * rng.lognormal(0.0, 0.45, accounts))).astype(int)
    plan = np.clip(segment + rng.integers(0, 2, accounts), 0, len(PLANS) - 1)
    return Customers(
        names=_draw_names(rng, accounts),
        sign_up_day=_draw_sign_ups(rng, accounts, days),
        segment=segment,
        industry=rng.integers(0, len(INDUSTRIES), accounts),
        plan=plan,
        seats=seats,
        price_per_seat=np.round(_PRICE_PER_SEAT[plan] * rng.uniform(0.85, 1.1, accounts), 2),
        term_days=np.where(rng.random(accounts) < _ANNUAL_SHARE[segment], _ANNUAL_TERM_DAYS, PERIOD_DAYS),
        contacts=1 + rng.binomial(5, 0.15 + 0.15 * segment),
        sessions_per_day=0.3 * seats**0.35 * rng.lognormal(0.0, 0.4, accounts),
        adopted=4 + rng.binomial(len(FEATURES) - 4, 0.45, accounts),
        feature_order=_draw_feature_order(rng, accounts),
        users=np.clip(np.rint(seats * 0.6), 1, 25).astype(int),
        complaint_rate=0.3 * rng.gamma(2.0, 0.5, accounts),
        mood=rng.normal(0.0, 0.8, accounts),
    )


def _draw_sign_ups(rng: np.random.Generator, accounts: int, days: int) -> Ints:
    before = rng.random(accounts) < _SHARE_BEFORE_THE_START
    age = np.minimum(1 + rng.exponential(380.0, accounts), _OLDEST_SIGN_UP_DAYS)
    return np.where(before, -age.astype(int), rng.integers(0, max(days, 1), accounts))


def _draw_feature_order(rng: np.random.Generator, accounts: int) -> Ints:
    """Return each account's features by preference, shape (accounts, features); login comes first."""
    liking = rng.gumbel(size=(accounts, len(FEATURES))) - 0.25 * np.arange(len(FEATURES))
    liking[:, 0] = np.inf
    return np.argsort(-liking, axis=1)


def _draw_names(rng: np.random.Generator, accounts: int) -> NDArray[np.str_]:
    words = (np.array(_FIRST.split()), np.array(_SECOND.split()), np.array(_LEGAL))
    first, second, legal = (choice[rng.integers(0, len(choice), accounts)] for choice in words)
    return np.char.add(np.char.add(np.char.add(first, " "), second), legal)
