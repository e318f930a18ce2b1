"""Records become the JSON text of the store and come back as they were."""

import json
from dataclasses import asdict
from datetime import datetime

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.records import ChangedSignal, Colour, Move, MovePart, Reason, WhatIf
from churnrisk.store import read_move, read_reasons, read_what_if, with_texts

TEXTS = st.one_of(st.text(), st.just('a "quoted" \\ name,\n\x07 of \U0001f600 \u2028'))
NUMBERS = st.floats(allow_nan=False)
MAYBE = st.one_of(st.none(), NUMBERS)
REASONS = st.builds(
    Reason,
    TEXTS,
    TEXTS,
    TEXTS,
    st.one_of(MAYBE, TEXTS),
    NUMBERS,
    MAYBE,
    MAYBE,
    st.one_of(MAYBE, TEXTS),
    TEXTS,
)
PARTS = st.builds(MovePart, TEXTS, NUMBERS, TEXTS, st.one_of(st.none(), TEXTS))
MOVES = st.builds(
    Move,
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(Colour),
    st.one_of(st.none(), TEXTS),
    MAYBE,
    st.lists(PARTS, max_size=3).map(tuple),
)
WHAT_IFS = st.builds(
    WhatIf,
    st.one_of(st.none(), st.sampled_from(Colour)),
    st.lists(TEXTS, max_size=2).map(tuple),
    st.lists(TEXTS, max_size=2).map(tuple),
    MAYBE,
    st.lists(st.builds(ChangedSignal, TEXTS, TEXTS, MAYBE, MAYBE), max_size=2).map(tuple),
)


@given(reasons=st.lists(REASONS, max_size=3).map(tuple), move=MOVES, what_if=WHAT_IFS)
def test_records_come_back_as_they_went_in(reasons, move, what_if):
    row = with_texts(
        pd.DataFrame({"account_id": ["a"], "reasons": [reasons], "moved": [move], "turnaround": [what_if]})
    ).iloc[0]
    assert read_reasons(row["reasons"]) == reasons
    assert read_move(row["moved"]) == move
    assert read_what_if(row["turnaround"]) == what_if
    # written piece by piece, it is what the encoder writes
    assert row["reasons"] == json.dumps([asdict(reason) for reason in reasons], ensure_ascii=False)
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    assert row["turnaround"] == json.dumps(asdict(what_if), **compact)
    assert row["moved"] == json.dumps(asdict(move) | {"since": move.since.isoformat()}, **compact)


def test_what_is_missing_stays_missing():
    row = with_texts(pd.DataFrame({"reasons": [()], "moved": [None], "turnaround": [None]})).iloc[0]
    assert (row["reasons"], row["moved"], row["turnaround"]) == ("[]", None, None)
    assert read_reasons(None) == read_reasons("[]") == ()
    assert read_move(None) is None
    assert read_what_if(None) is None
