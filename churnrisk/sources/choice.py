"""The engine that churnrisk.toml asks for."""

from __future__ import annotations

from pathlib import Path

from churnrisk.sources.config import EngineConfig
from churnrisk.sources.engine import Engine


def open_engine(config: EngineConfig, *, base: Path) -> Engine:
    """Open DuckDB or Spark; use it as a context manager.

    Raises
    ------
    UsageError
        If a setting is wrong, or Spark cannot start.
    """
    if config.name == "spark":
        # pyspark and Java are for those who ask for them
        from churnrisk.sources.spark_engine import SparkEngine

        return SparkEngine(config, base=base)
    return Engine(config, base=base)
