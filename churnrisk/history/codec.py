"""Reasons, moves and what-ifs as the JSON text that the store keeps: one writer and one reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from churnrisk.records import ChangedSignal, Colour, Move, MovePart, Reason, Turnaround

# Many accounts share a value and what is said of it, so those pieces are encoded once.
_PIECES = 1 << 16


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


def read_what_if(text: str | None) -> Turnaround | None:
    """Return what would turn an account, None where nothing is stored."""
    if not text:
        return None
    fields = json.loads(text)
    return Turnaround(
        colour=None if fields["colour"] is None else Colour(fields["colour"]),
        levers=tuple(fields["levers"]),
        steps=tuple(fields["steps"]),
        probability=fields["probability"],
        changes=tuple(ChangedSignal(**change) for change in fields["changes"]),
    )


def _reasons_text(reasons: Sequence[Reason]) -> str:
    return f"[{', '.join(map(_reason_text, reasons))}]"


def _reason_text(reason: Reason) -> str:
    head, middle, tail = _reason_pieces(
        reason.feature, reason.family, reason.text, reason.value, reason.usual_low, reason.usual_high, reason.peers
    )  # fmt: skip
    return f"{head}{_value(reason.contribution)}{middle}{_value(reason.previous)}{tail}"


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


def _what_if_text(what_if: Turnaround) -> str:
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
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    return float.__repr__(float(value)) if isfinite(value) else json.dumps(value)


_shared = lru_cache(_PIECES)(_value)
