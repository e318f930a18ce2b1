import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.model import Binner, BoostedTrees, FrameEncoder
from churnrisk.tracking import load_trusted


@pytest.fixture(scope="module")
def trees():
    rng = np.random.default_rng(0)
    encoded = np.column_stack([rng.normal(size=1500), rng.integers(0, 4, 1500), rng.exponential(1, 1500)])
    encoded[rng.random(1500) < 0.2, 2] = np.nan
    churned = rng.random(1500) < 1 / (1 + np.exp(-encoded[:, 0] - (encoded[:, 1] == 2)))
    categorical = np.array([False, True, False])
    model = BoostedTrees(max_iter=60, min_samples_leaf=20).fit(encoded, churned, categorical)
    return model, encoded


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_tables_reproduce_the_trees_on_any_row(trees, seed):
    model, _ = trees
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.normal(0, 5, 40), rng.integers(0, 9, 40), rng.normal(0, 5, 40)]).astype(float)
    rows[rng.random(rows.shape) < 0.3] = np.nan
    walked = np.mean([t.decision_function(model.binner_.bins(rows)) for t in model.trees_], axis=0)
    assert model.exact_
    assert np.abs(model.decision_function(rows) - walked).max() < 1e-6


@pytest.mark.parametrize("rows", [500, 30_000])
def test_contributions_may_be_written_over_the_matrix(trees, rows):
    model, encoded = trees
    many = np.asfortranarray(np.resize(encoded, (rows, encoded.shape[1])))
    apart = model.contributions(many)
    assert model.contributions(many, in_place=True) is many
    assert np.array_equal(many, apart)
    assert (
        np.abs(
            model.baseline_ + apart.sum(axis=1) - model.decision_function(np.resize(encoded, apart.shape))
        ).max()
        < 1e-9
    )


def test_contributions_are_centred_on_the_training_mean(trees):
    model, encoded = trees
    assert np.abs(model.contributions(encoded).mean(axis=0)).max() < 1e-9
    assert model.baseline_ == pytest.approx(model.decision_function(encoded).mean())


def test_a_column_contributes_the_same_whatever_the_others_are(trees):
    model, encoded = trees
    moved = encoded.copy()
    moved[:, 0] = 0.3
    assert np.array_equal(model.contributions(moved)[:, 1:], model.contributions(encoded)[:, 1:])


def test_an_exact_model_is_stored_without_its_trees_and_answers_the_same(trees):
    model, encoded = trees
    assert not {"trees_", "steps_"} & model.__getstate__().keys()
    loaded = load_trusted(skops.io.dumps(model))
    assert np.array_equal(loaded.decision_function(encoded), model.decision_function(encoded))
    assert np.array_equal(loaded.contributions(encoded), model.contributions(encoded))


def test_tables_that_disagree_with_trees_stored_earlier_are_built_again_on_load(trees):
    model, encoded = trees
    state = vars(model) | {"tables_": [table + 1.0 for table in model.tables_]}
    loaded = BoostedTrees.__new__(BoostedTrees)
    loaded.__setstate__(state)
    assert np.allclose(loaded.decision_function(encoded), model.decision_function(encoded), atol=1e-9)


def test_trees_that_no_table_holds_are_walked_after_loading():
    """A model whose tables are claimed to be exact, but whose trees interact."""
    rng = np.random.default_rng(4)
    encoded = rng.normal(size=(1500, 2))
    churned = rng.random(1500) < 1 / (1 + np.exp(-4 * encoded[:, 0] * encoded[:, 1]))
    full = BoostedTrees(additive=False, max_iter=40, min_samples_leaf=20).fit(
        encoded, churned, np.zeros(2, bool)
    )
    claimed = full.__getstate__() | {"additive": True, "exact_": True}
    claimed["steps_"] = [full.binner_.steps(j, table) for j, table in enumerate(full.tables_)]
    loaded = BoostedTrees.__new__(BoostedTrees)
    loaded.__setstate__(claimed)
    assert not loaded.exact_
    many = np.tile(encoded, (20, 1))  # enough for the grid, were there one
    assert np.allclose(loaded.decision_function(many), full.decision_function(many), atol=1e-12)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=400))
def test_bins_keep_the_order_and_stay_few(values):
    column = np.array(values)[:, None]
    binner = Binner.learn(column, np.array([False]), most_bins=16)
    bins = binner.bins(column)[:, 0]
    order = np.argsort(column[:, 0], kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    assert bins.max() < binner.counts[0] <= 16


def test_rare_and_unseen_levels_share_one_code_and_missing_stays_missing():
    levels = np.array(["a"] * 6 + ["b"] * 4 + ["c"], dtype=object)
    import pandas as pd

    encoder = FrameEncoder(min_count=3).fit(pd.DataFrame({"plan": levels}))
    codes = encoder.transform(pd.DataFrame({"plan": ["a", "b", "c", "new", None]}))[:, 0]
    assert codes[:4].tolist() == [0, 1, 2, 2]
    assert np.isnan(codes[4])


def test_columns_without_two_values_are_left_out_with_a_note():
    encoder = FrameEncoder().fit(np.array([[1.0, 2.0, np.nan], [1.0, 3.0, np.nan]]))
    assert encoder.names_ == ["x1"]
    assert len(encoder.notes_) == 2


def test_averaged_models_are_still_one_exact_table_per_column():
    rng = np.random.default_rng(2)
    encoded = rng.normal(size=(1200, 4))
    churned = rng.random(1200) < 1 / (1 + np.exp(-encoded[:, 0] + encoded[:, 1]))
    few = {"max_iter": 30, "min_samples_leaf": 20, "max_features": 0.5}
    none = np.zeros(4, dtype=bool)
    alone = [BoostedTrees(random_state=seed, **few).fit(encoded, churned, none) for seed in range(3)]
    together = BoostedTrees(n_models=3, **few).fit(encoded, churned, none)
    mean = np.mean([model.decision_function(encoded) for model in alone], axis=0)
    assert together.exact_
    assert np.abs(together.decision_function(encoded) - mean).max() < 1e-6
