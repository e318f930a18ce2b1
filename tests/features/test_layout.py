"""Laid-out SQL reads well and says the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.features import lay_out


def test_clauses_conditions_and_list_items_get_lines_of_their_own() -> None:
    sql = (
        "create or replace temp table t as select x.id, sum(x.n) filter (where x.age <= 1) as n "
        "from (select * from raw where left(name, 1) = 'a, b') x asof left join y on y.id = x.id "
        "where x.a between 1 and 2 and x.b is not distinct from x.c group by x.id"
    )
    assert lay_out(sql) == (
        "create or replace temp table t as\n"
        "select x.id,\n"
        "       sum(x.n) filter (where x.age <= 1) as n\n"
        "  from (\n"
        "        select *\n"
        "          from raw\n"
        "         where left(name, 1) = 'a, b'\n"
        "       ) x\n"
        "  asof left join y\n"
        "    on y.id = x.id\n"
        " where x.a between 1 and 2\n"
        "   and x.b is not distinct from x.c\n"
        " group by x.id"
    )


def test_a_list_too_long_to_lay_out_stays_as_it_is() -> None:
    sql = f"select * from (values {', '.join(f'({n}, {n})' for n in range(5000))}) d(a, b)"
    assert lay_out(sql) == sql


_WORDS = st.sampled_from(
    ["select", "from", "left", "join", "on", "and", "case", "end", "between", "order", "by", "a", "b.c", "1", ",",
     "'it''s, (and)'", '"od d"', "values", "as", "sum"]
)  # fmt: skip
_PARTS = st.recursive(_WORDS, lambda inner: st.lists(inner).map(lambda parts: f"({' '.join(parts)})"))


@given(st.lists(_PARTS).map(" ".join))
def test_nothing_but_white_space_outside_of_texts_changes(sql: str) -> None:
    assert _squeezed(lay_out(sql)) == _squeezed(sql)


@pytest.mark.parametrize("text", ["'two  spaces\n and (a line'", '"odd ""name"", x"'])
def test_texts_and_quoted_names_stay_as_they_are(text: str) -> None:
    assert text in lay_out(f"select {text} from t where x = {text}")


def _squeezed(sql: str) -> str:
    return re.sub(r"\s+", "", sql)
