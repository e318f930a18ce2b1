"""The name of a table or view in the engine, handed from the step that made it to the steps that read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view in the engine; formatted into SQL it is its name."""

    name: str

    def __str__(self) -> str:
        return self.name
