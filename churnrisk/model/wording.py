"""Values and ranges in words, never NaN, with sensible digits and units."""

from __future__ import annotations

import re
import string
from typing import Any

import numpy as np

from churnrisk.model.profile import ReasonProfile
from churnrisk.records import Feature

Value = float | str | None

# Units that add nothing to the number: the label carries the meaning.
_SILENT_UNITS = frozenset(
    "flag ratio score name category level index number count none trend 1-4 0-10".split(" ")  # noqa: SIM905
) | {""}
_SHARES = frozenset({"share", "fraction", "proportion"})
_FLAGS = frozenset({"flag", "bool", "boolean", "yes/no"})
_SINGULAR = {
    "product features": "product feature",
    "new product features": "new product feature",
    "active days": "active day",
    "events": "event",
    "days": "day",
    "complaints": "complaint",
    "hours": "hour",
    "people": "person",
    "times": "time",
    "units": "unit",
    "paid seats": "paid seat",
}
_ONE = re.compile(rf"(?<![\d.,])1 ({'|'.join(_SINGULAR)})\b")


def plain(value: Any) -> Value:
    """Convert a NumPy or pandas value to a plain float or text; None where it is missing."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None if str(value) in ("<NA>", "NaT", "nan") else str(value)
    return None if np.isnan(number) else number + 0.0  # without the sign of a negative zero


def number(value: float) -> str:
    """Format a number for people: thousands separated, up to three significant digits below 100."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}".removesuffix(".0")
    if abs(value) >= 0.01:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.2g}"


def quantity(value: Value, unit: str) -> str:
    """Format a value with its unit: "12 days", "35 %", "yes"."""
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return value
    if unit in _SHARES:
        return f"{number(round(100 * value, 1))} %"
    if unit in _FLAGS and value in (0.0, 1.0):
        return "yes" if value else "no"
    if unit in _SILENT_UNITS:
        return number(value)
    if unit.endswith("s") and value == 1 and not unit.endswith("ss"):
        unit = unit[:-1]
    return f"{number(value)} {unit}"


def sentence(feature: Feature, value: Value, profile: ReasonProfile, *, for_churn: bool) -> str:
    """Describe one account's value of a feature.

    ``Feature.why`` where the value speaks for churn and lies on the churn side of the retained median, or where the
    feature has no direction (then with the usual range); otherwise a neutral sentence.
    """
    if value is None:
        return feature.why_missing or f"No {feature.label} on record"
    why = _why(feature, value)
    if why is not None and feature.monotone == 0:
        return why + _usually(feature, value, profile)
    if why is not None and for_churn and on_churn_side(feature, value, profile):
        return why
    return _neutral(feature, value, profile)


def on_churn_side(feature: Feature, value: Value, profile: ReasonProfile) -> bool:
    """Say whether the value lies on the side of the usual where its monotone direction expects more churn."""
    median = profile.median.get(feature.name)
    if feature.monotone == 0 or isinstance(value, str) or value is None or median is None:
        return False
    # a trend that merely rises less than others' is not falling
    middle = 0.0 if feature.unit == "trend" else median
    return (value - middle) * feature.monotone > 0


def _why(feature: Feature, value: Value) -> str | None:
    names = {name for _, name, _, _ in string.Formatter().parse(feature.why) if name is not None}
    if names - {"value"} or not feature.why:
        return None
    try:
        return _grammatical(feature.why.format(value=value))
    except (ValueError, TypeError, IndexError):
        return None


def _grammatical(text: str) -> str:
    """Fix what a template cannot know: "only 0 events" and "1 days"."""
    text = (
        text.replace("Active on only 0 of", "Not active on any of")
        .replace("Only 0 ", "No ")
        .replace("only 0 new", "no new")
    )
    return _ONE.sub(lambda match: f"1 {_SINGULAR[match[1]]}", text)


def _neutral(feature: Feature, value: Value, profile: ReasonProfile) -> str:
    label = feature.label[:1].upper() + feature.label[1:]
    return f"{label}: {quantity(value, feature.unit)}" + _usually(feature, value, profile)


def _usually(feature: Feature, value: Value, profile: ReasonProfile) -> str:
    low, high = profile.low.get(feature.name), profile.high.get(feature.name)
    if isinstance(value, str) or low is None or high is None or feature.unit in _FLAGS:
        return ""
    peers = f" {profile.who}" if profile.who else ""
    if low == high:
        return f" (usually {quantity(low, feature.unit)}{peers})"
    bare = feature.unit if feature.unit in _SHARES else ""
    return f" (usually {quantity(low, bare)}–{quantity(high, bare)}{peers})"
