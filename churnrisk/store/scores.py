"""Scores between data frames, JSON text and the database: Arrow columns, one codec, bulk inserts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churnrisk.errors import ContractError
from churnrisk.records import ChangedSignal, Colour, Move, MovePart, Reason, WhatIf
from churnrisk.store.schema import scores
from churnrisk.store.totals import INSTANT, Adder

# Many accounts share a value and what is said of it, so those pieces are encoded once.
_PIECES = 1 << 16
SCORE_COLUMNS = tuple(
    column.name for column in scores.columns if column.name not in ("run_id", "colour_since")
)
_REQUIRED = ("account_id", "colour", "decided_by")
_INSTANTS = (
    "as_of", "published_at", "renewal_at", "colour_since", "created_at", "expires_at", "ended_at", "handed_out_at",
    "due_at",
)  # fmt: skip
_IDS = ("run_id", "override_id", "action_id")
_NUMBERS = tuple(column.name for column in scores.columns if isinstance(column.type, sa.Float))
_BATCH = 50_000
# Nearly unique: dictionary encoding would not pay.
_OWN = ("account_id", "name")
_LISTED = pa.array(["red", "amber"])
# PostgreSQL's binary format: https://www.postgresql.org/docs/current/sql-copy.html
_OPENING = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_CLOSING = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_AS_TEXT = "%Y-%m-%d %H:%M:%S.%f"
_CANCEL_SECONDS, _RETRY_SECONDS = 5.0, 0.5
_EPOCH = np.datetime64("2000-01-01", "us").astype(np.int64)


def with_texts(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with the records in ``reasons``, ``moved`` and ``turnaround`` as JSON text."""
    writers: dict[str, Callable[[Any], str]] = {
        "reasons": _reasons_text,
        "moved": _move_text,
        "turnaround": _what_if_text,
    }
    texts = {
        name: pd.Series(
            [None if record is None else write(record) for record in scores[name]], scores.index, dtype=object
        )
        for name, write in writers.items()
        if name in scores
    }
    return scores.assign(**texts)


def contributions_texts(contributions: pd.DataFrame) -> list[str]:
    """Return one JSON object per row, of the finite columns that are not 0, to 15 decimals."""
    cells = []
    for name, values in contributions.items():
        rounded = pa.array(np.round(values.to_numpy(dtype=np.float64), 15))
        text = pc.binary_join_element_wise(f",{json.dumps(str(name))}:", rounded.cast(pa.string()), "")
        shown = pc.and_(pc.is_finite(rounded), pc.not_equal(rounded, 0.0))
        cells.append(pc.if_else(shown, text, ""))
    members = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*cells, ""), 1)
    rows: list[str] = pc.binary_join_element_wise("{", members, "}", "").to_pylist()
    return rows


def read_reasons(text: str | None) -> tuple[Reason, ...]:
    """Return the reasons of an account."""
    return tuple(Reason(**fields) for fields in json.loads(text or "[]"))


def read_move(text: str | None) -> Move | None:
    """Return why an account moved, None where nothing is stored."""
    if not text:
        return None
    fields = json.loads(text)
    return Move(
        since=datetime.fromisoformat(fields["since"]),
        previous_colour=Colour(fields["previous_colour"]),
        because=fields["because"],
        log_odds=fields["log_odds"],
        parts=tuple(MovePart(**part) for part in fields["parts"]),
    )


def read_what_if(text: str | None) -> WhatIf | None:
    """Return what would turn an account, None where nothing is stored."""
    if not text:
        return None
    fields = json.loads(text)
    return WhatIf(
        colour=None if fields["colour"] is None else Colour(fields["colour"]),
        levers=tuple(fields["levers"]),
        steps=tuple(fields["steps"]),
        probability=fields["probability"],
        changes=tuple(ChangedSignal(**change) for change in fields["changes"]),
    )


def _reasons_text(reasons: Sequence[Reason]) -> str:
    texts = []
    for one in reasons:
        head, middle, tail = _reason_pieces(
            one.feature, one.family, one.text, one.value, one.usual_low, one.usual_high, one.peers
        )
        texts.append(f"{head}{_value(one.contribution)}{middle}{_value(one.previous)}{tail}")
    return f"[{', '.join(texts)}]"


@lru_cache(_PIECES)
def _reason_pieces(
    feature: str,
    family: str,
    text: str,
    value: float | str | None,
    low: float | None,
    high: float | None,
    peers: str,
) -> tuple[str, str, str]:
    """Return what stands before the contribution, between it and the previous value, and after that."""
    return (
        f'{{"feature": {_value(feature)}, "family": {_value(family)}, "text": {_value(text)}, '
        f'"value": {_value(value)}, "contribution": ',
        f', "usual_low": {_value(low)}, "usual_high": {_value(high)}, "previous": ',
        f', "peers": {_value(peers)}}}',
    )


