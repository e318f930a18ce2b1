from .promises import (
    BROKEN,
    IN_FORCE,
    KEPT,
    NO_PROMISE,
    OPEN,
    UNCLEAR,
    WITHDRAWN,
    Promised,
    Promises,
    RunOfColour,
    monitor,
    promises,
    verdict_of,
)

__all__ = [
    "BROKEN", "IN_FORCE", "KEPT", "NO_PROMISE", "OPEN", "Promised", "Promises", "RunOfColour", "UNCLEAR",
    "WITHDRAWN", "monitor", "promises", "verdict_of",
]  # fmt: skip
