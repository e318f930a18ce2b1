"""Laid-out SQL reads well and says the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.sources.layout import WIDTH, lay_out


def test_clauses_subqueries_and_conditions_get_lines_of_their_own() -> None:
    long = ", ".join(f"sum(x.amount_{i}) filter (where x.age <= {i}) as amount_{i}" for i in range(3))
    sql = (
        f"create table t as select x.id, {long} from (select * from raw where left(name, 1) = 'a, b') x "
        "asof left join y on y.id = x.id where x.a between 1 and 2 and x.b is not distinct from x.c group by x.id"
    )
    assert lay_out(sql) == (
        "create table t as\n"
        "select\n"
        "    x.id,\n"
        "    sum(x.amount_0) filter (where x.age <= 0) as amount_0,\n"
        "    sum(x.amount_1) filter (where x.age <= 1) as amount_1,\n"
        "    sum(x.amount_2) filter (where x.age <= 2) as amount_2\n"
        "from (\n"
        "    select *\n"
        "    from raw\n"
        "    where left(name, 1) = 'a, b'\n"
        ") x\n"
        "asof left join y on y.id = x.id\n"
        "where x.a between 1 and 2 and x.b is not distinct from x.c\n"
        "group by x.id"
    )


def test_long_conditions_break_before_and_but_not_within_between_or_case() -> None:
    case = "case when p.a = 1 and p.b = 2 then p.c else p.d end = 3"
    sql = f"select 1 from p where p.first_column between 10 and 20 and {case} or p.some_other_column = 'x and y'"
    assert lay_out(sql).splitlines()[2:] == [
        "where p.first_column between 10 and 20",
        f"    and {case}",
        "    or p.some_other_column = 'x and y'",
    ]


def test_long_lists_of_values_are_filled_into_lines() -> None:
    values = ", ".join(f"(date '2025-01-{day:02d}')" for day in range(1, 29)) + ", ('a  text, (too')"
    laid = lay_out(f"select * from (values {values}) d(day)")
    assert laid.endswith("\n) d(day)")
    assert max(map(len, laid.splitlines())) <= WIDTH
    assert laid.count("(date '") == 28
    assert "('a  text, (too')" in laid


_WORDS = st.sampled_from(
    ["select", "from", "left", "join", "on", "and", "case", "end", "between", "order", "by", "a", "b.c", "1", ",",
     "'it''s, (and)'", '"od d"', "values", "as", "sum"]
)  # fmt: skip
_PARTS = st.recursive(_WORDS, lambda inner: st.lists(inner).map(lambda parts: f"({' '.join(parts)})"))


@pytest.mark.slow
@given(st.lists(_PARTS).map(" ".join))
def test_nothing_but_white_space_outside_of_texts_changes(sql: str) -> None:
    assert _squeezed(lay_out(sql)) == _squeezed(sql)


@pytest.mark.parametrize("text", ["'two  spaces\n and (a line'", '"odd ""name"", x"'])
def test_texts_and_quoted_names_stay_as_they_are(text: str) -> None:
    assert text in lay_out(f"select {text} from t where x = {text}")


def _squeezed(sql: str) -> str:
    return re.sub(r"\s+", "", sql)