def _move_text(move: Move) -> str:
    parts = []
    for part in move.parts:
        head, tail = _part_pieces(part.kind, part.text, part.feature)
        parts.append(f"{head}{_value(part.log_odds)}{tail}")
    head, middle = _move_pieces(move.since, move.previous_colour, move.because)
    return f"{head}{_value(move.log_odds)}{middle}{','.join(parts)}]}}"


@lru_cache(_PIECES)
def _part_pieces(kind: str, text: str, feature: str | None) -> tuple[str, str]:
    return f'{{"kind":{_value(kind)},"log_odds":', f',"text":{_value(text)},"feature":{_value(feature)}}}'


@lru_cache(_PIECES)
def _move_pieces(since: datetime, previous_colour: Colour, because: str | None) -> tuple[str, str]:
    head = f'{{"since":"{since.isoformat()}","previous_colour":{_value(previous_colour)},"because":{_value(because)}'
    return f'{head},"log_odds":', ',"parts":['


def _what_if_text(what_if: WhatIf) -> str:
    changes = ",".join(
        f'{{"feature":{_shared(change.feature)},"label":{_shared(change.label)},"now":{_value(change.now)},'
        f'"then":{_value(change.then)}}}'
        for change in what_if.changes
    )
    return (
        f'{{"colour":{_shared(what_if.colour)},"levers":{_texts(what_if.levers)},"steps":{_texts(what_if.steps)},'
        f'"probability":{_value(what_if.probability)},"changes":[{changes}]}}'
    )


@lru_cache(_PIECES)
def _texts(texts: tuple[str, ...]) -> str:
    return f"[{','.join(map(_value, texts))}]"


def _value(value: float | str | None) -> str:
    """Return a JSON value; numbers go past the encoder, which takes long over a single one."""
    if isinstance(value, float) and isfinite(value):
        return float.__repr__(value)
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring(value)
    return float.__repr__(float(value)) if isfinite(value) else json.dumps(value)


_shared = lru_cache(_PIECES)(_value)


def check_scores(frame: pd.DataFrame) -> None:
    """Raise ContractError when a frame cannot be stored as scores."""
    missing = [name for name in _REQUIRED if name not in frame.columns]
    unknown = [str(name) for name in frame.columns if name not in SCORE_COLUMNS]
    if missing or unknown:
        raise ContractError(
            f"scores expect the columns {list(_REQUIRED)} and may have {list(SCORE_COLUMNS)}; "
            f"missing {missing}, unknown {unknown}."
        )
    for name in _REQUIRED:
        if frame[name].isna().any():
            raise ContractError(f"scores: {int(frame[name].isna().sum())} rows have no {name}. Fill them in.")
    odd = sorted(set(map(str, frame["colour"].unique())) - set(Colour))
    if odd:
        raise ContractError(f"scores: expected the colours {', '.join(Colour)}, found {odd}.")


def to_table(frame: pd.DataFrame, *, run_id: int, as_of: datetime) -> pa.Table:
    """Return the rows of the ``scores`` table, each colour dated from ``as_of``."""
    given = {column.name: _given(frame, column) for column in scores.columns if column.name in frame.columns}
    rows = len(frame)
    given["run_id"] = pa.repeat(pa.scalar(run_id, pa.int32()), rows)
    given["colour_since"] = pa.repeat(pa.scalar(as_of, INSTANT), rows)
    absent = {c.name: pa.nulls(rows, _type(c)) for c in scores.columns if c.name not in given}
    return pa.table({column.name: (given | absent)[column.name] for column in scores.columns})


def _with_colour_since(connection: sa.Connection, table: pa.Table, previous: int) -> pa.Table:
    """Carry ``colour_since`` over from the previous run for accounts that keep their colour."""
    accounts = table["account_id"].to_pylist()
    query = sa.select(scores.c.account_id, scores.c.colour, scores.c.colour_since).where(
        scores.c.run_id == previous, scores.c.account_id.in_(_many(connection, accounts))
    )
    then = read_frame(connection, query).set_index("account_id").reindex(accounts)
    kept = pc.equal(table["colour"], pa.array(then["colour"], pa.string(), from_pandas=True))
    earlier = pa.array(then["colour_since"].to_numpy(), INSTANT, from_pandas=True)
    since = pc.if_else(pc.fill_null(kept, False), earlier, table["colour_since"])
    return table.set_column(table.column_names.index("colour_since"), "colour_since", since)


