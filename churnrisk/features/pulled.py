"""The features of accounts after levers are pulled, by the same SQL as today's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from churnrisk.features.levers import Lever
from churnrisk.records import Feature
from churnrisk.sources import Tables, identifier, timestamp_literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Accounts are looked at in chunks of so many, each with its doses.
CHUNK = 50_000


class Pulled:
    """What levers do to the features of some accounts at one as-of date.

    Parameters
    ----------
    tables : Tables
        Opened tables whose engine holds ``feature_inputs`` (see :func:`churnrisk.features.build_features`).
    features : sequence of Feature
        The columns of the model.
    accounts : index of account ids
        Whom to look at; an account's place is its position here.
    as_of : datetime
        The date of the score.
    """

    def __init__(
        self, tables: Tables, features: Sequence[Feature], accounts: pd.Index, *, as_of: datetime
    ) -> None:
        self._engine, self._features = tables.engine, features
        self._count = len(accounts)
        asked = accounts.to_frame(index=False, name="account_id").assign(place=range(len(accounts)))
        self._engine.table_from("lever_accounts", asked)
        self._engine.run(
            "create or replace temp table lever_inputs as select i.*, l.place from feature_inputs i "
            f"join lever_accounts l using (account_id) where i.as_of = {timestamp_literal(as_of)}"
        )

    def features(
        self, levers: Sequence[Lever], doses: Sequence[pa.Table | None] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the features that the levers touch, pulled one after the other, in chunks of accounts.

        Parameters
        ----------
        levers : sequence of Lever
        doses : sequence of (pyarrow Table or None), optional
            What to try of each lever: columns ``place`` and ``dose``; None tries every dose on everyone.

        Yields
        ------
        DataFrame
            One row per account and dose of each lever, where each has something to change, in no order:
            place, dose_0 (dose_1 … with more levers) and float64 columns of features.
        """
        touched = influenced(self._features, levers)
        names = "".join(f", dose_{i}" for i in range(len(levers)))
        columns = "".join(f", ({feature.sql})::double as {identifier(feature.name)}" for feature in touched)
        wanted = [self._doses(i, table) for i, table in enumerate(doses or [None] * len(levers))]
        for start in range(0, self._count, CHUNK):
            source = f"(select * from lever_inputs where place >= {start} and place < {start + CHUNK})"
            for i, lever in enumerate(levers):
                source = _after(source, lever, f"dose_{i}", wanted[i])
            yield self._engine.arrow(f"select place{names}{columns} from {source}").to_pandas()

    def _doses(self, i: int, table: pa.Table | None) -> str | None:
        """Put the doses of one lever into the engine and return the table's name."""
        if table is None:
            return None
        self._engine.table_from(f"lever_doses_{i}", table)
        return f"lever_doses_{i}"


def _after(source: str, lever: Lever, dose: str, doses: str | None) -> str:
    replaced = ", ".join(f"{sql.format(n=dose)} as {name}" for name, sql in lever.sets.items())
    if doses is None:
        values = ", ".join(f"({n})" for n in lever.doses)
        dosed = f"cross join (values {values}) d({dose})"
    else:
        dosed = f"join (select place, dose as {dose} from {doses}) using (place)"
    return f"(select * replace ({replaced}) from {source} {dosed} where {lever.when.format(n=dose)})"


def influenced(features: Sequence[Feature], levers: Iterable[Lever]) -> tuple[Feature, ...]:
    """Return the numeric features whose SQL reads a column that one of the levers changes."""
    names = {name for lever in levers for name in lever.sets}
    return tuple(
        feature
        for feature in features
        if not feature.categorical and names & set(re.findall(r"[A-Za-z_]\w*", feature.sql))
    )
