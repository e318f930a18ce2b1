"""Write files whole or not at all, and verify that they are as written."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, TypeVar

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

Record = TypeVar("Record")
#: What a spreadsheet takes for the beginning of a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_whole(path: str | Path, content: bytes | Callable[[IO[bytes]], object]) -> Path:
    """Replace the file at ``path`` by ``content``, or by what it writes, in one step; else a UsageError."""
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"expected a file name, found the folder {target}; add a file name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"expected to write {target}, found: {reason}; choose another place") from error
    return target


def csv_text(rows: Iterable[Iterable[object]], *, newline: str = "\n") -> str:
    """Return rows as CSV without formulas; instants to the minute."""
    lines: list[str] = []
    # Python 3.11 quotes a carriage return only where the line terminator has one, and writes line by line
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")
    writer.writerows([_in_csv(value) for value in row] for row in rows)
    return "".join(line.removesuffix("\r\n") + newline for line in lines)


def _in_csv(value: object) -> object:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def without_formulas(table: pa.Table) -> pa.Table:
    """Return a table whose texts no spreadsheet takes for formulas."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            text = table.column(number)
            risky = pc.fill_null(pc.match_substring_regex(text, r"\A[=+\-@\t\r\n]"), False)
            quoted = pc.binary_join_element_wise(pa.scalar("'", field.type), text, pa.scalar("", field.type))
            table = table.set_column(number, field, pc.if_else(risky, quoted, text))
    return table


def digest_of(content: Path | bytes | str) -> str:
    """Return the SHA-256 of a file, of bytes or of a text, in hex."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def write_sealed(path: Path, record: object, *, form: int) -> None:
    """Write a dataclass instance as JSON below a line with its form and checksum, for :func:`read_sealed`.

    Raise ``form`` when older files would be read wrongly.
    """
    from pydantic import TypeAdapter

    body: bytes = TypeAdapter(type(record)).dump_json(record)
    write_whole(path, _seal(body, form) + b"\n" + body)


def read_sealed(path: Path, kind: type[Record], *, form: int) -> Record:
    """Return the record of a sealed file: OSError if unreadable, ValueError if damaged or of another kind or form."""
    from pydantic import TypeAdapter, ValidationError

    seal, _, body = path.read_bytes().partition(b"\n")
    written, _, _ = seal.partition(b" ")
    if written.isdigit() and seal == _seal(body, int(written)):
        try:
            if int(written) == form:
                return TypeAdapter(kind).validate_json(body)
        except ValidationError:
            pass
        raise ValueError(f"{path.name} is of another version")
    raise ValueError(f"{path.name} is damaged")


def _seal(body: bytes, form: int) -> bytes:
    return f"{form} {digest_of(body)}".encode()


def _replace(target: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as temporary:
        try:
            if callable(content):
                content(temporary)
            else:
                temporary.write(content)
            temporary.close()
            # Temporary files are private; ours are for the team, as the umask allows.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary.name, 0o666 & ~umask)
            os.replace(temporary.name, target)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise
