"""What the table engine complains about, in words for the person who wrote churnrisk.toml."""

from __future__ import annotations

import re

from churnrisk.errors import ChurnRiskError, ContractError, UsageError

_ENCODING = r"invalid unicode|not utf-8 encoded|does not support the encoding|not utf-16 encoded|invalid utf"
_DAMAGED = (
    r"magic bytes|don't know what type|thrift|not a parquet file|decompress|corrupt|snappy|zstd|gzip stream"
)


def explain(error: Exception) -> ChurnRiskError:
    """Turn an engine error into one that says what to do."""
    import duckdb

    text = first_line(error)
    if isinstance(error, duckdb.OutOfMemoryException) or "Could not write" in text:
        return ChurnRiskError(
            f"out of memory or spill space: {text} Raise memory_limit under [engine] in churnrisk.toml, "
            "or point temp_directory at a disk with more room."
        )
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException | duckdb.ParserException):
        return UsageError(f"SQL does not run: {text} Mend it in churnrisk.toml.")
    return _file_error(error, text) or ChurnRiskError(f"the table engine failed: {text}")


def first_line(error: Exception) -> str:
    """Return the sentence that opens an engine error."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return line if line.endswith((".", "!", "?")) else line + "."


def _file_error(error: Exception, text: str) -> ChurnRiskError | None:
    """Return the error for a file that cannot be read as it is, if that is what it is."""
    import duckdb

    whole = str(error)
    if "No files found" in whole:
        return UsageError(f"{text} Paths in SQL are relative to churnrisk.toml; correct it there.")
    if re.search(_ENCODING, whole, re.IGNORECASE):
        return ContractError(
            f"a file is not in the expected encoding: {_file_trouble(error)}. Save it as UTF-8, or set "
            'encoding = "latin-1" or "utf-16" for its table in churnrisk.toml.'
        )
    if "Error when sniffing file" in whole:
        return ContractError(
            f"a CSV file cannot be understood: {text} Its lines do not all have as many values as its header, or "
            "its delimiter is unusual. Correct the file, or set delimiter for its table in churnrisk.toml."
        )
    if re.search(r"unimplemented type for cast|failed to cast column", whole, re.IGNORECASE):
        return ContractError(
            f"a column has different types in the files of one table: {_file_trouble(error)}. Save the files "
            "with one type, or join them by sql with casts of your own in churnrisk.toml."
        )
    if re.search(_DAMAGED, whole, re.IGNORECASE):
        return ContractError(f"a file is damaged: {text} Copy or export it again.")
    if isinstance(error, duckdb.IOException):
        return ContractError(f"a file cannot be read: {text} Check the path and whether the file is whole.")
    if isinstance(
        error, duckdb.InvalidInputException | duckdb.ConversionException | duckdb.OutOfRangeException
    ):
        return ContractError(
            f"a table cannot be read: {_file_trouble(error)}. Correct that value, or say what stands for "
            "an unknown one: nulls = [\"NA\"] for a path, nullstr = 'NA' inside read_csv(…)."
        )
    return None


def _file_trouble(error: Exception) -> str:
    """Return what a reader says of a file, without its advice for SQL authors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    starts = ("Error when", "Could not", "Expected", "Invalid", "file =")
    wanted = [line for line in lines[1:] if line.startswith(starts)]
    return " ".join([lines[0].removesuffix("."), *wanted[:3]])
