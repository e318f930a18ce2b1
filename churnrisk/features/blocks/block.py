"""What a block hands to the features: relations to join with the rows of the panel, and their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: What names a row of the panel, and so of most relations.
ROW = ("account_key", "as_of")


@dataclass(frozen=True)
class Block:
    """Relations that were created for the rows of ``panel_rows``, and what features may read of them.

    Attributes
    ----------
    relations : mapping of str to tuple of str
        The columns of ``panel_rows`` that each is joined by.
    columns : str
        A select list over the relations.
    """

    relations: Mapping[str, tuple[str, ...]]
    columns: str

    @classmethod
    def of(cls, *relations: str) -> Block:
        """Return the block of relations with a row per account and date."""
        columns = ", ".join(f"{name}.* exclude ({', '.join(ROW)})" for name in relations)
        return cls(dict.fromkeys(relations, ROW), columns)
