"""Where tables come from: files, SQL over files, and databases, all through DuckDB."""

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
    "open_tables",
]
