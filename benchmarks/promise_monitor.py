"""Watching promises for ever: false withdrawals without drift, and how soon a broken promise is noticed.

usage: python benchmarks/promise_monitor.py [STREAMS] [--peers PYTHON]     default: 1,000 streams of each kind
    --peers   interpreter of an environment with benchmarks/monitor_peers.txt (`make bench-monitor` makes one)

What is simulated: a stream is one colour of one model version in a year of monthly snapshots with a horizon of 30
days, so its label windows do not overlap. Accounts churn independently, at the promised rate without drift and at 1.5
times that rate with it (for red: at the promised rate divided by 1.5). The first is the worst case for false alarms:
a certified colour usually has room, and accounts that differ in their risk vary less than these. Every test gets the
same counts, one snapshot after the other.

- e-process: what churnrisk does (churnrisk/lights/eprocess.py).
- every snapshot: an exact binomial test of 1 % at each snapshot, without paying for looking twelve times.
- MAPIE: the bound of `RiskMonitoring` (Podkopaev & Ramdas 2022, as MAPIE 1.6.0 implements it), its threshold the
  promised rate; its level is halved between reference and stream, and no reference is used here, so it is given 2 %.
  For red its loss is "stayed". The bound is computed at the end of each snapshot; at each row, as the class does, it
  would take minutes per stream. `_check_peer` compares the two.
- MAPIE's risk control (`BinaryClassificationController`) calibrates thresholds once, before a model is used, and does
  not look at later streams; it is no monitor and has no row.

The last table adds a common shock to every window of streams that hold on average: the log-odds of all accounts of a
window move together by a normal deviate. No test here allows for that; the cut of 16 per window is what limits it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

# The peer's interpreter runs this file too, without churnrisk.
try:
    from scipy.stats import binom

    from churnrisk.lights import ALPHA, e_values
except ImportError:
    ALPHA = 0.01

WINDOWS, ALSO = 12, 36
#: Colour, promised rate, accounts of the colour.
KINDS = (
    ("green", 0.02, 300),
    ("green", 0.02, 1_000),
    ("green", 0.02, 3_000),
    ("green", 0.05, 300),
    ("green", 0.05, 1_000),
    ("red", 0.4, 100),
    ("red", 0.4, 300),
)
SHOCKS = (0.1, 0.2, 0.3)
# A bound of MAPIE takes half a millisecond.
PEER_STREAMS = 200


def main() -> None:
    """Simulate, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("streams", nargs="?", type=int, default=1_000)
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.as_peer:
        print(json.dumps(_peer(asked.streams)))
        return
    started = time.monotonic()
    peer = _ask(asked.peers, min(asked.streams, PEER_STREAMS)) if asked.peers else None
    print(
        f"{asked.streams:,} streams of {WINDOWS} monthly snapshots each; withdrawn within the year if the promise"
    )
    print("holds exactly, and the median snapshot at which 1.5 times the promised rate is noticed\n")
    head = f"{'colour':<7}{'promise':>8}{'accounts':>9}"
    tests = ("e-process", "every snapshot", *(("MAPIE",) if peer else ()))
    print(head + "".join(f"{name:>22}" for name in tests))
    for place, kind in enumerate(KINDS):
        cells = [_cell(*_figures(kind, asked.streams, test)) for test in tests[:2]]
        cells += [_cell(*peer[place])] if peer else []
        print(_row(kind) + "".join(f"{cell:>22}" for cell in cells))
    if peer:
        print(f"\nMAPIE on the first {min(asked.streams, PEER_STREAMS)} of the streams")
    print(
        "\nwithdrawn within the year by the e-process, if a common shock moves the log-odds of every window\n"
    )
    print(head + "".join(f"{f'sd {shock}':>10}" for shock in SHOCKS))
    for kind in KINDS:
        shares = (_noticed(kind, _streams(kind, asked.streams, shock=shock)) for shock in SHOCKS)
        print(_row(kind) + "".join(f"{np.mean(found <= WINDOWS):>10.1%}" for found in shares))
    print(f"{time.monotonic() - started:.0f} s")


def _row(kind: tuple[str, float, int]) -> str:
    return f"{kind[0]:<7}{kind[1]:>8.0%}{kind[2]:>9,}"


def _cell(false: float, median: float) -> str:
    return f"{false:.1%}, {'never' if median > ALSO else f'{median:.0f}'}"


