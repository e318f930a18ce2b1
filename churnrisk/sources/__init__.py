"""Where tables come from: files, SQL over files, and databases, through DuckDB or Spark."""

from churnrisk.sources.choice import open_engine
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.quoting import identifier, literal
from churnrisk.sources.tables import Tables, open_account, open_tables

__all__ = [
    "Engine",
    "EngineConfig",
    "TableConfig",
    "Tables",
    "identifier",
    "literal",
    "open_account",
    "open_engine",
    "open_tables",
]
