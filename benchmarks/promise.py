"""How often green and red break their promise, over many small worlds whose true churn probabilities are known.

usage: python benchmarks/promise.py [REPETITIONS] [ACCOUNTS] [--peers PYTHON]   default: 1,000 worlds of 2,000 accounts
    --peers   interpreter of an environment with benchmarks/monitor_peers.txt (`make bench-promise` makes one)

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

The peer is MAPIE's risk control (benchmarks/promise_peer.py), on the same blocks, for the promise that our light chose
in that world, with every fourth threshold of our grid, since its default pays for each. It takes rows as independent,
which several rows of an account are not; *one row each* draws a snapshot per account and takes that row, if there is
one. (A random one of the account's rows would not do: churn ends them, so churners have few, and their last is drawn
too often.) The promise itself was chosen by the block's labels, which our certificate allows for and MAPIE does not
know of.

*Holds* is the share of the accounts two months later. *Efficiency* is what the colours of that snapshot tell of the
churn of all worlds together, as a share of what the scores tell (`churnrisk.lights.efficiency`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from churnrisk.lights import NO_GREEN, NO_RED, TrafficLight, efficiency
from churnrisk.sample import make_world

Floats = npt.NDArray[np.float64]

# How the log-odds of the model trained on the shipped sample depend on the true ones, measured in its backtest.
INTERCEPT, SLOPE, ERROR_SD, ERROR_STAYS = -1.08, 0.67, 0.72, 0.40
CALIBRATING = range(9, 14)
LATER = 15
MONTHS = 18
PEER_GRID: Floats = expit(np.arange(-9.2, 9.21, 0.16))
COLOURS = ("green", "red")


@dataclass(frozen=True)
class Rows:
    """Scores of some snapshots, true probabilities and what became of the accounts."""

    scores: Floats
    truth: Floats
    churned: npt.NDArray[np.int64]
    account: npt.NDArray[np.int64]
    snapshot: npt.NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """The block that certifies, the later snapshot, and the light: each colour's threshold, promise and rung."""

    block: Rows
    later: Rows
    cuts: tuple[float, float]
    promises: tuple[float, float]
    factors: tuple[float, float]


@dataclass(frozen=True)
class Population:
    """Scores in order, so that the true rate below or from any threshold is one look-up."""

    scores: Floats
    total: Floats

    @classmethod
    def of(cls, worlds: list[Rows]) -> Population:
        """Put worlds together."""
        every = np.concatenate([rows.scores for rows in worlds])
        order = np.argsort(every)
        truth = np.concatenate([rows.truth for rows in worlds])[order]
        return cls(every[order], np.concatenate([[0.0], np.cumsum(truth)]))

    def breaks(self, cuts: Floats, promises: Floats) -> npt.NDArray[np.bool_]:
        """Return whether the true rates of green and red break their promises; both of shape (worlds, 2)."""
        below = np.searchsorted(self.scores, cuts)
        above = len(self.scores) - below[:, 1]
        green = self.total[below[:, 0]] / np.maximum(below[:, 0], 1)
        red = (self.total[-1] - self.total[below[:, 1]]) / np.maximum(above, 1)
        return np.column_stack([green > promises[:, 0], (above > 0) & (red < promises[:, 1])])


def repeat(seed: int, accounts: int) -> World:
    """Draw one world, score it, and certify its lights."""
    drawn = make_world(seed=seed, accounts=accounts, months=MONTHS).truth
    rng = np.random.default_rng([seed, 1])
    account = drawn["account_id"].factorize()[0]
    lasting = rng.standard_normal(account.max() + 1)[account]
    passing = rng.standard_normal(len(drawn))
    error = ERROR_SD * (np.sqrt(ERROR_STAYS) * lasting + np.sqrt(1.0 - ERROR_STAYS) * passing)
    truth = drawn["churn_probability"].to_numpy()
    scores = expit(SLOPE * logit(truth) + error + INTERCEPT)
    snapshot = drawn["as_of"].factorize(sort=True)[0]
    churned = drawn["churned"].to_numpy()
    block, later = (
        Rows(scores[rows], truth[rows], churned[rows].astype(np.int64), account[rows], snapshot[rows])
        for rows in (np.isin(snapshot, CALIBRATING), snapshot == LATER)
    )
    light = TrafficLight().fit(block.scores, block.churned, groups=block.account, blocks=block.snapshot)
    return World(
        block,
        later,
        (light.amber_from_, light.red_from_),
        (light.green_max_churn_, light.red_min_churn_),
        (light.ladder[-len(light.green_rungs_)], light.ladder[-len(light.red_rungs_)]),
    )


