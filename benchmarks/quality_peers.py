"""One peer of benchmarks/quality.py: tuned on the matrices it is handed, in the peers' own environment.

As a careful data scientist would by hand: Optuna's search on the log loss of the later block with early stopping,
the library's own settings as the first trial, then a fit of the best on all rows before the test. One thread.

usage: python benchmarks/quality_peers.py PEER MATRIX.parquet SECONDS
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import optuna
import pandas as pd

ROUNDS = 2000
PATIENCE = 50
#: Columns of the matrix that are no signals.
KEYS = ("_account", "_block", "_y")


class LightGBM:
    """LightGBM with its own treatment of categories."""

    default = {"learning_rate": 0.1, "num_leaves": 31, "min_child_samples": 20}  # noqa: RUF012

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw settings."""
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 4, 128, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 5, 300, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 100.0, log=True),
            "subsample_freq": 1,
        }

    def fit(self, settings: dict[str, Any], rounds: int, X: Any, y: Any, later: Any) -> tuple[Any, int]:
        """Fit, with early stopping on later rows where there are any."""
        import lightgbm

        model = lightgbm.LGBMClassifier(n_estimators=rounds, n_jobs=1, verbose=-1, random_state=0, **settings)
        stop = [lightgbm.early_stopping(PATIENCE, verbose=False)] if later else None
        model.fit(
            X, y, eval_X=later[0] if later else None, eval_y=later[1] if later else None, callbacks=stop
        )
        return model, model.best_iteration_ or rounds


class XGBoost:
    """XGBoost's histogram trees with its own treatment of categories."""

    default = {"learning_rate": 0.3, "max_depth": 6}  # noqa: RUF012

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw settings."""
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 9),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 100.0, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.2, 1.0),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 100.0, log=True),
        }

    def fit(self, settings: dict[str, Any], rounds: int, X: Any, y: Any, later: Any) -> tuple[Any, int]:
        """Fit, with early stopping on later rows where there are any."""
        import xgboost

        model = xgboost.XGBClassifier(
            n_estimators=rounds,
            n_jobs=1,
            tree_method="hist",
            enable_categorical=True,
            eval_metric="logloss",
            random_state=0,
            early_stopping_rounds=PATIENCE if later else None,
            **settings,
        )
        model.fit(X, y, eval_set=[later] if later else None, verbose=False)
        return model, model.best_iteration + 1 if later else rounds


class CatBoost:
    """CatBoost with its ordered rates of categories."""

    default = {"learning_rate": 0.1}  # noqa: RUF012

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw settings."""
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
            "depth": trial.suggest_int("depth", 3, 8),
            "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 1.0, 100.0, log=True),
            "rsm": trial.suggest_float("rsm", 0.2, 1.0),
            "random_strength": trial.suggest_float("random_strength", 0.1, 10.0, log=True),
        }

    def fit(self, settings: dict[str, Any], rounds: int, X: Any, y: Any, later: Any) -> tuple[Any, int]:
        """Fit, with early stopping on later rows where there are any."""
        import catboost

        names = [name for name in X if X[name].dtype == "category"]

        def pool(frame: pd.DataFrame, outcome: Any) -> catboost.Pool:
            texts = {name: frame[name].astype(object).fillna("missing").astype(str) for name in names}
            return catboost.Pool(frame.assign(**texts).astype(dict.fromkeys(names, object)), outcome, names)

        model = catboost.CatBoostClassifier(
            iterations=rounds,
            thread_count=1,
            random_seed=0,
            verbose=False,
            allow_writing_files=False,
            **settings,
        )
        model.fit(pool(X, y), eval_set=pool(*later) if later else None, early_stopping_rounds=PATIENCE)
        model.predict_of = lambda frame: model.predict_proba(pool(frame, None))
        return model, model.tree_count_ if later else rounds


PEERS = {"LightGBM": LightGBM, "XGBoost": XGBoost, "CatBoost": CatBoost}


def tuned(peer: Any, fit: Any, later: Any, *, seconds: float) -> tuple[dict[str, Any], int, int]:
    """Search until so many CPU seconds are spent; return settings, rounds and the number of trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.process_time()
    rounds: dict[int, int] = {}
    settings: dict[int, dict[str, Any]] = {}

    def loss(trial: optuna.Trial) -> float:
        settings[trial.number] = peer.default if trial.number == 0 else peer.suggest(trial)
        model, rounds[trial.number] = peer.fit(settings[trial.number], ROUNDS, *fit, later)
        p = np.clip(chance(model, later[0]), 1e-7, 1 - 1e-7)
        return float(-np.mean(np.where(later[1], np.log(p), np.log(1 - p))))

    def stop(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if time.process_time() - began >= seconds:
            study.stop()

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(loss, callbacks=[stop])
    best = study.best_trial.number
    return settings[best], rounds[best], len(study.trials)


def chance(model: Any, X: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the churn probability per row."""
    return np.asarray(getattr(model, "predict_of", model.predict_proba)(X))[:, 1]


def autogluon(fit: Any, later: Any, test: pd.DataFrame, *, seconds: float) -> tuple[Any, int, float]:
    """Let AutoGluon choose, stack and refit for so many seconds; return chances, number of models, CPU seconds.

    Its models are ranked on the later block and then fitted once more on both. Their processes are children of this
    one, so theirs is counted too.
    """
    import resource
    import tempfile

    from autogluon.tabular import TabularPredictor

    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor("_y", eval_metric="log_loss", path=folder, verbosity=0)
        predictor.fit(
            fit[0].assign(_y=fit[1]),
            tuning_data=later[0].assign(_y=later[1]),
            time_limit=seconds,
            num_cpus=1,
            num_gpus=0,
            refit_full=True,
            set_best_to_refit_full=True,
        )
        who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        spent = sum(resource.getrusage(one).ru_utime + resource.getrusage(one).ru_stime for one in who)
        p = predictor.predict_proba(test, as_multiclass=False).to_numpy()
        return p, len(predictor.model_names()), spent


def main() -> None:
    """Tune, fit, and print the test rows' probabilities and the CPU seconds as JSON."""
    warnings.simplefilter("ignore")  # of the libraries; nothing of ours runs here
    name, path, seconds = sys.argv[1:4]
    frame = pd.read_parquet(path)
    X, y, block = frame.drop(columns=list(KEYS)), frame["_y"].to_numpy(), frame["_block"].to_numpy()
    X = X.astype({column: "category" for column in X if not pd.api.types.is_numeric_dtype(X[column])})
    began = time.process_time()
    fit, later, known = block == "fit", block == "calibration", block != "test"
    earlier, then = (X[fit], y[fit]), (X[later], y[later])
    if name == "AutoGluon":
        p, trials, spent = autogluon(earlier, then, X[block == "test"], seconds=float(seconds))
    else:
        peer = PEERS[name]()
        settings, rounds, trials = tuned(peer, earlier, then, seconds=float(seconds))
        model, _ = peer.fit(settings, rounds, X[known], y[known], None)
        spent = time.process_time() - began
        p = chance(model, X[block == "test"])
    print(json.dumps({"seconds": spent, "trials": trials, "p": p.tolist()}))


if __name__ == "__main__":
    main()
