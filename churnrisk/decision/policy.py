"""Whether the settings of a traffic light make sense together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from churnrisk.errors import UsageError


def check_policy(params: Mapping[str, Any]) -> None:
    """Raise UsageError, with the mend, when parameters of :class:`TrafficLight` contradict themselves."""
    policy, amber, red = params["policy"], params["amber_from"], params["red_from"]
    if policy not in ("certified", "fixed"):
        raise UsageError(
            f"expected policy 'certified' or 'fixed', found {policy!r}. Choose one under [decision]."
        )
    if policy == "fixed" and (amber is None or red is None or not 0.0 <= amber <= red <= 1.0):
        raise UsageError(
            f"policy 'fixed' expects 0 <= amber_from <= red_from <= 1, found amber_from={amber}, "
            f"red_from={red}. Give both under [decision] in churnrisk.toml."
        )
    if policy == "certified" and (amber is not None or red is not None):
        raise UsageError(
            f"policy 'certified' finds its thresholds itself, found amber_from={amber}, red_from={red}. "
            "Remove them, or choose policy = 'fixed'."
        )
    for name in ("green_max_churn", "red_min_churn"):
        if params[name] is not None and not 0.0 < params[name] < 1.0:
            raise UsageError(
                f"expected 0 < {name} < 1, found {params[name]}. It is a churn rate, not a percentage."
            )
    green, least = params["green_max_churn"], params["red_min_churn"]
    if green is not None and least is not None and green >= least:
        raise UsageError(
            f"expected green_max_churn < red_min_churn, found {green} and {least}. Lower the first."
        )
    if not 0.5 <= params["confidence"] < 1.0:
        raise UsageError(f"expected 0.5 <= confidence < 1, found {params['confidence']}. Usual is 0.95.")
    if params["min_accounts"] < 1:
        raise UsageError(f"expected min_accounts >= 1, found {params['min_accounts']}. Usual is 30.")
