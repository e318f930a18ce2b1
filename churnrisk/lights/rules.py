"""Colours as ordered codes, and rules over the model's colour as data."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.records import Colour, DecidedBy

Codes = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]
ORDER = (Colour.GREEN, Colour.AMBER, Colour.RED)
GREY_CODE = -1
_NAMES = np.array([*(str(colour) for colour in ORDER), str(Colour.GREY)], dtype=object)
_CODES = {str(colour): code for code, colour in enumerate(ORDER)} | {str(Colour.GREY): GREY_CODE}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(
    r"\s*(?P<feature>[A-Za-z_][\w.]*)\s*(?P<op>>=|<=|==|!=|>|<)\s*(?P<number>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*"
)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)


def severity(colour: Colour) -> int:
    """Return 0 for green, 1 for amber, 2 for red and -1 for grey."""
    return _CODES[str(colour)]


def to_codes(colours: npt.ArrayLike | pd.Series) -> Codes:
    """Return the severities of an array of colour names; a missing name is grey."""
    places, names = pd.factorize(np.asarray(colours, dtype=object))
    unknown = set(names) - set(_CODES)
    if unknown:
        found = sorted(map(str, unknown))
        raise UsageError(f"expected the colours {list(_CODES)}, found {found}. Rename them.")
    # factorize gives missing names the code -1: the last item
    return np.array([*(_CODES[name] for name in names), GREY_CODE], dtype=np.int8)[places]


def to_colours(codes: Codes) -> npt.NDArray[np.object_]:
    """Return colour names for severities, the inverse of :func:`to_codes`."""
    named: npt.NDArray[np.object_] = _NAMES[codes]
    return named


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a feature with a number; a missing value never meets it."""

    feature: str
    op: str
    number: float

    def holds(self, X: pd.DataFrame) -> Mask:
        """Return which rows meet it."""
        values = pd.to_numeric(X[self.feature], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(~np.isnan(values) & _OPERATORS[self.op](values, self.number))


@dataclass(frozen=True)
class Rule:
    """One rule: when its conditions hold, the account is at least of its colour.

    Attributes
    ----------
    name, reason : str
        Shown beside the colour; the name is unique among active rules.
    when : str
        Comparisons of features with numbers joined by "and": ``"open_complaints >= 1 and nps < 7"``.
    enabled : bool
        False switches the rule off.
    may_improve : bool
        False: the account is *at least* of that colour, a worse one stays. True: it *is* of that colour.
    steps : int
        It worsens the model's colour by at most so many steps: with 1, no account that the model calls green gets red
        by it. Of rules that may improve it says nothing.

    Raises
    ------
    UsageError
        If a condition cannot be read.
    """

    name: str = "unnamed"
    when: str = "open_complaints >= 1"
    colour: Literal["green", "amber", "red"] = "amber"
    reason: str = ""
    enabled: bool = True
    may_improve: bool = False
    steps: int = 2

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, never changed

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise UsageError(f"a rule needs a name, found {self.name!r}. Give the rule {self.when!r} one.")
        if self.colour not in ("green", "amber", "red"):
            raise UsageError(f"rule '{self.name}': expected green, amber or red, found {self.colour!r}.")
        if self.colour == "green" and not self.may_improve:
            raise UsageError(
                f"rule '{self.name}': found colour 'green' without may_improve, which never has an effect. "
                "Set may_improve = true or choose amber or red."
            )
        if self.steps not in (1, 2):
            raise UsageError(f"rule '{self.name}': expected steps 1 or 2, found {self.steps}.")
        self.conditions  # noqa: B018 - unreadable conditions must fail here, not in a scoring run

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The parsed comparisons; all must hold."""
        return parse_conditions(self.when, owner=f"rule '{self.name}'")

    @property
    def requires(self) -> tuple[str, ...]:
        """The features it reads; when one is absent the rule is not applicable."""
        return tuple(dict.fromkeys(condition.feature for condition in self.conditions))

    def absent_from(self, X: pd.DataFrame) -> list[str]:
        """Return the required features that X lacks."""
        return [name for name in self.requires if name not in X.columns]


def parse_conditions(when: str, *, owner: str) -> tuple[Condition, ...]:
    """Return the comparisons of ``"open_complaints >= 1 and nps < 7"``; `owner` names the rule or play in errors."""
    return tuple(_parse_one(owner, part) for part in _AND.split(when))


def _parse_one(owner: str, text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{owner}: expected 'feature >= number' (one of {', '.join(_OPERATORS)}; several joined "
            f"by 'and'), found {text!r}. Fix its `when`."
        )
    return Condition(found["feature"], found["op"], float(found["number"]))


def conditions_hold(conditions: Iterable[Condition], X: pd.DataFrame) -> Mask:
    """Return which rows of X meet all conditions; none when a feature is absent."""
    hits = np.ones(len(X), dtype=bool)
    for condition in conditions:
        hits &= condition.holds(X) if condition.feature in X.columns else False
    return hits


def apply_rules(X: pd.DataFrame, colours: npt.ArrayLike | pd.Series, rules: Iterable[Rule]) -> pd.DataFrame:
    """Apply the rules to the model's colours; the worst colour wins, then the first rule in order.

    Rules that may improve go first, so that a rule that worsens always has the last word. Grey stays grey. Returns,
    indexed like X, ``colour``, ``decided_by`` ("model", or "rule" where a rule changed the colour) and ``rule``, the
    deciding rule (else None); ``attrs["notes"]`` names the rules not applicable.
    """
    active = [rule for rule in rules if rule.enabled]
    before = to_codes(colours)
    codes, named = before.copy(), np.full(len(X), None, dtype=object)
    for rule in sorted(active, key=lambda rule: not rule.may_improve):
        target = np.full(len(X), severity(Colour(rule.colour)), dtype=np.int8)
        if not rule.may_improve:
            target = np.minimum(target, before + rule.steps).astype(np.int8)
        hit = conditions_hold(rule.conditions, X) & (codes != GREY_CODE)
        hit &= codes != target if rule.may_improve else codes < target
        codes[hit], named[hit] = target[hit], rule.name
    decided = codes != before
    named[~decided] = None
    frame = pd.DataFrame(
        {
            "colour": to_colours(codes),
            "decided_by": np.where(decided, str(DecidedBy.RULE), str(DecidedBy.MODEL)).astype(object),
            "rule": named,
        },
        index=X.index,
        dtype=object,
    )
    frame.attrs["notes"] = tuple(
        f"rule '{rule.name}' is not applicable: no feature {', '.join(absent)}"
        for rule in active
        if (absent := rule.absent_from(X))
    )
    return frame


#: Three times the usual gap, and longer than a holiday of two weeks; the figures are in docs/decisions/0007.
UNUSUAL_SILENCE = "overdue_ratio >= 3 and days_since_last_event > 14"
# Below the functions: a rule parses its conditions when constructed.
DEFAULT_RULES = (
    Rule("critical complaint", "worst_open_severity >= 4", "red", "A critical complaint is open."),
    # Of those that the model calls green, no more churn than of all: docs/decisions/0007.
    Rule(
        "stated dissatisfaction",
        "detractor >= 1",
        "red",
        "The customer said they are not satisfied.",
        steps=1,
    ),
    Rule("open complaint", "open_complaints >= 1", "amber", "A complaint is open."),
    Rule(
        "unusual silence",
        UNUSUAL_SILENCE,
        "amber",
        "No use for three times as long as is usual for this account.",
    ),
    # one active day in a year has no gap to judge silence by
    Rule("30 days of silence", "silent_30d >= 1 and active_days_365 <= 1", "amber", "No use for 30 days."),
    # green was certified on other accounts than these: see Newcomers
    Rule("wave of newcomers", "newcomer_wave >= 1", "amber", "Came with an unusual wave of new accounts."),
)
