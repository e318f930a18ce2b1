"""The estimators among scikit-learn's own tools, on frames of every kind, with gaps and names."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from churnrisk.errors import ContractError
from churnrisk.model import ChurnClassifier, FrameEncoder, PanelSplit
from tests.model.conftest import make_panel

QUICK = ChurnClassifier(candidates=("logistic",), n_splits=2)
CV = PanelSplit(2, embargo_days=30)


@pytest.fixture(scope="module")
def small():
    X, y, _ = make_panel(accounts=150, dates=5)
    return X, y


def test_a_clone_has_the_parameters_and_learns_the_same(small):
    X, y = small
    model = ChurnClassifier(candidates=("logistic",), monotone={"nps": -1}, n_splits=2).fit(X, y)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "model_")
    np.testing.assert_array_equal(copy.fit(X, y).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("groups", ["none", "accounts"])
def test_a_grid_search_over_time_ordered_folds_takes_the_accounts_as_groups(small, groups):
    X, y = small
    given = X.index.get_level_values("account_id") if groups == "accounts" else None
    search = GridSearchCV(
        QUICK, {"candidates": [("logistic",), ("additive",)], "max_iter": [20]}, cv=CV, scoring="neg_log_loss"
    )
    search.fit(X, y, groups=given)
    assert search.n_splits_ == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict_proba(X).shape == (len(X), 2)


def test_integer_account_ids_are_never_taken_for_dates(small):
    X, y = small
    bare = X.drop(columns="plan").to_numpy()
    with pytest.raises(ContractError, match="found groups that are no dates"):
        cross_validate(QUICK, bare, y, cv=CV, groups=np.arange(len(X)))
    dates = X.index.get_level_values("as_of")
    assert len(cross_validate(QUICK, bare, y, cv=CV, groups=dates)["test_score"]) == 2


def test_no_fold_of_a_search_learns_from_a_label_that_reaches_into_its_validation(small):
    X, y = small
    as_of = X.index.get_level_values("as_of")
    for train, validation in CV.split(X, y):
        assert as_of[validation].min() - as_of[train].max() >= pd.Timedelta(days=30)
    found = RandomizedSearchCV(
        LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=2, cv=CV, scoring="roc_auc", random_state=0
    ).fit(X[["days_since_last_event", "complaints_open"]], y)
    assert found.best_score_ > 0.6


def test_it_works_at_the_end_of_a_pipeline_that_keeps_the_panel(small):
    X, y = small
    encode = make_column_transformer(
        (OrdinalEncoder(), ["plan"]), remainder=StandardScaler(), verbose_feature_names_out=False
    ).set_output(transform="pandas")
    pipeline = make_pipeline(encode, QUICK)
    scores = cross_validate(pipeline, X, y, cv=CV, scoring="roc_auc")["test_score"]
    assert scores.min() > 0.65
    assert "time-ordered" in pipeline.fit(X, y)[-1].cv_folds_


def test_probabilities_out_of_fold_are_those_of_models_that_never_saw_the_fold(small):
    X, y = small
    accounts = X.index.get_level_values("account_id")
    member = pd.factorize(accounts)[0] % 2
    folds = [(np.flatnonzero(member != k), np.flatnonzero(member == k)) for k in (0, 1)]
    p = cross_val_predict(QUICK, X, y, cv=folds, method="predict_proba")[:, 1]
    other = clone(QUICK).fit(X[member == 1], y[member == 1])
    np.testing.assert_array_equal(p[member == 0], other.predict_proba(X[member == 0])[:, 1])


@pytest.mark.parametrize(("output", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_the_encoder_gives_named_frames_of_the_kind_asked_for(small, output, kind):
    X, _ = small
    encoded = FrameEncoder().set_output(transform=output).fit_transform(X)
    assert isinstance(encoded, kind)
    assert list(encoded.columns) == ["days_since_last_event", "features_30", "complaints_open", "nps", "plan"]


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda X: pa.Table.from_pandas(X, preserve_index=False),
        lambda X: duckdb.connect().from_df(X),
    ],
    ids=["polars", "pyarrow", "duckdb"],
)
def test_frames_of_other_libraries_give_the_probabilities_of_pandas(small, convert):
    X, y = small
    X = X.reset_index(drop=True).assign(seats=pd.array([None, 3] * (len(X) // 2), dtype="Int64"))
    model = clone(QUICK).fit(X, y)
    other = clone(QUICK).fit(convert(X), y)
    assert list(other.feature_names_in_) == list(X.columns)
    np.testing.assert_array_equal(other.predict_proba(convert(X)), model.predict_proba(X))
    np.testing.assert_array_equal(other.contributions(convert(X)), model.contributions(X))


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "int64[pyarrow]", "object"])
def test_integers_with_gaps_are_numbers_with_gaps(small, dtype):
    X, y = small
    seats = np.where(np.arange(len(X)) % 4 == 0, np.nan, np.arange(len(X)) % 7)
    plain = clone(QUICK).fit(X.assign(seats=seats), y).predict_proba(X.assign(seats=seats))
    gaps = pd.Series(seats, index=X.index).astype("Int64").astype(dtype)
    found = clone(QUICK).fit(X.assign(seats=gaps), y).predict_proba(X.assign(seats=gaps))
    np.testing.assert_array_equal(found, plain)


def test_what_a_row_gets_depends_on_no_other_row_of_the_batch(small):
    X, y = small
    model = clone(QUICK).fit(X, y)
    batch = model.predict_proba(X)
    alone = np.vstack([model.predict_proba(X.iloc[[i]]) for i in range(20)])
    np.testing.assert_allclose(alone, batch[:20], rtol=0, atol=1e-15)


def test_categories_that_only_later_rows_have_teach_nothing(small):
    X, y = small
    wider = X.assign(plan=X["plan"].cat.add_categories(["a plan of tomorrow"]))
    model, other = clone(QUICK).fit(X, y), clone(QUICK).fit(wider, y)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("candidate", ["logistic", "additive", "full"])
def test_a_category_never_seen_shares_the_code_of_the_rare_ones(small, candidate):
    X, y = small
    rare = np.where(np.arange(len(X)) % 60 == 0, "rare", X["plan"].astype(str))
    model = ChurnClassifier(candidates=(candidate,), n_splits=2, max_iter=30).fit(X.assign(plan=rare), y)
    rows = X.head(30)
    unseen = model.predict_proba(rows.assign(plan="a plan of tomorrow"))
    np.testing.assert_array_equal(unseen, model.predict_proba(rows.assign(plan="rare")))


def test_a_column_of_nothing_is_left_out_and_said(small):
    X, y = small
    model = clone(QUICK).fit(X.assign(nps=np.nan, score=pd.array([None] * len(X), dtype="Int64")), y)
    notes = [note for note in model.notes_ if "left out" in note]
    assert {"nps", "score"} <= {note.split("'")[1] for note in notes}
    full = X.assign(score=pd.array([7] * len(X), dtype="Int64"))
    assert np.isfinite(model.predict_proba(full)).all()


def test_a_panel_of_one_snapshot_falls_back_to_folds_of_accounts_and_is_refused_by_the_splitter(small):
    X, y = small
    first = X.index.get_level_values("as_of") == X.index.get_level_values("as_of").min()
    model = clone(QUICK).fit(X[first], y[first])
    assert model.cv_folds_ == "2 account-disjoint folds"
    with pytest.raises(ContractError, match=r"found 0 of 1 dates\. Widen the history"):
        list(CV.split(X[first]))


def test_a_number_that_became_text_is_refused_with_its_column(small):
    X, y = small
    model = clone(QUICK).fit(X, y)
    with pytest.raises(ContractError, match="column 'nps' was numeric when the model was fitted"):
        model.predict_proba(X.assign(nps="seven"))
