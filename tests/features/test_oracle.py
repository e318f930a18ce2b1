"""Every feature of the catalogue equals its plain-Python definition."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.features import CATALOGUE, FeatureFrame
from tests.features.computing import KEYS, compute
from tests.features.oracle import oracle
from tests.world import World, at, random_world

pytestmark = pytest.mark.slow

seeds = st.integers(0, 10**9)


def assert_equals_oracle(world: World, dates: list[datetime]) -> FeatureFrame:
    frame = compute(world, dates)
    for (account, as_of), values in frame.X.iterrows():
        expected = oracle(world, account, as_of.to_pydatetime(), key_features=KEYS)
        for name, value in expected.items():
            found = values[name]
            if value is None:
                assert pd.isna(found), f"{name} of {account} at {as_of}: {found} for unknown"
            elif isinstance(value, str):
                assert found == value, f"{name} of {account} at {as_of}: {found} for {value}"
            else:
                assert found == pytest.approx(float(value), rel=1e-9), f"{name} of {account} at {as_of}"
    return frame


@given(seed=seeds, days=st.lists(st.integers(1, 520), min_size=1, max_size=3, unique=True))
@settings(max_examples=30)
def test_every_feature_equals_its_definition(seed: int, days: list[int]) -> None:
    assert_equals_oracle(random_world(seed), [at(day) for day in days])


@pytest.mark.parametrize(("features", "least"), [(100, 63), (150, 126)])
def test_more_features_than_one_mask_word_holds_are_counted(features: int, least: int) -> None:
    world = random_world(3, accounts=2, events=5_000, features=features)
    frame = assert_equals_oracle(world, [at(380), at(430)])
    assert frame.X["features_90"].max() > least


def test_the_oracle_knows_every_feature_of_the_catalogue() -> None:
    known = oracle(random_world(1), "A0", at(200), key_features=())
    assert {feature.name for feature in CATALOGUE} <= set(known)


def test_some_world_gives_every_feature_a_value() -> None:
    frames = [compute(random_world(seed), [at(200), at(300)]).X for seed in range(14)]
    values = pd.concat([frame.astype(object) for frame in frames])
    assert not [name for name in values if values[name].notna().sum() == 0]
    assert not [name for name in values if values[name].nunique() < 2]
