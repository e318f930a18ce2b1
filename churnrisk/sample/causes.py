"""Why accounts churn in this world: log-odds of churn, linear in causes that the raw tables show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from churnrisk.sample.customers import Bools, Floats, Ints

INTERCEPT = -3.1
RISKS = ("silence", "decline", "narrowing", "complaints", "owner_change", "renewal", "price", "satisfaction")
PROTECTIONS = ("breadth", "users", "tenure")
CAUSES = RISKS + PROTECTIONS
NO_MAIN_CAUSE = "none"

_LEAST_MAIN_CAUSE = 0.3
_SEVERITY_LOG_ODDS = np.array([0.0, 0.15, 0.35, 0.9, 1.6])


@dataclass(frozen=True, slots=True)
class Situation:
    """What had happened to each account before one as-of date; one entry per account.

    Attributes
    ----------
    days_since_last : array
        Days since the last session, or since sign-up when there was none.
    sessions_30, sessions_31_90 : array
        Sessions in the last 30 days, and per 30 days in the 60 days before those.
    features_30, features_90, users_30 : array
        Distinct features and users.
    open_complaints : array
        Summed log-odds weight of the complaints that are open, see :func:`complaint_weight`.
    owner_changed_60 : array of bool
        The account's owner changed in the last 60 days.
    contacts : array
        People known at the customer.
    renews_in_30, annual : array of bool
        The running term ends within 30 days; terms last a year.
    price_rise_90 : array
        Rise of the price per seat at a renewal in the last 90 days, as a share.
    last_score : array
        Last survey answer of the past 180 days, 0 to 10; NaN when there is none.
    tenure_days : array
        Days since sign-up.
    """

    days_since_last: Floats
    sessions_30: Floats
    sessions_31_90: Floats
    features_30: Ints
    features_90: Ints
    users_30: Ints
    open_complaints: Floats
    owner_changed_60: Bools
    contacts: Ints
    renews_in_30: Bools
    annual: Bools
    price_rise_90: Floats
    last_score: Floats
    tenure_days: Floats


def complaint_weight(severity: Ints) -> Floats:
    """Return the log-odds that one open complaint of this severity (1 to 4) adds."""
    weights: Floats = _SEVERITY_LOG_ODDS[severity]
    return weights


def contributions(now: Situation) -> dict[str, Floats]:
    """Return the log-odds that each cause adds to each account.

    Notes
    -----
    Every cause is a function of what the raw tables show before the as-of date, so a model that reads
    them well can reach the true probability; nothing latent enters it directly.
    """
    silent = now.days_since_last >= 30
    lost_share = 1.0 - now.features_30 / np.maximum(now.features_90, 1)
    halvings = np.log2((now.sessions_31_90 + 3.0) / (now.sessions_30 + 3.0))
    handover = np.where(now.contacts > 1, 1.0, 1.5)
    return {
        "silence": 2.6 * np.clip((now.days_since_last - 7.0) / 38.0, 0.0, 1.0),
        "decline": 0.55 * np.clip(halvings - 0.3, 0.0, 2.5) * (now.tenure_days >= 90),
        # Whoever does nothing at all is silent; narrowing is said of those who still come.
        "narrowing": np.where(silent, 0.0, 3.2 * np.clip(lost_share - 0.35, 0.0, 0.5)),
        "complaints": np.minimum(now.open_complaints, 2.4),
        "owner_change": np.where(now.owner_changed_60, handover, 0.0),
        "renewal": np.where(now.annual, np.where(now.renews_in_30, 2.2, -1.6), 0.0),
        "price": np.minimum(8.0 * now.price_rise_90, 1.4),
        "satisfaction": _satisfaction(now.last_score),
        "breadth": -0.5 * np.log2((1.0 + now.features_90) / 5.0),
        "users": -0.2 * np.log2(1.0 + now.users_30),
        "tenure": -0.3 * np.log1p(np.maximum(now.tenure_days, 0.0) / 365.0),
    }


def _satisfaction(score: Floats) -> Floats:
    steps = [score <= 3, score <= 6, score >= 9]
    return np.select(steps, [1.1, 0.6, -0.4], default=0.0)


def churn_probability(parts: dict[str, Floats]) -> Floats:
    """Return the probability of churn within the next 30 days that the parts add up to."""
    log_odds = INTERCEPT + sum(parts[cause] for cause in CAUSES)
    probability: Floats = 1.0 / (1.0 + np.exp(-log_odds))
    return probability


def main_cause(parts: dict[str, Floats]) -> NDArray[np.str_]:
    """Return the risk that adds most to each account, or ``"none"`` when no risk adds 0.3 log-odds."""
    stacked = np.column_stack([parts[cause] for cause in RISKS])
    names = np.array(RISKS)[stacked.argmax(axis=1)]
    return np.where(stacked.max(axis=1) >= _LEAST_MAIN_CAUSE, names, NO_MAIN_CAUSE)
