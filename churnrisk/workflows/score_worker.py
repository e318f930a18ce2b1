"""What a Spark worker does: features become probabilities and colours, by a model that was sent as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa

from churnrisk.decision import Rule, TrafficLight
from churnrisk.tracking.bundle import build, unpack
from churnrisk.workflows.coloured import coloured
from churnrisk.workflows.waves import settled_light

#: What the tables say of an account, and what the run before said; beside them stand the model's columns.
FACTS = ("name", "owner", "segment", "annual_value", "renewal_at", "tenure_days", "last_survey_score")
BEFORE = ("colour", "raw_colour", "decided_by")

SCHEMA = pa.schema(
    [
        ("account_id", pa.string()),
        ("name", pa.string()),
        ("owner", pa.string()),
        ("segment", pa.string()),
        ("probability", pa.float64()),
        ("log_odds", pa.float64()),
        ("colour", pa.string()),
        ("raw_colour", pa.string()),
        ("model_colour", pa.string()),
        ("decided_by", pa.string()),
        ("rule", pa.string()),
        ("annual_value", pa.float64()),
        ("renewal_at", pa.timestamp("us")),
        ("stage", pa.string()),
        ("colour_before", pa.string()),
    ]
)


@dataclass(frozen=True)
class Policy:
    """What turns a batch's features into colours, beside the model.

    Attributes
    ----------
    columns : sequence of str
        The model's columns.
    categorical : sequence of str
        Those that hold names.
    rules : sequence of Rule
        The active ones.
    margin : float
        Of hysteresis.
    overrides : mapping of str to str
        Account ids to the colours that people have set.
    wave : bool
        Whether unusually many newcomers are in the snapshot as a whole.
    """

    columns: Sequence[str]
    categorical: Sequence[str]
    rules: Sequence[Rule]
    margin: float
    overrides: Mapping[str, str]
    wave: bool

    def with_model(self, bundle: bytes) -> bytes:
        """Return what every worker is given: a line of JSON, then the bundle; nothing of it is a pickle."""
        return json.dumps(asdict(self)).encode() + b"\n" + bundle


def score_batches(given: bytes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Score batches of accounts.

    Parameters
    ----------
    given : bytes
        Of :meth:`Policy.with_model`.
    batches : iterator of RecordBatch
        account_id, as_of, grey_reason, the model's columns as ``x0``, ``x1`` …, ``fact_<name>`` and
        ``before_<name>``.

    Yields
    ------
    RecordBatch
        Of :data:`SCHEMA`, one row per account.
    """
    policy, classifier, light = _opened(given)
    for batch in batches:
        if batch.num_rows:
            yield _scored(batch.to_pandas(), policy, classifier, light)


@lru_cache(maxsize=1)
def _opened(given: bytes) -> tuple[Policy, Any, TrafficLight]:
    """Build the model once per process of a worker, through the same checks as every bundle."""
    told, _, content = given.partition(b"\n")
    saved = json.loads(told)
    policy = Policy(**{**saved, "rules": [Rule(**rule) for rule in saved["rules"]]})
    model = build(unpack(content, name="the model"), name="the model").load()
    return (
        policy,
        model.classifier,
        settled_light(model.thresholds, wave=policy.wave),
    )


def _scored(rows: pd.DataFrame, policy: Policy, classifier: Any, light: TrafficLight) -> pa.RecordBatch:
    rows = rows.set_index(["account_id", "as_of"])
    accounts = rows.index.get_level_values("account_id")
    X = rows[[f"x{number}" for number in range(len(policy.columns))]].set_axis(list(policy.columns), axis=1)
    X = X.astype(dict.fromkeys(policy.categorical, "category"))
    before = rows[[f"before_{name}" for name in BEFORE]].set_axis(list(BEFORE), axis=1).set_axis(accounts)
    facts = rows[[f"fact_{name}" for name in FACTS]].set_axis(list(FACTS), axis=1).set_axis(accounts)
    scores, _ = coloured(
        X,
        pd.Series(rows["grey_reason"].to_numpy(dtype=object), index=accounts),
        facts,
        classifier=classifier,
        light=light,
        rules=policy.rules,
        margin=policy.margin,
        previous=before,
        overrides=pd.Series(dict(policy.overrides), dtype=object),
    )
    scores["colour_before"] = before["colour"].to_numpy(dtype=object)
    return pa.RecordBatch.from_pandas(scores, schema=SCHEMA, preserve_index=False)
