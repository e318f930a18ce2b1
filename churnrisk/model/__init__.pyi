from .additive import WORTH_A_GRID, Binner, BoostedTrees, Grid, look_up
from .calibration import Affine, RecencyRule
from .candidates import CANDIDATES, Candidate, SklearnClassifier, unknown_candidates
from .classifier import ChurnClassifier
from .encoding import FrameEncoder, LevelRates, as_pandas
from .evaluation import (
    HIGHER_IS_BETTER,
    LARGE,
    MOST_ROWS,
    SOME,
    Evaluation,
    Ranked,
    account_weights,
    drift_by_snapshot,
    equal_count_bins,
    evaluate,
    find_suspects,
    population_stability,
    univariate_aucs,
)
from .hazard import ChurnHazard, mean_days_of, median_days_of
from .linear import WrappedEstimator
from .profile import ReasonProfile, Value, kinds_with_peers, quantity, sentence
from .reasons import cells, declared, explain
from .splits import Blocks, Bools, Floats, PanelSplit, account_blocks, blocks
from .survival import KaplanMeier, censoring_weights, evaluate_survival

__all__ = [
    "Affine",
    "Binner",
    "Blocks",
    "Bools",
    "BoostedTrees",
    "CANDIDATES",
    "Candidate",
    "ChurnClassifier",
    "ChurnHazard",
    "Evaluation",
    "Floats",
    "FrameEncoder",
    "Grid",
    "HIGHER_IS_BETTER",
    "KaplanMeier",
    "LARGE",
    "LevelRates",
    "MOST_ROWS",
    "PanelSplit",
    "Ranked",
    "ReasonProfile",
    "RecencyRule",
    "SOME",
    "SklearnClassifier",
    "Value",
    "WORTH_A_GRID",
    "WrappedEstimator",
    "account_blocks",
    "account_weights",
    "as_pandas",
    "blocks",
    "cells",
    "censoring_weights",
    "declared",
    "drift_by_snapshot",
    "equal_count_bins",
    "evaluate",
    "evaluate_survival",
    "explain",
    "find_suspects",
    "kinds_with_peers",
    "look_up",
    "mean_days_of",
    "median_days_of",
    "population_stability",
    "quantity",
    "sentence",
    "univariate_aucs",
    "unknown_candidates",
]
