from .config import EngineConfig, TableConfig
from .database import read_batches
from .draft import Ask, MappedTable, Question
from .engine import Engine
from .files import CacheConfig, EventFiles, Fingerprint, Stamp, file_kind, file_list
from .guess import Guess, default_answer, guess_tables
from .spark_engine import SparkEngine
from .spark_sql import parse, to_spark
from .tables import Tables, open_account, open_engine, open_tables

__all__ = [
    "Ask",
    "CacheConfig",
    "Engine",
    "EngineConfig",
    "EventFiles",
    "Fingerprint",
    "Guess",
    "MappedTable",
    "Question",
    "SparkEngine",
    "Stamp",
    "TableConfig",
    "Tables",
    "default_answer",
    "file_kind",
    "file_list",
    "guess_tables",
    "open_account",
    "open_engine",
    "open_tables",
    "parse",
    "read_batches",
    "to_spark",
]
