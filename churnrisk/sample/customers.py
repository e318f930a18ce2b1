"""Who the customers are, and why they churn: log-odds of churn, linear in causes that the raw tables show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PERIOD_DAYS = 30
FEATURES = (
    "login", "dashboards", "reports", "search", "export", "sharing", "alerts", "mobile", "automation", "integrations",
    "api", "forecasting",
)  # fmt: skip
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

INTERCEPT = -3.1
RISKS = ("silence", "decline", "narrowing", "complaints", "owner_change", "renewal", "price", "satisfaction")
PROTECTIONS = ("breadth", "users", "tenure")
CAUSES = RISKS + PROTECTIONS
NO_MAIN_CAUSE = "none"

_LEAST_MAIN_CAUSE = 0.3
_SEVERITY_LOG_ODDS = np.array([0.0, 0.15, 0.35, 0.9, 1.6])


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
    """Draw customers, most of whom signed up before the first day; later sign-ups are spread evenly over ``days``."""
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


@dataclass(frozen=True, slots=True)
class Situation:
    """What had happened to each account before one as-of date; one entry per account, windows in days."""

    days_since_last: Floats  # since the last session, or since sign-up
    sessions_30: Floats
    sessions_31_90: Floats  # per 30 days
    features_30: Ints  # distinct
    features_90: Ints
    users_30: Ints  # distinct
    open_complaints: Floats  # summed complaint_weight
    owner_changed_60: Bools
    contacts: Ints
    renews_in_30: Bools
    annual: Bools
    price_rise_90: Floats  # per seat at a renewal, as a share
    last_score: Floats  # 0 to 10, of the past 180 days; NaN without one
    tenure_days: Floats


def complaint_weight(severity: Ints) -> Floats:
    """Return the log-odds that one open complaint of this severity (1 to 4) adds."""
    return _SEVERITY_LOG_ODDS[severity]


def contributions(now: Situation) -> dict[str, Floats]:
    """Return the log-odds that each cause adds to each account.

    Every cause is a function of what the raw tables show before the as-of date, so a good model can reach the true
    probability; nothing latent enters directly.
    """
    silent = now.days_since_last >= 30
    lost_share = 1.0 - now.features_30 / np.maximum(now.features_90, 1)
    halvings = np.log2((now.sessions_31_90 + 3.0) / (now.sessions_30 + 3.0))
    handover = np.where(now.contacts > 1, 1.0, 1.5)
    return {
        "silence": 2.6 * np.clip((now.days_since_last - 7.0) / 38.0, 0.0, 1.0),
        "decline": 0.55 * np.clip(halvings - 0.3, 0.0, 2.5) * (now.tenure_days >= 90),
        # Accounts that do nothing at all are silent; only those who still come can narrow.
        "narrowing": np.where(silent, 0.0, 3.2 * np.clip(lost_share - 0.35, 0.0, 0.5)),
        "complaints": np.minimum(now.open_complaints, 2.4),
        "owner_change": np.where(now.owner_changed_60, handover, 0.0),
        "renewal": np.where(now.annual, np.where(now.renews_in_30, 2.2, -1.6), 0.0),
        "price": np.minimum(8.0 * now.price_rise_90, 1.4),
        "satisfaction": np.select(
            [now.last_score <= 3, now.last_score <= 6, now.last_score >= 9], [1.1, 0.6, -0.4], default=0.0
        ),
        "breadth": -0.5 * np.log2((1.0 + now.features_90) / 5.0),
        "users": -0.2 * np.log2(1.0 + now.users_30),
        "tenure": -0.3 * np.log1p(np.maximum(now.tenure_days, 0.0) / 365.0),
    }


def churn_probability(parts: dict[str, Floats]) -> Floats:
    """Return the probability of churn within the next 30 days that the parts add up to."""
    log_odds = INTERCEPT + sum(parts[cause] for cause in CAUSES)
    return 1.0 / (1.0 + np.exp(-log_odds))


def main_cause(parts: dict[str, Floats]) -> NDArray[np.str_]:
    """Return the risk that adds most to each account, or ``"none"`` when no risk adds 0.3 log-odds."""
    stacked = np.column_stack([parts[cause] for cause in RISKS])
    names = np.array(RISKS)[stacked.argmax(axis=1)]
    return np.where(stacked.max(axis=1) >= _LEAST_MAIN_CAUSE, names, NO_MAIN_CAUSE)
