from .check import (
    COMPARED_ROWS,
    FUTURE,
    UNKNOWN,
    ContractRule,
    Findings,
    TablePart,
    blocking,
    complete_events,
    find,
    ids_of,
    rules_of,
    shares,
    sign_ups,
    validate,
)
from .counted import TermRows, markers
from .proposals import NULL_WORDS, date_formats, null_texts, number_separators
from .tables import (
    AS_IT_IS,
    EARLIEST,
    EPOCHS,
    GROUPS,
    ID_RULES,
    LATEST,
    TABLES,
    Available,
    ColumnSpec,
    ColumnType,
    Reading,
    TableSpec,
    as_double,
    cast,
    columns_of,
    identifier,
    literal,
    normal_id,
    scale_bounds,
    tidy,
    timestamp_literal,
)
from .trust import Days, Reach, days_with_rows, distrust, reaches

__all__ = [
    "AS_IT_IS", "Available", "COMPARED_ROWS", "ColumnSpec", "ColumnType", "ContractRule", "Days",
    "EARLIEST", "EPOCHS", "FUTURE", "Findings", "GROUPS", "ID_RULES", "LATEST", "NULL_WORDS", "Reach",
    "Reading", "TABLES", "TablePart", "TableSpec", "TermRows", "UNKNOWN", "as_double", "blocking", "cast",
    "columns_of", "complete_events", "date_formats", "days_with_rows", "distrust", "find", "identifier",
    "ids_of", "literal", "markers", "normal_id", "null_texts", "number_separators", "reaches", "rules_of",
    "scale_bounds", "shares", "sign_ups", "tidy", "timestamp_literal", "validate",
]  # fmt: skip
