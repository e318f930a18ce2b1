"""The sample world knows its causes of churn and its true probabilities; the product must find them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churnrisk.cli.app import app
from tests.conftest import Once

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
AS_OF = "2026-06-01"

#: Which reason families speak of which planted cause.
FAMILIES = {
    "silence": {"recency", "breadth"},
    "decline": {"recency", "breadth"},
    "narrowing": {"breadth", "recency"},
    "complaints": {"complaints"},
    "owner_change": {"relationship"},
    "renewal": {"value"},
    "price": {"value"},
    "satisfaction": {"satisfaction"},
}


@pytest.fixture(scope="session")
def scored_sample(once: Once) -> Path:
    """The shipped sample after a scoring run of a date for which the truth is known."""

    def fill(folder: Path) -> None:
        shutil.copytree(SAMPLE, folder, dirs_exist_ok=True)
        scores = str(folder / "scores.parquet")
        for arguments in (["train"], ["promote"], ["score", "--as-of", AS_OF, "--output", scores]):
            app(["--project", str(folder), *arguments], standalone_mode=False)

    return once("scored_sample", fill)


@pytest.fixture(scope="session")
def scored(scored_sample: Path) -> pd.DataFrame:
    """One row per eligible account."""
    folder = scored_sample
    scores = pd.read_parquet(folder / "scores.parquet")
    truth = pd.read_parquet(folder / "truth.parquet")
    truth = truth[truth["as_of"] == pd.Timestamp(AS_OF)]
    return scores[scores["probability"].notna()].merge(truth, on="account_id", validate="one_to_one")


def test_every_scored_account_has_a_true_probability(scored):
    assert len(scored) > 900


def test_probabilities_are_calibrated_against_the_true_ones(scored):
    order = scored["probability"].rank(method="first")
    bins = scored.groupby(pd.qcut(order, 5, labels=False))
    gap = (bins["probability"].mean() - bins["churn_probability"].mean()).abs()
    assert (gap * bins.size() / len(scored)).sum() <= 0.02
    assert scored["probability"].mean() == pytest.approx(scored["churn_probability"].mean(), abs=0.015)


def test_scores_rank_accounts_as_the_truth_does(scored):
    assert scored["probability"].corr(scored["churn_probability"], method="spearman") > 0.6


def test_planted_causes_come_out_as_reasons(scored):
    listed = scored[scored["colour"].isin(["red", "amber"]) & (scored["churn_probability"] > 0.1)]
    causes = {cause: f"log_odds_{cause}" for cause in FAMILIES}
    found = []
    for cause, column in causes.items():
        # accounts that this cause alone makes several times likelier to leave
        hit = listed[listed[column] > 1.0]
        families = [{reason["family"] for reason in json.loads(text)} for text in hit["reasons"]]
        found += [bool(names & FAMILIES[cause]) for names in families]
    assert len(found) >= 30
    assert np.mean(found) >= 0.75


def test_green_keeps_its_promise_against_the_true_probabilities(scored):
    green = scored[scored["colour"] == "green"]
    red = scored[scored["colour"] == "red"]
    base = scored["churn_probability"].mean()
    assert len(green) > 100
    odds = base / (1 - base) / 4
    assert green["churn_probability"].mean() <= odds / (1 + odds) * 1.15  # room for the target's own estimate
    assert red["churn_probability"].mean() > 2 * base
