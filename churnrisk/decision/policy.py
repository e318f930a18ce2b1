"""Whether the settings of a traffic light make sense together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from churnrisk.errors import UsageError

#: Log-odds of hysteresis. In the backtests of the sample and of three real sets it more than halves the flaps and
#: loses no churner; the price is a smaller green, since accounts return to it a snapshot later.
DEFAULT_MARGIN = 1.2

#: What ``segment_by`` may say instead of a signal.
BY_TENURE, BY_NOTHING = "tenure", "nothing"

PolicyName = Literal["certified", "capacity", "cost", "fixed"]

#: Settings that mean something to one policy only.
_OWNED: dict[str, tuple[str, ...]] = {
    "certified": ("green_max_churn", "red_min_churn"),
    "cost": ("save_rate", "cost_per_contact"),
    "fixed": ("amber_from", "red_from"),
}


def check_policy(params: Mapping[str, Any]) -> None:
    """Raise UsageError, with the mend, when parameters of :class:`TrafficLight` contradict themselves."""
    policy = params["policy"]
    if policy not in get_args(PolicyName):
        raise UsageError(
            f"expected policy {', '.join(map(repr, get_args(PolicyName)))}, found {policy!r}. "
            "Choose one under [decision]."
        )
    _refuse_foreign(params, policy)
    if policy == "fixed":
        _check_fixed(params)
    if policy == "cost":
        _check_cost(params)
    _check_promises(params)
    for name, least in (
        ("min_accounts", 1),
        ("last_blocks", 0),
        ("capacity", 1),
        ("amber_times", 0),
        ("amber_factor", 1),
    ):
        if params[name] < least:
            raise UsageError(f"expected {name} >= {least}, found {params[name]}. Raise it under [decision].")


def _refuse_foreign(params: Mapping[str, Any], policy: str) -> None:
    for owner, names in _OWNED.items():
        given = {name: params[name] for name in names if params[name] is not None}
        if policy != owner and given:
            found = ", ".join(f"{name}={value}" for name, value in given.items())
            raise UsageError(
                f"policy '{policy}' finds its thresholds itself, found {found}. Remove {' and '.join(given)}, "
                f"or choose policy = '{owner}'."
            )


def _check_fixed(params: Mapping[str, Any]) -> None:
    amber, red = params["amber_from"], params["red_from"]
    if amber is None or red is None or not 0.0 <= amber <= red <= 1.0:
        raise UsageError(
            f"policy 'fixed' expects 0 <= amber_from <= red_from <= 1, found amber_from={amber}, "
            f"red_from={red}. Give both under [decision] in churnrisk.toml."
        )


def _check_cost(params: Mapping[str, Any]) -> None:
    rate, cost = params["save_rate"], params["cost_per_contact"]
    if rate is None or cost is None or not 0.0 < rate <= 1.0 or not cost > 0.0:
        raise UsageError(
            f"policy 'cost' expects 0 < save_rate <= 1 and cost_per_contact > 0, found save_rate={rate}, "
            f"cost_per_contact={cost}. Give both under [decision] in churnrisk.toml: the share of churners that a "
            "contact keeps, and what a contact costs in the currency of mrr."
        )


def _check_promises(params: Mapping[str, Any]) -> None:
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
