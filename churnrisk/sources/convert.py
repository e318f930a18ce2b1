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
from tempfile import mkdtemp
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
#: The first line of a file that names its delimiter for Excel.
_DELIMITED = b"sep="
_CHUNK = 1 << 20
#: The letters and signs of Western European texts in Windows' code page, and signs that stand inside no word.
_WESTERN = re.compile(r"[À-ÖØ-öø-ÿŒœŠšŽžŸ€£§°–—\u2018\u2019“”„…•«»¿¡ß©®™µ²³½¼¾ªº·×\u00b4\u00a0]*")
_INSIDE = re.compile(r"[^\W\d_][£§°²³½¼¾·×\u00b4«»¿¡©®¹](?=[^\W\d_])|(?<![^\W\d_])[£³¿¡¹](?=[^\W\d_]{2})")
#: The header of a sheet is among so many rows.
_TOP_ROWS = 100
_BATCH_ROWS = 50_000
#: So many dates beside texts are column names, as of months side by side.
_PERIODS = 3


def encoding_of(path: Path, given: str | None) -> str | None:
    """Return the encoding that a text file must be converted from; None if it is UTF-8 as far as its start shows."""
    with _opened(path) as file:
        start, marked = _start(file)
    if given is None and marked is None and start[1::2] == b"\0\0":
        raise _not_utf8(path, "utf-16-le")
    if given is None and start.lower() == _DELIMITED:
        return "utf-8"
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
    if not encoding.startswith("utf") and _holds_utf8(path):
        raise ContractError(
            f"{path.name} is UTF-8, not {encoding}. Remove its encoding, or save it in that one."
        )
    written = _place(folder, path.name.removesuffix(".gz").removesuffix(".zst"))
    with _opened(path) as raw, written.open("wb") as out:
        try:
            text = io.TextIOWrapper(raw, encoding=encoding, newline="")  # type: ignore[type-var]
            # Excel writes its delimiter in a line above the header
            first = text.readline()
            if not first.lower().startswith(_DELIMITED.decode()):
                out.write(first.encode("utf-8"))
            while chunk := text.read(_CHUNK):
                out.write(chunk.encode("utf-8"))
        except UnicodeError as error:
            raise ContractError(
                f"{path.name} is not in the encoding {encoding}: {error}. Set the one that it has."
            ) from error
    return written


def _holds_utf8(path: Path) -> bool:
    """Say whether a file holds characters beyond ASCII, all of them in UTF-8: no other encoding looks so."""
    if detect_encoding(path) is not None:
        return False
    with _opened(path) as file:
        while chunk := bytes(file.read(_CHUNK)):
            if not chunk.isascii():
                return True
    return False


def detect_encoding(path: Path) -> str | None:
    """Return the encoding that a text file most likely has; None if it is UTF-8, "" if it cannot be determined.

    None too if the file cannot be read, as the engine says what is wrong with it.
    """
    with suppress(OSError):
        return _detected(path)
    return None


def _detected(path: Path) -> str | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _opened(path) as file:
        start, marked = _start(file)
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
    word = _word(path, encoding)
    shown = f", which reads “{word}” there" if word else ""
    return ContractError(
        f'{path.name} is not UTF-8. Set encoding = "{encoding}"{shown}, or save it as UTF-8.'
    )


def _word(path: Path, encoding: str) -> str:
    """Return a word that shows whether an encoding is the right one; empty if the file's start has none."""
    with _opened(path) as file:
        text = bytes(file.read(_CHUNK)).decode(encoding, errors="replace")
    found = re.search(r"\w*[^\x00-\x7f\ufeff]\w*", text)
    return found[0][:30] if found else ""


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


def _start(file: io.BufferedIOBase) -> tuple[bytes, str | None]:
    """Return the first bytes of a file and the encoding that they name."""
    start = bytes(file.read(4))
    return start, next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)


def _opened(path: Path) -> io.BufferedIOBase:
    """Open a file, decompressed by its ending."""
    import pyarrow as pa

    stream: io.BufferedIOBase = pa.input_stream(str(path))
    return stream


def _place(folder: Path, name: str) -> Path:
    """Return where a converted file is written; each has a folder of its own, as names may repeat."""
    return Path(mkdtemp(dir=folder), name)


def split_sheet(path: str) -> tuple[str, str | None]:
    """Return the file and the sheet that a path names.

    >>> split_sheet("book.xlsx#Usage")
    ('book.xlsx', 'Usage')
    """
    found = _SHEET.fullmatch(path)
    return (found[1], found[2] or None) if found else (path, None)


def sheet_names(path: Path) -> list[str]:
    """Return the visible sheets of a workbook that hold something."""
    book = _workbook(path)
    return [name for name in _visible(book) if book.get_sheet_by_name(name).height]


def _visible(book: CalamineWorkbook) -> list[str]:
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    shown = (SheetTypeEnum.WorkSheet, SheetVisibleEnum.Visible)
    return [sheet.name for sheet in book.sheets_metadata if (sheet.typ, sheet.visible) == shown]


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
    written = _place(folder, f"{path.name}.parquet")
    with parquet.ParquetWriter(str(written), schema) as writer:
        while batch := list(islice(body, _BATCH_ROWS)):
            cells = list(zip(*(row for row in batch if row.count("") < len(row)), strict=True))
            texts = [_texts(cells[place]) if cells else [] for place in columns]
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
    there = _visible(book)
    if sheet is None:
        there = there if len(there) == 1 else sheet_names(path)
        if len(there) == 1:
            return book.get_sheet_by_name(there[0])
        raise UsageError(
            f"{path.name} has several sheets: {', '.join(there)}. Name one, such as "
            f'path = "{path.name}#{there[0]}".'
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
    found = None
    for number, row in enumerate(top):
        wide = max((width for width in widths[number + 1 : number + 20] if width), default=widths[number])
        if not _are_names([cell for cell in row if cell != ""]):
            # rows of values have begun
            if found is not None and widths[number] >= wide:
                break
            continue
        if found is None and widths[number] >= max(0.6 * wide, min(2, wide)):
            found = number
        # a title may be half as wide as the table
        elif found is not None and widths[found] < widths[number] and widths[number] >= wide:
            return number
    return found


def _are_names(cells: Sequence[Cell]) -> bool:
    """Say whether cells may name columns: mostly different texts, beside them at least three years or dates."""
    texts = {cell.strip().lower() for cell in cells if isinstance(cell, str)}
    others = [cell for cell in cells if not isinstance(cell, str)]
    periods = len(others) >= _PERIODS and len(set(map(str, others))) == len(others)
    dated = all(isinstance(one, dt.date) or one in range(1990, 2100) for one in others)
    return len(texts) > 0.5 * (len(cells) - len(others)) and (not others or (periods and dated))


def _names(row: Sequence[Cell]) -> Iterator[str]:
    """Yield the name of each column, "" where there is none; blanks tell those apart that are there twice."""
    seen: set[str] = set()
    for cell in row:
        name = (_text(cell) or "").strip()
        while name and name in seen:
            name += " "
        seen.add(name)
        yield name


def _texts(cells: Sequence[Cell]) -> list[str | None]:
    kinds = set(map(type, cells)) - {str}
    # cells of several types may be equal, such as 1 and True
    if len(kinds) > 1:
        return [_text(cell) for cell in cells]
    texts = {cell: _text(cell) for cell in set(cells)}
    return [texts[cell] for cell in cells]


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
