"""The traffic light and who decided."""

from __future__ import annotations

from enum import StrEnum


class Colour(StrEnum):
    """The traffic light; grey means "not enough data"."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    GREY = "grey"


class DecidedBy(StrEnum):
    """Which part had the last word on a colour."""

    MODEL = "model"
    RULE = "rule"
    OVERRIDE = "override"
    HYSTERESIS = "hysteresis"
    ELIGIBILITY = "eligibility"
