"""What each table must look like, and the check that says everything that is wrong at once."""

from churnrisk.contract.check import blocking, validate
from churnrisk.contract.rules import FUTURE
from churnrisk.contract.tables import TABLES, Available, ColumnSpec, TableSpec

__all__ = ["FUTURE", "TABLES", "Available", "ColumnSpec", "TableSpec", "blocking", "validate"]
