"""Records check themselves, and documents become plain JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression

from churnrisk.errors import UsageError
from churnrisk.records import Interval
from churnrisk.tracking import DatasetRecord, TrainingRecord, as_json, masked, metric_name


def test_a_dataset_is_named_by_its_block_and_as_of_dates() -> None:
    dataset = DatasetRecord("fit", datetime(2025, 5, 1), datetime(2025, 12, 27), 10, "d")
    assert dataset.name == "panel-fit-2025-05-01..2025-12-27"


def test_a_dataset_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(UsageError, match="swap"):
        DatasetRecord("fit", datetime(2025, 5, 1), datetime(2025, 4, 1), 10, "d")


def test_a_model_without_probabilities_is_refused() -> None:
    with pytest.raises(UsageError, match="LinearRegression"):
        TrainingRecord(LinearRegression(), pd.DataFrame({"a": [1.0]}))


def test_a_training_without_example_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="example row"):
        TrainingRecord(LogisticRegression(), pd.DataFrame({"a": []}))


@given(st.text(min_size=1))
def test_sanitised_names_are_valid_stable_and_as_long_as_before(name: str) -> None:
    clean = metric_name(name)
    assert len(clean) == len(name)
    assert metric_name(clean) == clean
    assert all(letter.isascii() and (letter.isalnum() or letter in "_-. /") for letter in clean)


def test_records_dates_sets_and_numpy_values_become_plain_json() -> None:
    value = {
        "interval": Interval(0.5, 0.4, np.float64(0.6)),
        "at": datetime(2025, 1, 2, tzinfo=UTC),
        "levels": np.array([1, 2]),
        "colours": {"red", "amber"},
    }
    assert json.loads(as_json(value)) == {
        "interval": {"value": 0.5, "low": 0.4, "high": 0.6},
        "at": "2025-01-02T00:00:00+00:00",
        "levels": [1, 2],
        "colours": ["amber", "red"],
    }


def test_passwords_in_addresses_are_masked() -> None:
    assert (
        masked("at postgresql://ada:s3cret@db/x and http://h/y")
        == "at postgresql://ada:***@db/x and http://h/y"
    )
