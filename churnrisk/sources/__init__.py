"""Where tables come from: files, SQL over files, and databases, through DuckDB or Spark."""

from churnrisk.contract import identifier, literal, timestamp_literal
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import Cache, Parts, Seen, Stamp, file_kind, file_list
from churnrisk.sources.tables import Tables, open_account, open_engine, open_tables

__all__ = [
    "Cache",
    "Engine",
    "EngineConfig",
    "Parts",
    "Seen",
    "Stamp",
    "TableConfig",
    "Tables",
    "file_kind",
    "file_list",
    "identifier",
    "literal",
    "open_account",
    "open_engine",
    "open_tables",
    "timestamp_literal",
]
