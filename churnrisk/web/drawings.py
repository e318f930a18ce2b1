"""What was drawn of an answer, kept as long as the answer is the same one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar

Drawn = TypeVar("Drawn")


class Drawings:
    """The last drawings by question; safe to use from many threads.

    The history gives the very same object until something changes, so a drawing holds for as long as its object
    comes back.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[object, object]] = OrderedDict()
        self._lock = Lock()

    def take(self, question: Hashable, answer: object, draw: Callable[[], Drawn]) -> Drawn:
        """Return the drawing of an answer, drawn anew when the question had another answer before."""
        with self._lock:
            known = self._kept.get(question)
            if known is not None and known[0] is answer:
                self._kept.move_to_end(question)
                return known[1]  # type: ignore[return-value]  # the same question draws the same kind of thing
        drawn = draw()
        with self._lock:
            self._kept[question] = (answer, drawn)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return drawn
