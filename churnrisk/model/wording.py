"""Values and ranges put in words, never NaN, with sensible digits and units."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from churnrisk.model.profile import ReasonProfile
from churnrisk.records import Feature

Value = float | str | None

# These units say nothing beside the number; the label carries the meaning.
_SILENT_UNITS = frozenset(
    {"", "flag", "ratio", "score", "name", "category", "level", "index", "number", "count", "none"}
)
_SHARES = frozenset({"share", "fraction", "proportion"})
_FLAGS = frozenset({"flag", "bool", "boolean", "yes/no"})


def plain(value: Any) -> Value:
    """Return a float, a text or None for missing; dtypes of numpy and pandas become plain Python."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None if str(value) in ("<NA>", "NaT", "nan") else str(value)
    return None if np.isnan(number) else number


def number(value: float) -> str:
    """Return a number as people write it: thousands apart, up to three significant digits below 100."""
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}".removesuffix(".0")
    if abs(value) >= 0.01:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:.2g}"


def quantity(value: Value, unit: str) -> str:
    """Return a value with its unit: "12 days", "35 %", "yes"."""
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
    """Return the reason sentence for one value of one account.

    That is ``Feature.why`` where the value speaks for churn and stands on the churn side of the retained
    median; else, and where no direction is known, a neutral sentence with the usual range.
    """
    if value is None:
        return f"No {feature.label} on record"
    if for_churn and on_churn_side(feature, value, profile):
        told = _why(feature, value)
        if told is not None:
            return told
    return _neutral(feature, value, profile)


def on_churn_side(feature: Feature, value: Value, profile: ReasonProfile) -> bool:
    """Return whether the value lies where its monotone direction says churn is likelier than usual."""
    median = profile.median.get(feature.name)
    if feature.monotone == 0 or isinstance(value, str) or value is None or median is None:
        return False
    return (value - median) * feature.monotone > 0


def _why(feature: Feature, value: Value) -> str | None:
    names = {name for _, name, _, _ in string.Formatter().parse(feature.why) if name is not None}
    if names - {"value"}:
        return None
    try:
        return feature.why.format(value=value)
    except (ValueError, TypeError, IndexError):
        return None


def _neutral(feature: Feature, value: Value, profile: ReasonProfile) -> str:
    label = feature.label[:1].upper() + feature.label[1:]
    told = f"{label} is {quantity(value, feature.unit)}"
    low, high = profile.low.get(feature.name), profile.high.get(feature.name)
    if isinstance(value, str) or low is None or high is None or feature.unit in _FLAGS:
        return told
    if low == high:
        return f"{told} (usually {quantity(low, feature.unit)})"
    bare = feature.unit if feature.unit in _SHARES else ""
    return f"{told} (usually {quantity(low, bare)}–{quantity(high, bare)})"  # noqa: RUF001
