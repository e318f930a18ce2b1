"""How often green and red break their promise, over many small worlds whose true churn probabilities are known.

usage: python benchmarks/promise.py [REPETITIONS] [ACCOUNTS]     default: 1,000 worlds of 2,000 accounts

What is simulated, per repetition: a world of the sample's kind is drawn from its own seed. No model is
trained. A stand-in for one scores every account at every snapshot: its true log-odds, flattened, plus an error that
partly stays with the account, of the size that the model trained on the shipped sample shows. Five snapshots
certify the lights with the world's real churn, one draw per account and snapshot, where churn ends the account's rows;
the snapshot two months later is the one that is coloured. Thresholds move and colours are empty as luck has it.

What is counted as broken, none of it by luck of the outcomes at the end:
- in the population: the mean true probability of all rows below the threshold, in the same snapshots of all the worlds
  together, exceeds what green promised (below, for red: falls short). This is the promise of the docstring.
- two months later: the same for the rows of the later snapshot, again in all the worlds together.
- that one list: the mean true probability of the green accounts of this world's own later snapshot. Nothing is
  promised for it, since a list of some hundred accounts varies; it says what one team sees.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from churnrisk.lights import TrafficLight
from churnrisk.sample import make_world

Floats = npt.NDArray[np.float64]

# How the log-odds of the model trained on the shipped sample depend on the true ones, measured in its backtest.
INTERCEPT, SLOPE, ERROR_SD, ERROR_STAYS = -1.08, 0.67, 0.72, 0.40
CALIBRATING = range(9, 14)
LATER = 15
MONTHS = 18


@dataclass(frozen=True)
class Repetition:
    """One world's lights, and the scores and true probabilities that tell whether they kept their promise."""

    amber_from: float
    red_from: float
    green_max: float
    red_min: float
    scores: Floats
    truth: Floats
    later_scores: Floats
    later_truth: Floats
    factors: tuple[float, float]


@dataclass(frozen=True)
class Population:
    """Scores of all worlds in order, so that the true rate below or from any threshold is one look-up."""

    scores: Floats
    total: Floats

    @classmethod
    def of(cls, scores: list[Floats], truth: list[Floats]) -> Population:
        """Put the worlds together."""
        every = np.concatenate(scores)
        order = np.argsort(every)
        return cls(every[order], np.concatenate([[0.0], np.cumsum(np.concatenate(truth)[order])]))

    def below(self, threshold: float) -> float:
        """Return the mean true probability below a threshold."""
        rows = int(np.searchsorted(self.scores, threshold))
        return float(self.total[rows] / max(rows, 1))

    def from_on(self, threshold: float) -> float:
        """Return the mean true probability from a threshold on."""
        rows = int(np.searchsorted(self.scores, threshold))
        return float((self.total[-1] - self.total[rows]) / max(len(self.scores) - rows, 1))


def repeat(seed: int, accounts: int) -> Repetition:
    """Draw one world, score it, and certify its lights."""
    truth = make_world(seed=seed, accounts=accounts, months=MONTHS).truth
    rng = np.random.default_rng([seed, 1])
    account = truth["account_id"].factorize()[0]
    lasting = rng.standard_normal(account.max() + 1)[account]
    passing = rng.standard_normal(len(truth))
    error = ERROR_SD * (np.sqrt(ERROR_STAYS) * lasting + np.sqrt(1.0 - ERROR_STAYS) * passing)
    probability = truth["churn_probability"].to_numpy()
    score = expit(SLOPE * logit(probability) + error + INTERCEPT)
    snapshot = truth["as_of"].factorize(sort=True)[0]
    block, later = np.isin(snapshot, CALIBRATING), snapshot == LATER
    light = TrafficLight().fit(
        score[block],
        truth["churned"].to_numpy()[block].astype(int),
        groups=account[block],
        blocks=snapshot[block],
    )
    return Repetition(
        light.amber_from_,
        light.red_from_,
        light.green_max_churn_,
        light.red_min_churn_,
        score[block],
        probability[block],
        score[later],
        probability[later],
        (light.ladder[-len(light.green_rungs_)], light.ladder[-len(light.red_rungs_)]),
    )


def main() -> None:
    """Repeat and print the shares of broken promises."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    accounts = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    started = time.monotonic()
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(repeat, range(repetitions), [accounts] * repetitions))
    same = Population.of([r.scores for r in found], [r.truth for r in found])
    later = Population.of([r.later_scores for r in found], [r.later_truth for r in found])
    print(
        f"{repetitions} worlds of {accounts:,} accounts, {len(same.scores):,} rows certify, promises at 95 %"
    )
    for number, (colour, empty, broken) in enumerate(
        (
            ("green", [r.amber_from == 0.0 for r in found], _green(found, same, later)),
            ("red", [r.red_from > 1.0 for r in found], _red(found, same, later)),
        )
    ):
        print(f"{colour}: empty in {sum(empty)} of {repetitions}; promise broken")
        for name, worlds in broken.items():
            share = sum(worlds) / repetitions
            print(f"  {name:<22} {sum(worlds):>3} of {repetitions}  {share:.1%}")
        taken = Counter(r.factors[number] for r, without in zip(found, empty, strict=True) if not without)
        rungs = ", ".join(f"{factor:g} in {taken[factor]}" for factor in sorted(taken, reverse=True))
        print(f"  rung (factor of the base odds): {rungs}")
    shares = [np.mean(r.later_scores < r.amber_from) for r in found]
    print(f"green holds {np.mean(shares):.0%} of the accounts two months later, on average")
    print(f"{time.monotonic() - started:.0f} s")


def _green(found: list[Repetition], same: Population, later: Population) -> dict[str, list[bool]]:
    return {
        "in the population": [same.below(r.amber_from) > r.green_max for r in found],
        "two months later": [later.below(r.amber_from) > r.green_max for r in found],
        "that one list": [
            bool(_mean(r.later_truth[r.later_scores < r.amber_from], 0.0) > r.green_max) for r in found
        ],
    }


def _red(found: list[Repetition], same: Population, later: Population) -> dict[str, list[bool]]:
    return {
        "in the population": [r.red_from <= 1 and same.from_on(r.red_from) < r.red_min for r in found],
        "two months later": [r.red_from <= 1 and later.from_on(r.red_from) < r.red_min for r in found],
        "that one list": [
            bool(_mean(r.later_truth[r.later_scores >= r.red_from], 1.0) < r.red_min) for r in found
        ],
    }


def _mean(values: Floats, empty: float) -> float:
    return float(values.mean()) if len(values) else empty


if __name__ == "__main__":
    main()
