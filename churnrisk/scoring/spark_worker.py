"""What a Spark worker does: score batches with a model that was sent as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa

from churnrisk.lights import Rule, TrafficLight
from churnrisk.scoring.batches import Batch, Scorer
from churnrisk.tracking import build, unpack

#: Columns of the facts and of the previous run beside the model's columns.
FACTS = ("name", "owner", "segment", "annual_value", "renewal_at", "tenure_days", "last_survey_score")
PREVIOUS = ("colour", "raw_colour", "decided_by")

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("account_id", "name", "owner", "segment")),
        *((name, pa.float64()) for name in ("probability", "log_odds")),
        *((name, pa.string()) for name in ("colour", "raw_colour", "model_colour", "decided_by", "rule")),
        ("annual_value", pa.float64()),
        ("renewal_at", pa.timestamp("us")),
        ("stage", pa.string()),
        ("colour_before", pa.string()),
    ]
)


@dataclass(frozen=True)
class Policy:
    """A :class:`Scorer` without its model, ready for JSON; ``categorical`` are the columns that hold names."""

    columns: Sequence[str]
    categorical: Sequence[str]
    light: Mapping[str, Any]
    rules: Sequence[Rule]
    margin: float
    overrides: Mapping[str, str]

    @classmethod
    def of(cls, scorer: Scorer, *, categorical: Sequence[str]) -> Policy:
        """Return what a worker needs of a scorer."""
        overrides = {str(account): str(colour) for account, colour in scorer.overrides.items()}
        light = scorer.light.to_dict()
        return cls(scorer.columns, categorical, light, scorer.rules, scorer.margin, overrides)

    def with_model(self, bundle: bytes) -> bytes:
        """Return what every worker is sent: a line of JSON, then the bundle; no part of it is a pickle."""
        return json.dumps(asdict(self)).encode() + b"\n" + bundle


def score_batches(sent: bytes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches of :data:`SCHEMA`, one row per account.

    ``sent`` is of :meth:`Policy.with_model`; the batches have account_id, as_of, grey_reason, the model's columns as
    ``x0``, ``x1`` …, ``fact_<name>`` and ``before_<name>``.
    """
    scorer, categorical = _opened(sent)
    for batch in batches:
        if batch.num_rows:
            yield _scored(batch.to_pandas(), scorer, categorical)


@lru_cache(maxsize=1)
def _opened(sent: bytes) -> tuple[Scorer, Sequence[str]]:
    """Build the model once per worker process, through the same checks as every bundle."""
    line, _, content = sent.partition(b"\n")
    fields = json.loads(line)
    policy = Policy(**fields | {"rules": [Rule(**rule) for rule in fields["rules"]]})
    scorer = Scorer(
        build(unpack(content, name="the model"), name="the model").load().classifier,
        policy.columns,
        TrafficLight.from_dict(dict(policy.light)),
        policy.rules,
        policy.margin,
        pd.Series(dict(policy.overrides), dtype=object),
    )
    return scorer, policy.categorical


def _scored(rows: pd.DataFrame, scorer: Scorer, categorical: Sequence[str]) -> pa.RecordBatch:
    rows = rows.set_index(["account_id", "as_of"])
    accounts = rows.index.get_level_values("account_id")
    X = rows[[f"x{number}" for number in range(len(scorer.columns))]].set_axis(list(scorer.columns), axis=1)
    previous = _prefixed(rows, "before", PREVIOUS).set_axis(accounts)
    batch = Batch(
        X.astype(dict.fromkeys(categorical, "category")),
        pd.Series(rows["grey_reason"].to_numpy(dtype=object), index=accounts),
        _prefixed(rows, "fact", FACTS).set_axis(accounts),
        previous,
    )
    scores, _ = scorer.score_batch(batch)
    scores["colour_before"] = previous["colour"].to_numpy(dtype=object)
    return pa.RecordBatch.from_pandas(scores, schema=SCHEMA, preserve_index=False)


def _prefixed(rows: pd.DataFrame, prefix: str, names: Sequence[str]) -> pd.DataFrame:
    return rows[[f"{prefix}_{name}" for name in names]].set_axis(list(names), axis=1)
