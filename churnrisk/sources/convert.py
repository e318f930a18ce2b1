"""Files that the engine does not read itself become ones that it does: other encodings, sheets of workbooks."""

from __future__ import annotations

import codecs
import datetime as dt
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from churnrisk.errors import ContractError, UsageError

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
Cell = int | float | str | bool | dt.time | dt.date | dt.datetime | dt.timedelta

_SHEET = re.compile(rf"(.*(?:{'|'.join(map(re.escape, WORKBOOKS))}))(?:#(.*))?", re.IGNORECASE | re.DOTALL)
#: A file that begins so says its encoding itself.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    # the engine skips a mark of UTF-8 itself, but not before a quote
    (codecs.BOM_UTF8 + b'"', "utf-8-sig"),
)
_CHUNK = 1 << 20
#: The letters and signs of Western European texts in Windows' code page, and signs that stand inside no word.
_WESTERN = re.compile(r"[À-ÖØ-öø-ÿŒœŠšŽžŸ€£§°–—\u2018\u2019“”„…•«»¿¡ß©®™µ²³½¼¾ªº·×\u00b4\u00a0]*")
_INSIDE = re.compile(r"[^\W\d_][£§°²³½¼¾·×\u00b4«»¿¡©®¹](?=[^\W\d_])|(?<![^\W\d_])[£³¿¡¹](?=[^\W\d_]{2})")
#: The header of a sheet is among so many rows.
_TOP_ROWS = 100
_BATCH_ROWS = 50_000


def encoding_of(path: Path, given: str | None) -> str | None:
    """Return the encoding that a text file must be converted from; None if it is UTF-8 as far as its start shows."""
    with _opened(path) as file:
        start = bytes(file.read(4))
    marked = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
    if given is None and marked is None and start[1::2] == b"\0\0":
        raise _not_utf8(path, "utf-16-le")
    name = codecs.lookup(given or "utf-8").name
    if marked and name in ("utf-8", "utf-8-sig", marked):
        return marked
    if name in ("utf-8", "utf-8-sig", "ascii"):
        return None
    if name in ("utf-16", "utf-32"):
        return name + "-le"  # without a mark, as Windows writes them
    # as in web browsers: what is called Latin-1 is Windows' superset of it, with the euro sign
    return "cp1252" if name == "iso8859-1" else name


def to_utf8(path: Path, encoding: str, folder: Path) -> Path:
    """Write a text file in UTF-8 under its name into an own folder and return it; ContractError if it does not fit."""
    written = _place(path, folder, path.name.removesuffix(".gz").removesuffix(".zst"))
    with _opened(path) as raw, written.open("wb") as out:
        try:
            text = io.TextIOWrapper(raw, encoding=encoding, newline="")  # type: ignore[type-var]
            while chunk := text.read(_CHUNK):
                out.write(chunk.encode("utf-8"))
        except UnicodeError as error:
            if detect_encoding(path) is None:
                raise ContractError(f"{path.name} is UTF-8, not {encoding}. Remove its encoding.") from error
            raise ContractError(
                f"{path.name} is not in the encoding {encoding}: {error}. Set the one that it has."
            ) from error
    return written


def detect_encoding(path: Path) -> str | None:
    """Return the encoding that a text file most likely has; None if it is UTF-8, "" if that cannot be told.

    None too if the file cannot be read, as the engine says what is wrong with it.
    """
    with suppress(OSError):
        return _detected(path)
    return None


def _detected(path: Path) -> str | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _opened(path) as file:
        start = bytes(file.read(4))
        marked = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
        if marked or start[1::2] == b"\0\0":
            return marked or "utf-16-le"
        chunk, before = start + bytes(file.read(_CHUNK)), b""
        while chunk:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return _guess(before + chunk + bytes(file.read(_CHUNK)))
            # what was cut inside a character goes with the next chunk
            before, chunk = chunk[-4:], bytes(file.read(_CHUNK))
    return None


def not_utf8(files: Iterable[Path]) -> ContractError | None:
    """Return the error about the first file that is not UTF-8, with the encoding that it most likely has."""
    for path in files:
        found = detect_encoding(path)
        if found is not None:
            return _not_utf8(path, found)
    return None


def _not_utf8(path: Path, encoding: str) -> ContractError:
    if not encoding:
        return ContractError(
            f"{path.name} is not UTF-8, and its encoding cannot be told. Set it, such as "
            'encoding = "cp1252" (Western Europe), "cp1250" (Central Europe), "cp1251" (Cyrillic) or "shift_jis".'
        )
    return ContractError(f'{path.name} is not UTF-8. Set encoding = "{encoding}", or save it as UTF-8.')


def _guess(content: bytes) -> str:
    lines = b"\n".join(
        islice((line for line in content.splitlines() if any(byte > 127 for byte in line)), 2000)
    )[: 1 << 16]
    try:
        text = lines.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    others = "".join(character for character in text if ord(character) > 127)
    letters = sum(character.isalpha() for character in text)
    # where most letters are beyond ASCII it is another script; Western texts have few of them
    foreign = sum(character.isalpha() for character in others) > 0.4 * letters
    if text and not foreign and _WESTERN.fullmatch(others) and not _INSIDE.search(text):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(lines).best()
    return best.encoding if best else ""