def write_scores(
    connection: sa.Connection,
    run_id: int,
    as_of: datetime,
    frames: pd.DataFrame | Iterable[pd.DataFrame],
    *,
    previous: int | None,
    rest: pd.DataFrame | None,
) -> Counter[str]:
    """Write the scores of a run with their totals, and return how many accounts have each colour."""
    counts: Counter[str] = Counter()
    adder = Adder(run_id, as_of)
    with Writer(connection) as writer:
        for frame in _batches(frames):
            check_scores(frame)
            table = to_table(frame, run_id=run_id, as_of=as_of)
            with _one_score_each(connection):
                if previous is not None:
                    writer.wait()
                    table = _with_colour_since(connection, table, previous)
                writer.write(table)
            counts.update(
                {item["values"]: item["counts"] for item in table["colour"].value_counts().to_pylist()}
            )
            adder.add(table)
        with _one_score_each(connection):
            writer.wait()
    if rest is not None and len(rest):
        adder.add_sums(rest)
        counts.update({str(colour): int(n) for colour, n in rest.groupby("colour")["accounts"].sum().items()})
    if counts:
        adder.write(connection)
    return counts


@contextmanager
def _one_score_each(connection: sa.Connection) -> Iterator[None]:
    try:
        yield
    except (IntegrityError, connection.dialect.loaded_dbapi.IntegrityError) as error:
        raise ContractError("scores: an account has two scores in one run. Keep one per account.") from error