def _streams(kind: tuple[str, float, int], streams: int, *, times: float = 1.0, shock: float = 0.0) -> Any:
    """Return churned accounts, shape (streams, windows)."""
    colour, promise, accounts = kind
    rate = promise * times if colour == "green" else promise / times
    rng = np.random.default_rng([accounts, int(1_000 * promise), int(10 * times), int(100 * shock)])
    windows = ALSO if times > 1.0 else WINDOWS
    rates = np.full((streams, windows), rate)
    if shock:
        odds = rate / (1.0 - rate) * np.exp(shock * rng.standard_normal(rates.shape))
        rates = odds / (1.0 + odds)
        rates *= rate / rates.mean()
    return rng.binomial(accounts, rates)


def _figures(kind: tuple[str, float, int], streams: int, test: str) -> tuple[float, float]:
    """Return the share of false withdrawals, and the median snapshot at which a drift is noticed."""
    noticed = _noticed if test == "e-process" else _noticed_each
    false = noticed(kind, _streams(kind, streams))
    return float(np.mean(false <= WINDOWS)), float(
        np.median(noticed(kind, _streams(kind, streams, times=1.5)))
    )


def _noticed(kind: tuple[str, float, int], churned: Any) -> Any:
    """Return the first snapshot at which the e-process withdraws the promise."""
    colour, promise, accounts = kind
    limits = (promise, None) if colour == "green" else (None, promise)
    worth = e_values(churned, np.full_like(churned, accounts), at_most=limits[0], at_least=limits[1])
    return _first(worth >= 1.0 / ALPHA)


def _noticed_each(kind: tuple[str, float, int], churned: Any) -> Any:
    colour, promise, accounts = kind
    chance = (
        binom.sf(churned - 1, accounts, promise)
        if colour == "green"
        else binom.cdf(churned, accounts, promise)
    )
    return _first(chance < ALPHA)


def _first(hits: Any) -> Any:
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, ALSO + 1)


def _ask(python: str, streams: int) -> list[tuple[float, float]]:
    command = [python, str(Path(__file__)), str(streams), "--as-peer"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [(false, median) for false, median in json.loads(done.stdout)]


def _peer(streams: int) -> list[tuple[float, float]]:
    """Run MAPIE on the same streams, in its own environment."""
    _check_peer()
    return [
        (
            float(np.mean(_peer_noticed(kind, _streams(kind, streams)) <= WINDOWS)),
            float(np.median(_peer_noticed(kind, _streams(kind, streams, times=1.5)))),
        )
        for kind in KINDS
    ]


def _peer_noticed(kind: tuple[str, float, int], streams: Any) -> Any:
    from mapie.exchangeability_testing.bounds import GammaExponentialMixtureBound

    colour, promise, accounts = kind
    ends = accounts * np.arange(1, streams.shape[1] + 1)
    bound = GammaExponentialMixtureBound(v_opt=1, c=1, alpha_opt=ALPHA / 2)
    lower = np.empty(streams.shape)
    for place, losses in enumerate(_losses(kind, streams)):
        mean = losses.cumsum() / np.arange(1, len(losses) + 1)
        spread = ((losses - np.append(0.5, mean[:-1])) ** 2).cumsum()
        radius = np.array([bound(v=float(v), alpha=ALPHA / 2) for v in spread[ends - 1]]) / ends
        lower[place] = mean[ends - 1] - radius
    return _first(lower > (promise if colour == "green" else 1.0 - promise))


def _losses(kind: tuple[str, float, int], streams: Any) -> Any:
    """Yield the accounts of each stream one by one, in random order within a snapshot: 1 is what was not promised."""
    colour, _, accounts = kind
    rng = np.random.default_rng(1)
    for churned in streams:
        rows = [rng.permutation((np.arange(accounts) < count).astype(float)) for count in churned]
        yield np.concatenate(rows) if colour == "green" else 1.0 - np.concatenate(rows)


def _check_peer() -> None:
    """Raise AssertionError where MAPIE's class itself, fed row by row, sees a short drift later than we say."""
    from mapie.exchangeability_testing import RiskMonitoring
    from mapie.risk_control import BinaryRisk

    kind = ("red", 0.4, 100)
    streams = _streams(kind, 3, times=1.5)[:, :WINDOWS]
    loss = BinaryRisk(lambda y_true, _: y_true, lambda y_true, _: y_true >= 0, False)
    ours = _peer_noticed(kind, streams)
    for losses, found in zip(_losses(kind, streams), ours, strict=True):
        watch = RiskMonitoring(loss, test_level=2 * ALPHA, threshold=0.6, warn=False).update(losses, losses)
        above = np.flatnonzero(watch.online_risk_lower_bound_sequence_history > 0.6)
        first = above[0] // kind[2] + 1 if len(above) else ALSO + 1
        assert found - 1 <= first <= found, (first, found)


if __name__ == "__main__":
    main()