def _opened(path: Path) -> io.BufferedIOBase:
    """Open a file, decompressed by its ending."""
    import pyarrow as pa

    stream: io.BufferedIOBase = pa.input_stream(str(path))
    return stream


def _place(path: Path, folder: Path, name: str) -> Path:
    """Return where a converted file is written; each has a folder of its own, as names may repeat."""
    folder.mkdir(exist_ok=True)
    own = folder / str(sum(1 for _ in folder.iterdir()))
    own.mkdir()
    return own / name


def split_sheet(path: str) -> tuple[str, str | None]:
    """Return the file and the sheet that a path names.

    >>> split_sheet("book.xlsx#Usage")
    ('book.xlsx', 'Usage')
    """
    found = _SHEET.fullmatch(path)
    return (found[1], found[2] or None) if found else (path, None)


def sheet_names(path: Path) -> list[str]:
    """Return the visible sheets of a workbook that hold something."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    book = _workbook(path)
    return [
        sheet.name
        for sheet in book.sheets_metadata
        if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
        if book.get_sheet_by_name(sheet.name).height
    ]


def sheet_to_parquet(path: Path, sheet: str | None, folder: Path) -> Path:
    """Write a sheet as a Parquet file of text columns and return it; rows above its header are skipped."""
    import pyarrow as pa
    from pyarrow import parquet

    chosen = _sheet(path, sheet)
    rows = iter(chosen.iter_rows())
    top = list(islice(rows, _TOP_ROWS))
    at = _header(top)
    if at is None:
        raise ContractError(
            f"sheet {chosen.name!r} of {path.name} has no row of column names among its first rows. Add one."
        )
    body = chain(top[at + 1 :], rows)
    columns = {place: name for place, name in enumerate(_names(top[at])) if name}
    schema = pa.schema([(name, pa.string()) for name in columns.values()])
    written = _place(path, folder, f"{path.name}.parquet")
    with parquet.ParquetWriter(str(written), schema) as writer:
        while batch := list(islice(body, _BATCH_ROWS)):
            filled = [row for row in batch if any(cell != "" for cell in row)]
            texts = [[_text(row[place]) for row in filled] for place in columns]
            writer.write_table(pa.table([pa.array(text, pa.string()) for text in texts], schema=schema))
    return written


def _workbook(path: Path) -> CalamineWorkbook:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        return CalamineWorkbook.from_path(path)
    except PasswordError as error:
        raise ContractError(f"{path.name} needs a password. Save it without one.") from error
    except (CalamineError, OSError) as error:
        raise ContractError(f"{path.name} is no workbook, or damaged: {error}. Save it again.") from error


def _sheet(path: Path, sheet: str | None) -> CalamineSheet:
    book = _workbook(path)
    there = sheet_names(path)
    if sheet is None and len(there) == 1:
        return book.get_sheet_by_name(there[0])
    if sheet is None:
        raise UsageError(
            f"{path.name} has several sheets: {', '.join(there)}. Name one, such as "
            f'path = "{path.name}#{(there or ["Sheet1"])[0]}".'
            if there
            else f"{path.name} has no sheet with rows. Save it again."
        )
    named = [name for name in book.sheet_names if name.strip().lower() == sheet.strip().lower()]
    if not named:
        raise UsageError(f"{path.name} has no sheet {sheet!r}; it has {', '.join(there)}. Correct the path.")
    return book.get_sheet_by_name(sheet if sheet in named else named[0])


def _header(top: Sequence[Sequence[Cell]]) -> int | None:
    """Return the row of column names: the first of different texts that is about as wide as the rows below it."""
    widths = [sum(cell != "" for cell in row) for row in top]
    for number, row in enumerate(top):
        names = [cell for cell in row if cell != ""]
        texts = [cell.strip() for cell in names if isinstance(cell, str)]
        below = [width for width in widths[number + 1 :] if width][:20]
        wide = max(below, default=len(names))
        if (
            texts
            and len(texts) == len(names)
            and len({text.lower() for text in texts}) > 0.5 * len(texts)
            and len(names) >= max(0.6 * wide, min(2, wide))
        ):
            return number
    return None


def _names(row: Sequence[Cell]) -> Iterator[str]:
    """Yield the name of each column, "" where there is none; blanks tell those apart that are there twice."""
    seen: set[str] = set()
    for cell in row:
        name = str(cell).strip()
        while name and name in seen:
            name += " "
        seen.add(name)
        yield name


def _text(cell: Cell) -> str | None:
    """Return a cell as a CSV file would hold it: no ".0" behind whole numbers, dates in ISO 8601."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, dt.datetime):
        day = cell.time() == dt.time()
        return cell.date().isoformat() if day else cell.isoformat(" ")
    return str(cell)
