"""What Spark costs per event, measured where it runs: times of its tasks, bytes read and shuffled.

The figures are those of Spark's own stages, so other work on the machine changes the clock more than them.
docs/scale.md reckons with what this prints.

usage: python benchmarks/spark.py [XS|S|M] [--cores 2]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from generate import TABLES, generated

from churnrisk.features import FeatureConfig, create_feature_table, select_features
from churnrisk.snapshots import ChurnConfig, build_panel
from churnrisk.sources import EngineConfig, SparkEngine, TableConfig, open_tables
from churnrisk.training import check_tables

LAST = datetime(2026, 1, 1)
#: Vectored reads happen in threads of their own, whose bytes Spark counts for no task.
COUNTED = {"spark.driver.memory": "4g", "spark.hadoop.parquet.hadoop.vectored.io.enabled": "false"}
MONTHS = (*(datetime(2025, month, 1) for month in range(2, 13)), LAST)


@dataclass(frozen=True)
class Cost:
    """What Spark says that its tasks have done, all added up; scans are stages that read raw events."""

    task_seconds: float
    scans: int
    scanned_bytes: int
    shuffled_bytes: int
    shuffled_rows: int
    spilled_bytes: int
    clock_seconds: float


def main() -> None:
    """Measure the contract check, and the features of one snapshot and of twelve, and print their costs per event."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", default="S", choices=["XS", "S", "M"])
    parser.add_argument("--cores", type=int, default=2)
    asked = parser.parse_args()
    folder = generated(asked.size)
    tables = {name: TableConfig(path=f"{name}.parquet") for name in TABLES}
    config = EngineConfig(name="spark", threads=asked.cores, spark=COUNTED)
    with SparkEngine(config, base=folder) as engine:
        opened = open_tables(engine, tables)
        features = select_features(FeatureConfig(), opened.available)
        events = engine.value("select count(*) from events")
        print(f"size {asked.size}: {events:,} events, {len(features)} features, {asked.cores} cores")
        with measured(engine, events) as found:
            check_tables(opened, now=LAST)
        print(told("contract check", found[0], events))
        for name, dates in (("one snapshot", [LAST]), ("twelve snapshots", list(MONTHS))):
            with measured(engine, events) as found:
                build_panel(opened, ChurnConfig(lookback_days=30), dates, data_end=LAST)
                create_feature_table(opened, features, key_features=(), labelled_only=False)
            rows = engine.value("select count(*) from feature_rows")
            print(told(f"{name}, {rows:,} rows of features", found[0], events))


@contextmanager
def measured(engine: SparkEngine, events: int) -> Iterator[list[Cost]]:
    """Yield a list that holds, afterwards, what Spark has done meanwhile."""
    before, start, found = stages(engine), time.perf_counter(), list[Cost]()
    yield found
    clock = time.perf_counter() - start
    new = [stage for key, stage in stages(engine).items() if key not in before]
    # what Spark keeps between steps is read in batches, each of which counts as one record
    scans = [stage for stage in new if stage.inputRecords() > events / 10]
    found.append(
        Cost(
            task_seconds=sum(stage.executorCpuTime() for stage in new) / 1e9,
            scans=len(scans),
            scanned_bytes=sum(stage.inputBytes() for stage in scans),
            shuffled_bytes=sum(stage.shuffleWriteBytes() for stage in new),
            shuffled_rows=sum(stage.shuffleWriteRecords() for stage in new),
            spilled_bytes=sum(stage.diskBytesSpilled() for stage in new),
            clock_seconds=clock,
        )
    )


def stages(engine: SparkEngine) -> dict[tuple[int, int], Any]:
    """Return all stages that Spark has run, by number and attempt."""
    context: Any = engine.session.sparkContext
    nothing = context._jvm.java.util.ArrayList()
    quantiles = context._gateway.new_array(context._jvm.double, 0)
    listed = context._jsc.sc().statusStore().stageList(nothing, False, False, quantiles, nothing)
    every = [listed.apply(number) for number in range(listed.size())]
    return {(stage.stageId(), stage.attemptId()): stage for stage in every}


def told(name: str, cost: Cost, events: int) -> str:
    """Return the figures of one job as text."""
    return (
        f"{name}: tasks {cost.task_seconds:.1f} s of processor "
        f"({cost.task_seconds / events * 1e6:.2f} µs an event), clock {cost.clock_seconds:.1f} s; "
        f"read {cost.scanned_bytes / events:.1f} B an event in {cost.scans} scans; "
        f"shuffled {cost.shuffled_bytes / events:.2f} B and {cost.shuffled_rows / events:.3f} rows an event; "
        f"spilled {cost.spilled_bytes / 2**20:.0f} MB"
    )


if __name__ == "__main__":
    main()
