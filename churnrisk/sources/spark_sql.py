"""DuckDB's dialect as Spark reads it: sqlglot, and what it leaves different between the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import ErrorLevel, exp

from churnrisk.errors import UsageError

#: From a relation (a name or a query in brackets) to its columns.
ColumnsOf = Callable[[str], Mapping[str, str]]

_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600}
#: By the comparison of an asof join: which neighbour in time bounds a row, and how the other side compares with it.
_NEIGHBOURS = {"LTE": ("Lead", "LT"), "LT": ("Lead", "LTE"), "GT": ("Lag", "GTE"), "GTE": ("Lag", "GT")}
_MIRRORED = {"LTE": "GTE", "LT": "GT", "GT": "LT", "GTE": "LTE"}


@dataclass(frozen=True)
class Statement:
    """A parsed statement: relations it reads, the one it makes, how ("table", "view", "insert"), and its query."""

    reads: frozenset[str]
    makes: str | None
    how: str | None
    query: exp.Expr

    @property
    def is_query(self) -> bool:
        """False for statements that alter or drop something."""
        return isinstance(self.query, exp.Query)


@lru_cache(maxsize=256)
def parse(sql: str) -> Statement:
    """Parse a statement in DuckDB's dialect."""
    try:
        tree = sqlglot.parse_one(sql, read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        line = str(error).splitlines()[0]
        raise UsageError(f"SQL does not run: {line} Correct it in churnrisk.toml.") from error
    makes, how, query = None, None, tree
    if isinstance(tree, exp.Create | exp.Insert):
        makes, query = tree.this.name.lower(), tree.expression
        how = tree.args["kind"].lower() if isinstance(tree, exp.Create) else "insert"
        # a stored relation has no order, and sorting would move every row
        query.set("order", query.args.get("order") if query.args.get("limit") else None)
    own = {name.alias_or_name.lower() for name in query.find_all(exp.CTE)}
    reads = {_full_name(table) for table in query.find_all(exp.Table) if table.name} - own
    return Statement(frozenset(reads), makes, how, query)


def to_spark(statement: Statement, columns_of: ColumnsOf) -> str:
    """Return the query in Spark's dialect; ``columns_of`` tells the columns of the relations that it reads."""
    tree = statement.query.copy()
    for name in tree.find_all(exp.CTE):
        name.set("materialized", None)
    for join in list(tree.find_all(exp.Join)):
        if join.method == "ASOF":
            _join_nearest(join)
    # children first: what replaces a node holds copies of them
    for node in reversed(list(tree.dfs())):
        means = _rewritten(node, columns_of)
        if means is not node:
            node.replace(means)
    return str(tree.sql(dialect="spark", unsupported_level=ErrorLevel.IGNORE))


def _full_name(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts).lower()


def _rewritten(node: exp.Expr, columns_of: ColumnsOf) -> exp.Expr:
    """Return the Spark equivalent of a node."""
    if isinstance(node, exp.Anonymous) and node.name.lower() == "row":
        return exp.Struct(expressions=node.expressions)
    if isinstance(node, exp.Anonymous) and node.name.lower() == "hash":
        return _hash(node, columns_of)
    if isinstance(node, exp.Window) and isinstance(node.this, exp.RowNumber) and not node.args.get("order"):
        return exp.Anonymous(this="monotonically_increasing_id")  # any number unique to the row
    if isinstance(node, exp.Concat):
        empty = exp.Literal.string("")
        texts = [
            exp.Coalesce(this=exp.cast(part.copy(), "text"), expressions=[empty]) for part in node.expressions
        ]
        return exp.Anonymous(this="concat", expressions=texts)
    if isinstance(node, exp.Div):
        return _quotient(node)
    if isinstance(node, exp.DateDiff):
        return _difference(node)
    if isinstance(node, exp.Min) and node.args.get("count"):
        # Spark has no "n smallest": two examples instead of three
        return exp.Array(expressions=[exp.Min(this=node.this.copy()), exp.Max(this=node.this.copy())])
    return node


def _hash(node: exp.Anonymous, columns_of: ColumnsOf) -> exp.Expr:
    """Hash a row; the hash of Spark skips nulls, so whether a value is there goes in too."""
    (argument,) = node.expressions
    relation = _relation_of(argument)
    # sums of hashes outgrow 64 bits
    wide = exp.DataType.build("decimal(20, 0)", dialect="spark")
    if relation is None:
        return exp.Cast(this=exp.Anonymous(this="xxhash64", expressions=[argument]), to=wide)
    columns = [exp.column(name, table=argument.name, quoted=True) for name in columns_of(relation)]
    there = [exp.Is(this=column.copy(), expression=exp.null()) for column in columns]
    return exp.Cast(this=exp.Anonymous(this="xxhash64", expressions=[*columns, *there]), to=wide)


def _relation_of(argument: exp.Expr) -> str | None:
    """Return the relation whose alias the argument is, which means its whole row."""
    select = argument.find_ancestor(exp.Select)
    source = select.args.get("from_") if select is not None else None
    if source is None or not isinstance(argument, exp.Column) or argument.table:
        return None
    if source.this.alias_or_name != argument.name:
        return None
    return str(exp.select("*").from_(source.this.copy()).subquery().sql(dialect="duckdb"))


def _quotient(node: exp.Div) -> exp.Expr:
    """DuckDB divides as doubles and by zero too; Spark keeps decimals, and fails."""
    above, below = (exp.cast(part.copy(), "double") for part in (node.this, node.expression))
    infinite = exp.Mul(this=above.copy(), expression=exp.cast(exp.Literal.string("Infinity"), "double"))
    by_zero = exp.EQ(this=below.copy(), expression=exp.Literal.number(0))
    divided = exp.Div(this=above, expression=below, typed=True, safe=True)
    return exp.Paren(this=exp.Case().when(by_zero, infinite).else_(divided))


def _difference(node: exp.DateDiff) -> exp.Expr:
    """DuckDB counts the boundaries between two instants, Spark the whole units that have passed."""
    unit = node.args["unit"].name.upper() if node.args.get("unit") else "DAY"
    if unit == "DAY":
        ends = [exp.cast(part.copy(), "date") for part in (node.this, node.expression)]
        return exp.Anonymous(this="datediff", expressions=ends)
    if unit not in _SECONDS:
        return node
    zoned = exp.DataType.build("timestamp_ltz", dialect="spark")
    counts = []
    for part in (node.this, node.expression):
        seconds = exp.Anonymous(this="unix_seconds", expressions=[exp.Cast(this=part.copy(), to=zoned)])
        whole = exp.Div(this=seconds, expression=exp.Literal.number(_SECONDS[unit]), typed=True, safe=True)
        counts.append(seconds if unit == "SECOND" else exp.cast(exp.Floor(this=whole), "bigint"))
    return exp.Paren(this=exp.Sub(this=counts[0], expression=counts[1]))


def _join_nearest(join: exp.Join) -> None:
    """Turn an asof join into a join by half-open intervals: each row is the nearest one up to its neighbour's time.

    ``a asof join b on b.key = a.key and b.time <= a.time`` becomes
    ``a join b on b.key = a.key and b.time <= a.time and (b.next is null or a.time < b.next)``.
    """
    table, on = join.this, join.args["on"]
    name = table.alias_or_name
    keys, times = [], []
    for condition in on.flatten() if isinstance(on, exp.And) else [on]:
        kind, mine, other = type(condition).__name__, condition.this, condition.expression
        if any(column.table == name for column in other.find_all(exp.Column)):
            kind, mine, other = _MIRRORED.get(kind, kind), other, mine
        if kind == "EQ":
            keys.append(exp.column(mine.name))
        else:
            times.append((kind, mine, other))
    ((kind, mine, other),) = times
    neighbour, beyond = _NEIGHBOURS[kind]
    bound = f"{mine.name}_neighbour"
    next_time = exp.Window(
        this=getattr(exp, neighbour)(this=exp.column(mine.name)),
        partition_by=keys,
        order=exp.Order(expressions=[exp.Ordered(this=exp.column(mine.name))]),
    )
    _hide(bound, name, join)
    source = exp.select("*", exp.alias_(next_time, bound)).from_(exp.to_table(_full_name(table)))
    join.set("this", source.subquery(name))
    join.set("method", None)
    limit = exp.column(bound, table=name)
    nearest = getattr(exp, beyond)(this=other.copy(), expression=limit.copy())
    join.set("on", exp.and_(on, exp.paren(exp.or_(exp.Is(this=limit, expression=exp.null()), nearest))))


def _hide(column: str, table: str, join: exp.Join) -> None:
    """Leave a column of a joined table out of every star that the join's query selects."""
    for item in join.parent.expressions if join.parent else ():
        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star) and (item is star or item.table == table):
            star.append("except_", exp.column(column))
