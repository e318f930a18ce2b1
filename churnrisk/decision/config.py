"""The settings of the decision layer, `[decision]` in churnrisk.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churnrisk.decision.policy import BY_TENURE, DEFAULT_MARGIN, PolicyName, check_policy
from churnrisk.decision.rules import DEFAULT_RULES, Rule
from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from churnrisk.decision.lights import TrafficLight


@dataclass(frozen=True)
class DecisionConfig:
    """How probabilities become colours.

    Attributes
    ----------
    policy, green_max_churn, red_min_churn, amber_from, red_from, confidence, min_accounts
        See :class:`churnrisk.decision.TrafficLight`.
    last_blocks, amber_times, save_rate, cost_per_contact, amber_factor
        Likewise.
    segment_by : str
        Which kinds of accounts get thresholds of their own where there are enough of them: "tenure" (customers of
        the first 90 days, and the established), "nothing", or a signal of the model such as ``plan``.
    rules_off : tuple of str
        Names of shipped rules to switch off.
    rules : tuple of Rule
        Rules of your own, after the shipped ones; one of a shipped name replaces it.
    hysteresis_margin : float
        Log-odds by which p must clear a threshold before a colour improves at once; 0 switches it off.
    capacity : int
        Accounts the team can review from one scoring to the next, such as a week; evaluation reports lift and
        recall there, and the policy ``capacity`` fits the colours to it.
    max_colour_jump : float
        Publishing stops when a colour's share of all accounts changes by more than this.
    playbook : str or None
        A playbook.toml of your own instead of the shipped one; relative to the project folder.
    """

    policy: PolicyName = "certified"
    green_max_churn: float | None = None
    red_min_churn: float | None = None
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
                f"rules_off expects names of {shipped}, found {unknown}. Mend rules_off under [decision]."
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

    def light(self) -> TrafficLight:
        """Return the traffic light, not yet fitted."""
        from churnrisk.decision.lights import TrafficLight

        return TrafficLight(**self.light_settings())

    def light_settings(self) -> dict[str, Any]:
        """Return the parameters of the traffic light."""
        return {
            "policy": self.policy,
            "green_max_churn": self.green_max_churn,
            "red_min_churn": self.red_min_churn,
            "confidence": self.confidence,
            "amber_from": self.amber_from,
            "red_from": self.red_from,
            "min_accounts": self.min_accounts,
            "last_blocks": self.last_blocks,
            "segment_by": self.segment_by,
            "capacity": self.capacity,
            "amber_times": self.amber_times,
            "save_rate": self.save_rate,
            "cost_per_contact": self.cost_per_contact,
            "amber_factor": self.amber_factor,
        }

    def active_rules(self) -> tuple[Rule, ...]:
        """Return the rules in use, in order: shipped ones, then your own."""
        replaced = {rule.name for rule in self.rules} | set(self.rules_off)
        shipped = [rule for rule in DEFAULT_RULES if rule.name not in replaced]
        return tuple(rule for rule in (*shipped, *self.rules) if rule.enabled)
