"""Settings under [decision] in churnrisk.toml and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Literal, get_args

from churnrisk.errors import UsageError
from churnrisk.lights.rules import DEFAULT_RULES, Rule

#: Log-odds of hysteresis. It calms the colours and costs green, since accounts return a snapshot later: the flaps and
#: recall with and without it are in docs/results.md, what twice as much would cost in decision 0007.
DEFAULT_MARGIN = 0.6

#: Promises to try, strictest first: green at most the base odds divided by one of these, red at least times it.
LADDER = (4.0, 3.0, 2.0, 1.5)
#: What green may promise at most and red at least, whatever the base rate: words keep their meaning.
GREEN_CAP, RED_CAP = 0.20, 0.80

#: Values of ``segment_by`` that are not signals.
BY_TENURE, BY_NOTHING = "tenure", "nothing"

PolicyName = Literal["certified", "capacity", "cost", "fixed"]

#: Settings that belong to one policy only.
_OWNED: dict[str, tuple[str, ...]] = {
    "certified": ("green_max_churn", "red_min_churn"),
    "cost": ("save_rate", "cost_per_contact"),
    "fixed": ("amber_from", "red_from"),
}
#: Least values of settings of any policy.
_LEAST = {"min_accounts": 1, "last_blocks": 0, "capacity": 1, "amber_times": 0, "amber_factor": 1}
#: Settings of [decision] that are no parameters of the traffic light.
_NOT_OF_THE_LIGHT = ("rules_off", "rules", "hysteresis_margin", "max_colour_jump", "playbook")


@dataclass(frozen=True)
class DecisionConfig:
    """How probabilities become colours; settings not listed are those of :class:`churnrisk.lights.TrafficLight`.

    Attributes
    ----------
    segment_by : str
        Which segments get their own thresholds where large enough: "tenure" (customers of the first 90 days, and the
        established), "nothing", or a signal of the model such as ``plan``.
    ladder : tuple of float
        Promises to try, strictest first: green at most the base odds divided by one of these factors, red at least the
        base odds times it. The strictest that still makes a useful light is in force.
    green_cap, red_cap : float
        Green never promises more than the first, red never asks for more than the second.
    rules_off : tuple of str
        Names of shipped rules to switch off.
    rules : tuple of Rule
        Custom rules, after the shipped ones; a rule with a shipped name replaces it.
    hysteresis_margin : float
        Log-odds by which p must clear a threshold before a colour improves at once; 0 switches it off.
    capacity : int
        Accounts the team can review between two scoring runs; the red list is cut there, evaluation reports lift and
        recall there, and the policy ``capacity`` fits the colours to it.
    max_colour_jump : float
        Publishing stops when a colour's share of all accounts changes by more than this.
    playbook : str or None
        Path of a custom playbook.toml, relative to the project folder.
    """

    policy: PolicyName = "certified"
    green_max_churn: float | None = None
    red_min_churn: float | None = None
    ladder: tuple[float, ...] = LADDER
    green_cap: float = GREEN_CAP
    red_cap: float = RED_CAP
    amber_from: float | None = None
    red_from: float | None = None
    confidence: float = 0.95
    min_accounts: int = 30
    last_blocks: int = 3
    segment_by: str = BY_TENURE
    amber_times: float = 3.0
    save_rate: float | None = None
    cost_per_contact: float | None = None
    amber_factor: float = 2.0
    rules_off: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    hysteresis_margin: float = DEFAULT_MARGIN
    capacity: int = 50
    max_colour_jump: float = 0.20
    playbook: str | None = None

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, never changed

    def __post_init__(self) -> None:
        check_policy(self.light_settings())
        shipped = [rule.name for rule in DEFAULT_RULES]
        unknown = sorted(set(self.rules_off) - set(shipped))
        if unknown:
            raise UsageError(
                f"rules_off expects names of {shipped}, found {unknown}. Fix rules_off under [decision]."
            )
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UsageError(f"expected one rule per name, found {twice} more than once. Rename one.")
        if self.hysteresis_margin < 0:
            raise UsageError(
                f"expected hysteresis_margin >= 0, found {self.hysteresis_margin}. Use 0 for none."
            )
        if not 0 < self.max_colour_jump <= 1:
            raise UsageError(
                f"expected 0 < max_colour_jump <= 1, found {self.max_colour_jump}. Use 1 for no limit."
            )

    def light_settings(self) -> dict[str, Any]:
        """Return the parameters of the traffic light."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_OF_THE_LIGHT}

    def active_rules(self) -> tuple[Rule, ...]:
        """Return the rules in use: shipped ones, then custom ones."""
        replaced = {rule.name for rule in self.rules} | set(self.rules_off)
        shipped = [rule for rule in DEFAULT_RULES if rule.name not in replaced]
        return tuple(rule for rule in (*shipped, *self.rules) if rule.enabled)


def check_policy(params: Mapping[str, Any]) -> None:
    """Refuse parameters of :class:`TrafficLight` that contradict each other."""
    policy = params["policy"]
    if policy not in get_args(PolicyName):
        raise UsageError(
            f"expected policy {', '.join(map(repr, get_args(PolicyName)))}, found {policy!r}. "
            "Choose one under [decision]."
        )
    for name, least in _LEAST.items():
        if params[name] < least:
            raise UsageError(f"expected {name} >= {least}, found {params[name]}. Raise it under [decision].")
    for owner, names in _OWNED.items():
        given = {name: params[name] for name in names if params[name] is not None}
        if policy != owner and given:
            found = ", ".join(f"{name}={value}" for name, value in given.items())
            raise UsageError(
                f"policy '{policy}' finds its thresholds itself, found {found}. Remove {' and '.join(given)}, "
                f"or choose policy = '{owner}'."
            )
    if not 0.5 <= params["confidence"] < 1.0:
        raise UsageError(f"expected 0.5 <= confidence < 1, found {params['confidence']}. Usual is 0.95.")
    if policy == "certified":
        _check_promises(params)
    elif policy == "fixed":
        _check_fixed(params)
    elif policy == "cost":
        _check_cost(params)


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
    ladder, low, high = params["ladder"], params["green_cap"], params["red_cap"]
    if not ladder or not 1.0 < min(ladder) <= max(ladder) < inf or list(ladder) != sorted(set(ladder))[::-1]:
        raise UsageError(
            f"ladder under [decision] expects factors of the base odds above 1, strictest first, found {list(ladder)}. "
            f"The default is {list(LADDER)}."
        )
    if not 0.0 < low < high < 1.0:
        raise UsageError(
            f"expected 0 < green_cap < red_cap < 1 under [decision], found {low} and {high}. They are churn rates, not "
            "percentages."
        )
    green, least = params["green_max_churn"], params["red_min_churn"]
    for name, rate, cap, limit in (
        ("green_max_churn", green, "green_cap", low),
        ("red_min_churn", least, "red_cap", high),
    ):
        if rate is not None and rate > limit:
            raise UsageError(
                f"expected {name} <= {cap}, found {rate} and {limit}. Lower the promise, or raise {cap} under "
                "[decision]."
            )
    if green is not None and least is not None and green >= least:
        raise UsageError(
            f"expected green_max_churn < red_min_churn, found {green} and {least}. Lower the first."
        )