def _batches(frames: pd.DataFrame | Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for frame in [frames] if isinstance(frames, pd.DataFrame) else frames:
        for first in range(0, len(frame), _BATCH):
            yield frame.iloc[first : first + _BATCH]


def naive_utc(instant: datetime) -> datetime:
    """Return an instant in UTC without an offset; one without an offset is taken as UTC."""
    return instant if instant.tzinfo is None else instant.astimezone(UTC).replace(tzinfo=None)


def _type(column: sa.Column[Any]) -> pa.DataType:
    if isinstance(column.type, sa.Float):
        return pa.float64()
    if isinstance(column.type, sa.Integer):
        return pa.int32()
    return INSTANT if isinstance(column.type, sa.DateTime) else pa.string()


def _given(frame: pd.DataFrame, column: sa.Column[Any]) -> pa.Array:
    values, kind = frame[column.name], _type(column)
    if kind == pa.float64():
        return pa.array(pd.to_numeric(values).to_numpy(dtype=float, na_value=float("nan")), from_pandas=True)
    if kind == INSTANT:
        return pa.array(_naive_instants(values).to_numpy(), kind, from_pandas=True)
    # a categorical, a number or an enum would be stored as what it is
    plain = (
        values
        if pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty")
        else values.astype("str")
    )
    return pa.chunked_array(pa.array(plain, from_pandas=True)).cast(kind).combine_chunks()


def _naive_instants(instants: pd.Series) -> pd.Series:
    """Return instants in UTC without an offset; those without one are taken as UTC."""
    moments = pd.to_datetime(instants)
    moments = moments if moments.dt.tz is None else moments.dt.tz_convert("UTC").dt.tz_localize(None)
    return moments.astype("datetime64[us]")


def _many(connection: sa.Connection, texts: Sequence[str]) -> Any:
    """Pass any number of texts as one parameter: databases limit how many there may be."""
    if connection.dialect.name == "postgresql":
        return sa.select(sa.func.unnest(sa.literal(list(texts), sa.ARRAY(sa.Text))))
    if connection.dialect.name == "sqlite":
        return sa.select(
            sa.func.json_each(json.dumps(texts, ensure_ascii=False)).table_valued("value").c.value
        )
    return texts


def read_frame(connection: sa.Connection, query: sa.Select[Any]) -> pd.DataFrame:
    """Run a query; see :func:`frame_of`."""
    result = connection.execute(query)
    return frame_of(list(result.keys()), result.fetchall())


def frame_of(names: Sequence[str], rows: Sequence[Any]) -> pd.DataFrame:
    """Return rows as a frame; the names of columns decide their types."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pd.DataFrame({name: _typed(name, column) for name, column in zip(names, columns, strict=True)})


def _typed(name: str, column: tuple[Any, ...]) -> pd.Series:
    if name in _INSTANTS:
        return pd.Series(column, dtype="datetime64[us]")
    return pd.Series(column, dtype="float64" if name in _NUMBERS else "int64" if name in _IDS else "object")


class Writer:
    """Writes rows inside the caller's transaction; on PostgreSQL in a thread, while the caller prepares the next.

    Only the writer may use the connection until :meth:`wait` has returned; an error or Ctrl-C cancels a running COPY.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(1) if connection.dialect.driver == "psycopg" else None
        # taken now: a broken connection no longer gives it
        self._driver: Any = connection.connection.driver_connection
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        # repeatedly: the COPY may not have reached the server yet
        while kind is not None and self._under_way is not None and not self._under_way.done():
            with suppress(Exception):  # the error that ended the block matters more
                self._driver.cancel_safe(timeout=_CANCEL_SECONDS)
            wait([self._under_way], timeout=_RETRY_SECONDS)
        self._pool.shutdown(wait=True)

    def write(self, table: pa.Table) -> None:
        """Write a table, or start to, once earlier ones are written; an IntegrityError on a duplicate score."""
        if self._pool is None:
            _write_rows(self._connection, table)
            return
        command, rows = _binary(self._connection, table)
        self.wait()
        self._under_way = self._pool.submit(_copy, self._driver, command, rows)

    def wait(self) -> None:
        """Wait until everything is written, and raise what went wrong."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None


def _write_rows(connection: sa.Connection, table: pa.Table) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(sa.insert(scores), table.to_pylist())
        return
    listed = pc.is_in(table["colour"], value_set=_LISTED)
    # green and grey accounts leave most columns empty: empty and constant columns need no parameter
    for part in (table.filter(listed), table.filter(pc.invert(listed))):
        if part.num_rows:
            _insert(connection, part)


def _insert(connection: sa.Connection, table: pa.Table) -> None:
    names, marks, columns = [], [], []
    for name in table.column_names:
        column = table[name].combine_chunks()
        if column.null_count == len(column):
            continue
        values = _plain(column, distinct=name not in _OWN)
        names.append(connection.dialect.identifier_preparer.quote(name))
        marks.append("?" if isinstance(values, list) else _literal(connection, values))
        columns += [values] if isinstance(values, list) else []
    statement = f"insert into scores ({', '.join(names)}) values ({', '.join(marks)})"
    cursor: Any = connection.connection.cursor()
    # zip reuses one tuple as long as nobody keeps it
    cursor.executemany(statement, zip(*columns, strict=True))


def _plain(column: pa.Array, *, distinct: bool) -> Any:
    """Return a list of values for the driver, or the single value that all rows share."""
    if column.type == pa.float64():
        return column.to_numpy(zero_copy_only=False).tolist()  # SQLite stores NaN as NULL
    if not distinct:
        return column.to_pylist()
    encoded = column.dictionary_encode()
    known = encoded.dictionary.to_pylist()
    if column.type == INSTANT:
        known = [f"{moment:{_AS_TEXT}}" for moment in known]
    if len(known) == 1 and not column.null_count and str(known[0]).isprintable():
        return known[0]
    return np.array([*known, None], dtype=object)[encoded.indices.fill_null(len(known)).to_numpy()].tolist()


def _literal(connection: sa.Connection, value: str | int) -> str:
    compiled = sa.literal(value).compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return str(compiled)


def _binary(connection: sa.Connection, table: pa.Table) -> tuple[str, pa.Buffer]:
    """Return the COPY command and the rows in PostgreSQL's binary format, which the server need not parse."""
    sent = [name for name in table.column_names if table[name].null_count < len(table)]
    fields = [part for name in sent for part in _field(table[name].combine_chunks())]
    count = pa.scalar(len(sent).to_bytes(2, "big"), pa.binary())
    rows = pc.binary_join_element_wise(count, *fields, pa.scalar(b"", pa.binary()))
    preparer = connection.dialect.identifier_preparer
    listed = ", ".join(preparer.quote(name) for name in sent)
    return f"copy {preparer.format_table(scores)} ({listed}) from stdin (format binary)", rows.buffers()[2]


def _copy(driver: Any, command: str, rows: pa.Buffer) -> None:
    with driver.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(_OPENING)
        copy.write(rows)
        copy.write(_CLOSING)


def _field(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the length and the bytes of each value; a missing one has length -1 and no bytes."""
    if column.type == pa.string():
        lengths = _bytes(pc.binary_length(column).fill_null(-1).to_numpy().astype(">i4"))
        return lengths, column.cast(pa.binary()).fill_null(b"")
    if column.type == pa.int32():
        values = column.to_numpy().astype(">i4")
    elif column.type == INSTANT:
        values = (column.cast(pa.int64()).fill_null(0).to_numpy() - _EPOCH).astype(">i8")
    else:
        values = column.to_numpy(zero_copy_only=False).astype(">f8")
    width = pa.scalar(values.itemsize.to_bytes(4, "big"), pa.binary())
    return pc.if_else(column.is_valid(), width, _NULL), pc.if_else(column.is_valid(), _bytes(values), b"")


def _bytes(values: Any) -> pa.Array:
    """Return the bytes of each number."""
    width = pa.binary(values.itemsize)
    return pa.Array.from_buffers(width, len(values), [None, pa.py_buffer(values)]).cast(pa.binary())
