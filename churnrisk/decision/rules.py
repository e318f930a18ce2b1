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
ORDER = (Colour.GREEN, Colour.AMBER, Colour.RED)
GREY_CODE = -1
_NAMES = np.array([*(str(colour) for colour in ORDER), str(Colour.GREY)], dtype=object)
_CODES = {str(colour): code for code, colour in enumerate(ORDER)} | {str(Colour.GREY): GREY_CODE}


def severity(colour: Colour) -> int:
    """Return 0 for green, 1 for amber, 2 for red and -1 for grey."""
    return _CODES[str(colour)]


def to_codes(colours: npt.ArrayLike | pd.Series) -> Codes:
    """Return the severities of an array of colour names; a missing name is grey.

    Raises
    ------
    UsageError
        If a name is no colour.
    """
    places, names = pd.factorize(np.asarray(colours, dtype=object))
    unknown = set(names) - set(_CODES)
    if unknown:
        found = sorted(map(str, unknown))
        raise UsageError(f"expected the colours {list(_CODES)}, found {found}. Rename them.")
    # a missing name has the place -1, which is the last one
    return np.array([*(_CODES[name] for name in names), GREY_CODE], dtype=np.int8)[places]


def to_colours(codes: Codes) -> npt.NDArray[np.object_]:
    """Return colour names for severities, the inverse of :func:`to_codes`."""
    named: npt.NDArray[np.object_] = _NAMES[codes]
    return named


Mask = npt.NDArray[np.bool_]

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
    name : str
        Shown beside the colour; unique among the rules in use.
    when : str
        Comparisons of features with numbers joined by "and": ``"open_complaints >= 1 and nps < 7"``.
    colour : str
        The colour it leads to.
    reason : str
        The sentence for people.
    enabled : bool
        False switches the rule off.
    may_improve : bool
        False: the account is *at least* of that colour, a worse one stays. True: it *is* of that colour.

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
        self.conditions  # noqa: B018 - unreadable conditions must fail here, not in a scoring run

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The parsed comparisons; all must hold."""
        return parse_conditions(self.when, owner=f"rule '{self.name}'")

    @property
    def requires(self) -> tuple[str, ...]:
        """The features it reads; when one is absent the rule is not applicable."""
        return tuple(dict.fromkeys(condition.feature for condition in self.conditions))


def matches(rule: Rule, X: pd.DataFrame) -> Mask:
    """Return which rows meet all conditions of a rule; none when a feature is absent."""
    return conditions_hold(rule.conditions, X)


def parse_conditions(when: str, *, owner: str) -> tuple[Condition, ...]:
    """Return the comparisons of a text such as ``"open_complaints >= 1 and nps < 7"``.

    Parameters
    ----------
    owner : str
        Whose text it is, for the message: ``"rule 'open complaint'"``.

    Raises
    ------
    UsageError
        If a comparison cannot be read.
    """
    return tuple(_parse(owner, part) for part in _AND.split(when))


def conditions_hold(conditions: Iterable[Condition], X: pd.DataFrame) -> Mask:
    """Return which rows of X meet all conditions; none when a feature is absent."""
    hits = np.ones(len(X), dtype=bool)
    for condition in conditions:
        hits &= condition.holds(X) if condition.feature in X.columns else False
    return hits


def apply_rules(X: pd.DataFrame, colours: npt.ArrayLike | pd.Series, rules: Iterable[Rule]) -> pd.DataFrame:
    """Let the rules change the model's colours; the worst colour wins, then the first rule in order.

    Rules that may improve go first, so that a rule that worsens always has the last word. Grey stays grey.

    Parameters
    ----------
    X : DataFrame of shape (rows, features)
        Feature values; features that no rule reads may be missing.
    colours : array-like of shape (rows,)
        The model's colours.

    Returns
    -------
    DataFrame indexed like X
        ``colour``; ``decided_by`` ("model", or "rule" where a rule changed the colour); ``rule``, the
        name of the rule that decided (None otherwise). ``attrs["notes"]`` names the rules not applicable.
    """
    active = [rule for rule in rules if rule.enabled]
    before = to_codes(colours)
    codes, named = before.copy(), np.full(len(X), None, dtype=object)
    for rule in sorted(active, key=lambda rule: not rule.may_improve):
        _apply(rule, X, codes, named)
    decided = codes != before
    named[~decided] = None
    return _decided(X.index, codes, decided, named, rules_notes(X, active))


def rules_notes(X: pd.DataFrame, rules: Iterable[Rule]) -> tuple[str, ...]:
    """Say in plain words which rules cannot be applied because a feature is absent."""
    absent = {rule.name: [name for name in rule.requires if name not in X.columns] for rule in rules}
    return tuple(
        f"rule '{name}' is not applicable: no feature {', '.join(missing)}"
        for name, missing in absent.items()
        if missing
    )


def _apply(rule: Rule, X: pd.DataFrame, codes: Codes, named: npt.NDArray[np.object_]) -> None:
    target = severity(Colour(rule.colour))
    hit = matches(rule, X) & (codes != GREY_CODE)
    hit &= codes != target if rule.may_improve else codes < target
    codes[hit], named[hit] = target, rule.name


def _decided(
    index: pd.Index, codes: Codes, decided: Mask, named: npt.NDArray[np.object_], notes: tuple[str, ...]
) -> pd.DataFrame:
    decided_by = np.where(decided, str(DecidedBy.RULE), str(DecidedBy.MODEL))
    frame = pd.DataFrame(
        {
            "colour": pd.Series(to_colours(codes), index=index, dtype=object),
            "decided_by": pd.Series(decided_by, index=index, dtype=object),
            "rule": pd.Series(named, index=index, dtype=object),
        }
    )
    frame.attrs["notes"] = notes
    return frame


def _parse(owner: str, text: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{owner}: expected 'feature >= number' (one of {', '.join(_OPERATORS)}; several joined "
            f"by 'and'), found {text!r}. Mend its `when`."
        )
    return Condition(found["feature"], found["op"], float(found["number"]))


# After the functions, since a rule reads its conditions when it is made.
DEFAULT_RULES = (
    Rule("critical complaint", "worst_open_severity >= 4", "red", "A critical complaint is open."),
    Rule("stated dissatisfaction", "detractor >= 1", "red", "The customer said they are not satisfied."),
    Rule("open complaint", "open_complaints >= 1", "amber", "A complaint is open."),
    Rule("30 days of silence", "silent_30d >= 1", "amber", "No use for 30 days."),
    # green was certified on other accounts than these: see churnrisk.decision.segments
    Rule("wave of newcomers", "newcomer_wave >= 1", "amber", "Came with an unusual wave of new accounts."),
)
