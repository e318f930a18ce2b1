"""DuckDB's dialect as Spark reads it, as text; test_spark.py runs it on both."""

from __future__ import annotations

import pytest

from churnrisk.errors import UsageError
from churnrisk.sources import parse, to_spark


def spark(sql: str) -> str:
    return to_spark(parse(sql), lambda relation: {"a": "VARCHAR", "b": "BIGINT"})


def test_a_statement_knows_what_it_reads_and_makes() -> None:
    made = parse(
        "create or replace temp table x as with c as (select 1) select * from y join s.z using (a), c"
    )
    assert (made.makes, made.how, made.reads) == ("x", "table", {"y", "s.z"})
    added = parse("insert into x select a from y")
    assert (added.makes, added.how, added.reads) == ("x", "insert", {"y"})
    query = parse("select * from read_csv('y.csv')")
    assert (query.makes, query.how, query.reads, query.is_query) == (None, None, frozenset(), True)
    assert not parse("drop table x").is_query


def test_invalid_sql_is_a_readable_error() -> None:
    with pytest.raises(UsageError, match=r"SQL does not run: .*Correct it in churnrisk.toml"):
        parse("select (from")


def test_planner_hints_of_duckdb_are_dropped_for_spark() -> None:
    assert "MATERIALIZED" not in spark("with c as materialized (select 1 as a) select a from c")
    assert "ORDER BY" not in spark("create temp table x as select a from y order by a")
    assert "ORDER BY" in spark("create temp table x as select a from y order by a limit 3")


@pytest.mark.parametrize(
    ("condition", "bounded"),
    [
        ("b.t <= a.t", "LEAD(t) OVER (PARTITION BY k ORDER BY t NULLS LAST) AS t_neighbour"),
        ("a.t >= b.t", "a.t < b.t_neighbour"),
        ("b.t < a.t", "a.t <= b.t_neighbour"),
        ("b.t > a.t", "LAG(t) OVER (PARTITION BY k ORDER BY t NULLS LAST) AS t_neighbour"),
        ("b.t >= a.t", "a.t > b.t_neighbour"),
    ],
)
def test_an_asof_join_becomes_a_join_by_intervals(condition: str, bounded: str) -> None:
    assert bounded in spark(f"select * from a asof left join b on b.k = a.k and {condition}")


def test_the_bound_of_an_asof_join_is_in_no_result() -> None:
    joined = spark("select a.x, b.* exclude (k), count(*) from a asof join b on b.k = a.k and b.t <= a.t")
    assert "b.* EXCEPT (k, t_neighbour), COUNT(*)" in joined
    assert "SELECT * EXCEPT (t_neighbour) FROM a" in spark("select * from a asof join b on b.t <= a.t")


def test_the_hash_of_a_row_depends_on_nulls() -> None:
    hashed = spark("select sum(hash(t)) from (select * from y) t")
    assert "XXHASH64(`t`.`a`, `t`.`b`, `t`.`a` IS NULL, `t`.`b` IS NULL)" in hashed
    assert "AS DECIMAL(20, 0)" in hashed


def test_quotients_inside_quotients_are_doubles_too() -> None:
    assert spark("select a / (b / c) from y").count("'Infinity'") >= 2
