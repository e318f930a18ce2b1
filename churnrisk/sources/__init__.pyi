from .account_ids import Ask, Question
from .config import EngineConfig, TableConfig, Via
from .connectors import Connector, connectors, read_connector, table_configs
from .convert import detect_encoding, sheet_names
from .database import read_batches
from .draft import MappedTable
from .engine import Engine, names_in
from .files import CacheConfig, EventFiles, Fingerprint, Stamp, file_kind, file_list, find_files
from .guess import Guess, default_answer, guess_tables
from .recognition import Recognition, recognise
from .spark_engine import SparkEngine
from .spark_sql import parse, to_spark
from .tables import Tables, open_account, open_engine, open_tables

__all__ = [
    "Ask",
    "CacheConfig",
    "Connector",
    "Engine",
    "EngineConfig",
    "EventFiles",
    "Fingerprint",
    "Guess",
    "MappedTable",
    "Question",
    "Recognition",
    "SparkEngine",
    "Stamp",
    "TableConfig",
    "Tables",
    "Via",
    "connectors",
    "default_answer",
    "detect_encoding",
    "file_kind",
    "file_list",
    "find_files",
    "guess_tables",
    "names_in",
    "open_account",
    "open_engine",
    "open_tables",
    "parse",
    "read_batches",
    "read_connector",
    "recognise",
    "sheet_names",
    "table_configs",
    "to_spark",
]
