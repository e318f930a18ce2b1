"""How often green and red break their promise when the model is trained and certified as `churnrisk train` does.

usage: python benchmarks/promise_trained.py [REPETITIONS] [ACCOUNTS]     default: 200 worlds of 3,000 accounts

Per repetition a panel is drawn whose true churn probabilities are known: three signals tell of churn (one of them stays
with the account), fifteen tell nothing, and each account has a risk of its own that no signal shows. Churn ends
an account's rows. Seven snapshots come first, and after an embargo five that calibrate and certify. Two ways:
- crossed: `ChurnClassifier.fit_and_calibrate`, as `churnrisk train` does: it learns from the later block too;
- held out: fitted on the first block alone, calibrated and certified on the second.

Broken means, with no luck of outcomes in it: the mean true probability of the green rows of 20,000 *fresh* accounts at
the certifying snapshots exceeds what green promised (for red: falls short); and the same for the world's own accounts,
whose outcomes were learned from, at a snapshot three months later. The model in use colours both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from churnrisk.lights import TrafficLight
from churnrisk.model import ChurnClassifier

Floats = npt.NDArray[np.float64]

EARLY, CERTIFYING, LATER = range(7), range(9, 14), 16
FRESH = 20_000
SIGNALS = [f"signal {i}" for i in range(18)]


@dataclass(frozen=True)
class Drawn:
    """Rows of a world, with the true churn probability of each."""

    X: pd.DataFrame
    y: npt.NDArray[np.int64]
    truth: Floats
    month: npt.NDArray[np.int64]

    def at(self, months: range) -> npt.NDArray[np.bool_]:
        """Return which rows are of these snapshots."""
        return np.isin(self.month, list(months))


def draw(rng: np.random.Generator, accounts: int) -> Drawn:
    """Draw accounts over all snapshots; churn ends an account's rows."""
    months = LATER + 1
    lasting, moving = rng.standard_normal(accounts), rng.standard_normal((accounts, 2))
    own = 0.5 * rng.standard_normal(accounts)
    present = np.ones(accounts, dtype=bool)
    parts: list[tuple[npt.NDArray[np.int64], Floats, Floats, npt.NDArray[np.int64]]] = []
    for _ in range(months):
        moving = 0.8 * moving + 0.6 * rng.standard_normal((accounts, 2))
        log_odds = -4.2 + 1.2 * lasting + 1.2 * moving[:, 0] + 0.8 * np.maximum(moving[:, 1], 0) + own
        churned = rng.random(accounts) < expit(log_odds)
        idle = rng.standard_normal((accounts, len(SIGNALS) - 3))
        rows = np.flatnonzero(present)
        values = np.column_stack([lasting, moving, idle])[rows]
        parts.append((rows, values, expit(log_odds[rows]), churned[rows].astype(np.int64)))
        present &= ~churned
    month = np.repeat(range(months), [len(part[0]) for part in parts])
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(30 * month, unit="D")
    account = np.concatenate([part[0] for part in parts])
    index = pd.MultiIndex.from_arrays([account.astype(str), dates], names=["account_id", "as_of"])
    X = pd.DataFrame(np.concatenate([part[1] for part in parts]), columns=pd.Index(SIGNALS), index=index)
    truth = np.concatenate([part[2] for part in parts])
    return Drawn(X, np.concatenate([part[3] for part in parts]), truth, np.asarray(month))


def crossed(world: Drawn) -> tuple[ChurnClassifier, Floats]:
    """Learn from both blocks, each model without a share of the later one; return what it says of that."""
    known = world.at(EARLY) | world.at(CERTIFYING)
    classifier = _unfitted()
    return classifier, classifier.fit_and_calibrate(
        world.X[known], world.y[known], world.at(CERTIFYING)[known]
    )


def held_out(world: Drawn) -> tuple[ChurnClassifier, Floats]:
    """Learn from the earlier block alone."""
    early, late = world.at(EARLY), world.at(CERTIFYING)
    classifier = _unfitted().fit(world.X[early], world.y[early])
    raw = classifier.raw_log_odds(world.X[late])
    return classifier.calibrate(world.X[late], world.y[late]), raw


WAYS: dict[str, Callable[[Drawn], tuple[ChurnClassifier, Floats]]] = {
    "crossed": crossed,
    "held out": held_out,
}


def _unfitted() -> ChurnClassifier:
    return ChurnClassifier(candidates=("additive",), n_splits=2, max_iter=150)


def repeat(seed: int, accounts: int) -> dict[str, dict[str, float]]:
    """Train and certify in one world both ways, and measure the colours by the true probabilities."""
    rng = np.random.default_rng([seed, 7])
    world, fresh = draw(rng, accounts), draw(rng, FRESH)
    late, certifying = world.at(CERTIFYING), fresh.at(CERTIFYING)
    later = world.month == LATER
    found = {}
    with threadpool_limits(limits=1):
        for way, learn in WAYS.items():
            classifier, raw = learn(world)
            light = TrafficLight().fit(
                expit(raw),
                world.y[late],
                groups=world.X.index.get_level_values("account_id")[late],
                blocks=world.month[late],
                calibrate=lambda p, c=classifier: expit(c.calibrator_.apply(logit(p))),
            )
            found[way] = {
                "green promise": light.green_max_churn_,
                "red promise": light.red_min_churn_,
                **_rates("fresh accounts", light, classifier, fresh.X[certifying], fresh.truth[certifying]),
                **_rates("three months later", light, classifier, world.X[later], world.truth[later]),
            }
    return found


def _rates(
    name: str, light: TrafficLight, classifier: ChurnClassifier, X: pd.DataFrame, truth: Floats
) -> dict[str, float]:
    colours = light.predict(classifier.predict_proba(X)[:, 1])
    told = {}
    for colour in ("green", "red"):
        rows = colours == colour
        told[f"{colour} {name}"] = float(truth[rows].mean()) if rows.any() else float("nan")
        told[f"{colour} share {name}"] = float(rows.mean())
    return told


def main() -> None:
    """Repeat and print the shares of broken promises, both ways."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    accounts = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    started = time.monotonic()
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(repeat, range(repetitions), [accounts] * repetitions))
    print(f"{repetitions} worlds of {accounts:,} accounts, promises at 95 %")
    for way in WAYS:
        told = pd.DataFrame([world[way] for world in found])
        for colour, sign in (("green", 1.0), ("red", -1.0)):
            promise = told[f"{colour} promise"]
            print(
                f"{way}, {colour}: {told[f'{colour} share fresh accounts'].mean():.1%} of the rows, on average"
            )
            for name in ("fresh accounts", "three months later"):
                rate = told[f"{colour} {name}"]
                broken = int((sign * (rate - promise) > 0).sum())
                empty = int(rate.isna().sum())
                print(
                    f"  {name:<20} broken in {broken:>3} of {repetitions}  {broken / repetitions:.1%}  empty in {empty}"
                )
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
