"""Where tables come from: files, SQL over files, and databases, through DuckDB or Spark."""

from churnrisk.sources.choice import open_engine
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_list
from churnrisk.sources.parts import Cache, Parts, Seen, Stamp
from churnrisk.sources.quoting import identifier, literal, timestamp_literal
from churnrisk.sources.tables import Tables, open_account, open_tables

__all__ = [
    "Cache",
    "Engine",
    "EngineConfig",
    "Parts",
    "Seen",
    "Stamp",
    "TableConfig",
    "Tables",
    "file_list",
    "identifier",
    "literal",
    "open_account",
    "open_engine",
    "open_tables",
    "timestamp_literal",
]
