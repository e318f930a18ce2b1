from .promises import (
    BROKEN,
    KEPT,
    NO_PROMISE,
    OPEN,
    UNCLEAR,
    Promised,
    Promises,
    RunOfColour,
    promises,
    verdict_of,
)

__all__ = [
    "BROKEN",
    "KEPT",
    "NO_PROMISE",
    "OPEN",
    "Promised",
    "Promises",
    "RunOfColour",
    "UNCLEAR",
    "promises",
    "verdict_of",
]
