"""Answers that many people ask for, kept as long as nothing has been published, reviewed or handed out since."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select

from churnrisk.history.schema import actions, reviews, run_outcomes, runs

Answer = TypeVar("Answer")
_STATE = select(
    select(func.max(runs.c.run_id)).scalar_subquery(),
    select(func.max(reviews.c.review_id)).scalar_subquery(),
    select(func.max(actions.c.action_id)).scalar_subquery(),
    func.count(run_outcomes.c.data_end),
    func.max(run_outcomes.c.data_end),
    func.sum(run_outcomes.c.churned),
)


class Memory:
    """The last answers of one state of the history, by question; safe to use from many threads.

    The state is the last run, review and handed-out action, and what is known of outcomes. It changes with
    everything that an answer is made of, whichever process writes it.

    Parameters
    ----------
    most : int
        How many answers are kept.
    """

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._state: Any = None
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def answer(self, connection: Connection, question: Hashable, find: Callable[[], Answer]) -> Answer:
        """Return the answer to a question, found anew when the state is another one.

        Parameters
        ----------
        connection : Connection
            A transaction that sees one state; ``find`` reads by it.
        """
        state = tuple(connection.execute(_STATE).one())
        with self._lock:
            if state == self._state and question in self._answers:
                self._answers.move_to_end(question)
                known: Answer = self._answers[question]
                return known
        found = find()
        with self._lock:
            if state != self._state:
                self._state = state
                self._answers.clear()
            self._answers[question] = found
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return found