def main() -> None:
    """Repeat and print the shares of broken promises."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("repetitions", nargs="?", type=int, default=1000)
    parser.add_argument("accounts", nargs="?", type=int, default=2000)
    parser.add_argument("--peers", metavar="PYTHON")
    asked = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor() as pool:
        worlds = list(pool.map(repeat, range(asked.repetitions), [asked.accounts] * asked.repetitions))
    ways = {"churnrisk": np.array([world.cuts for world in worlds])}
    if asked.peers:
        ways |= _ask(asked.peers, worlds)
    rows = sum(len(world.block.scores) for world in worlds)
    print(f"{len(worlds):,} worlds of {asked.accounts:,} accounts, {rows:,} rows certify, promises at 95 %\n")
    _table(worlds, ways)
    print()
    for number, colour in enumerate(COLOURS):
        taken = Counter(world.factors[number] for world in worlds if 0.0 < world.cuts[number] <= 1.0)
        rungs = ", ".join(f"{factor:g} in {taken[factor]}" for factor in sorted(taken, reverse=True))
        print(f"{colour}'s rung (factor of the base odds): {rungs}")
    print(f"{time.monotonic() - started:.0f} s")


def _table(worlds: list[World], ways: dict[str, Floats]) -> None:
    """Print what became of the colours of each way to choose thresholds."""
    promises = np.array([world.promises for world in worlds])
    same = Population.of([world.block for world in worlds])
    later = Population.of([world.later for world in worlds])
    print(f"{'':<51}promise broken")
    heads = (" empty", "in the population", "two months later", "that one list", "holds", "efficiency")
    print(f"{'':<41}" + "  ".join(heads))
    for name, cuts in ways.items():
        lists = [
            Population.of([world.later]).breaks(cuts[[place]], promises[[place]])[0]
            for place, world in enumerate(worlds)
        ]
        figures = (
            (cuts <= 0.0) | (cuts > 1.0),
            same.breaks(cuts, promises),
            later.breaks(cuts, promises),
            np.array(lists),
            np.array([_shares(world.later.scores, *cuts[place]) for place, world in enumerate(worlds)]),
        )
        for number, colour in enumerate(COLOURS):
            cells = [
                f"{figure[:, number].mean():>{len(head)}.1%}"
                for figure, head in zip(figures, heads, strict=False)
            ]
            told = f"{_efficiency(worlds, cuts):>10.2f}" if number == 0 else ""
            print(f"{name if number == 0 else '':<36}{colour:<5}" + "  ".join([*cells, told]).rstrip())


def _shares(scores: Floats, amber_from: float, red_from: float) -> tuple[float, float]:
    return float(np.mean(scores < amber_from)), float(np.mean(scores >= red_from))


def _efficiency(worlds: list[World], cuts: Floats) -> float:
    codes = [
        (world.later.scores >= amber_from).astype(int) + (world.later.scores >= red_from)
        for world, (amber_from, red_from) in zip(worlds, cuts, strict=True)
    ]
    colours = np.array(["green", "amber", "red"], dtype=object)[np.concatenate(codes)]
    scores = np.concatenate([world.later.scores for world in worlds])
    return efficiency(colours, scores, np.concatenate([world.later.churned for world in worlds]))


def _ask(python: str, worlds: list[World]) -> dict[str, Floats]:
    """Return the thresholds that MAPIE chooses for the same promises, from its own environment."""
    blocks = [world.block for world in worlds]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in ("scores", "churned", "account", "snapshot")
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "worlds.npz"
        np.savez(
            file,
            **columns,
            rows=[len(block.scores) for block in blocks],
            promises=[world.promises for world in worlds],
            grid=PEER_GRID,
        )
        command = [python, str(Path(__file__).with_name("promise_peer.py")), str(file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    empty = (NO_GREEN, NO_RED)
    return {
        name: np.array(
            [[none if cut is None else cut for cut, none in zip(pair, empty, strict=True)] for pair in cuts]
        )
        for name, cuts in json.loads(done.stdout).items()
    }


if __name__ == "__main__":
    main()
