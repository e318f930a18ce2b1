"""From a source's columns to the contract's names: renamed, found in nested values, the first that is filled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from churnrisk.contract import TABLES, identifier, literal
from churnrisk.errors import ContractError, UsageError
from churnrisk.sources.config import TableConfig
from churnrisk.sources.engine import Engine

#: Conditions with these would choose other rows tomorrow.
_VOLATILE = re.compile(
    "now|today|current_.*|get_current_.*|local_?time.*|transaction_timestamp|random|.*uuid.*|nextval|getenv|getvariable"
)
#: So many names are listed in a message.
_LISTED = 20


@dataclass(frozen=True)
class Value:
    """An expression over the source, and DuckDB's name of its type."""

    sql: str
    type: str


@dataclass(frozen=True)
class RawRows:
    """How ``raw_<table>`` reads its source: select list, condition, join.

    ``left_out`` counts the rows that the condition leaves out; ``mark`` changes with the files that it joins.
    """

    columns: str
    where: str = ""
    join: str = ""
    left_out: int = 0
    mark: object = None

    def of(self, source: str, *more: str) -> str:
        """Return the query of the raw rows of a source, and more of its columns as they are."""
        return f"select {', '.join((self.columns, *more))} from (select * from {source}{self.where}) r{self.join}"


def own_columns(engine: Engine, name: str, config: TableConfig, *, trusted: bool) -> dict[str, str]:
    """Return the expression of each column of ``raw_<name>``; ``trusted`` skips looking for paths in JSON text."""
    source = SourceColumns(engine, name, config, trusted=trusted)
    chosen = {new: source.first_filled(new, own) for new, own in config.columns.items()}
    # SQL is case-insensitive: an unmapped column that shares a mapped name is left out
    taken = {new.lower() for new in chosen}
    if len(taken) < len(chosen):
        raise UsageError(
            f"[tables.{name}.columns] maps one name twice, in capitals and small letters: "
            f"{', '.join(sorted(chosen))}. Leave one out."
        )
    given: dict[str, str] = {}
    for own in source.there:
        plain = own.strip()
        new = plain.lower() if TABLES[name].column(plain.lower()) else plain
        if own in source.used or new.lower() in taken:
            continue
        if new in given and TABLES[name].column(new):
            raise source.ambiguous(new, [given[new], own])
        if new.lower() not in map(str.lower, given):
            given[new] = own
            chosen[new] = source.column(own).sql
    return chosen


def where_clause(engine: Engine, name: str, config: TableConfig) -> str:
    """Return the clause of ``where``, or nothing; UsageError unless it is one condition over the source's columns."""
    if config.where is None:
        return ""
    setting = f"[tables.{name}] where = {config.where!r}"
    # a line break ends a comment, which would hide the bracket
    query = literal(f"select ({config.where}\n)")
    parsed = json.loads(engine.value(f"select json_serialize_sql({query}::varchar)"))
    if parsed["error"]:
        raise UsageError(f"{setting} is no SQL condition: {parsed['error_message']}. Correct it.")
    trees = list(_nodes(parsed["statements"]))
    query = parsed["statements"][0]["node"]
    plain = (
        len(parsed["statements"]) == 1 and query["type"] == "SELECT_NODE" and len(query["select_list"]) == 1
    )
    others = ("where_clause", "group_expressions", "having", "sample", "qualify", "modifiers")
    if (
        not plain
        or query["from_table"]["type"] != "EMPTY"
        or any(query.get(part) for part in others)
        or any(tree.get("class") in ("SUBQUERY", "WINDOW") for tree in trees)
    ):
        raise UsageError(
            f"{setting} must be one condition over the table's columns, without subqueries. Use sql for more."
        )
    words = {
        word for tree in trees for word in (tree.get("function_name"), *(tree.get("column_names") or ()))
    }
    there = {column.lower() for column in engine.columns(f"source_{name}")}
    names = {str(word).lower() for word in words if word} - there
    if changing := sorted(filter(_VOLATILE.fullmatch, names)):
        raise UsageError(
            f"{setting} uses {changing[0]}, so the same files would give another list tomorrow. Write a fixed date."
        )
    return f" where ({config.where}\n)"


def rows_left_out(engine: Engine, name: str, where: str) -> int:
    """Return how many rows the condition leaves out; UsageError if it does not run, ContractError if none is left."""
    try:
        query = f"select count(*), (select count(*) from source_{name}{where}) from source_{name}"
        ((total, left),) = engine.rows(query)
    except (UsageError, ContractError) as error:
        raise UsageError(
            f"[tables.{name}] where does not run: {error} Names stand as they are or in double quotes, texts in "
            "single ones; all columns of CSV files are text, such as cast(amount as double) > 0."
        ) from error
    if total and not left:
        raise ContractError(
            f"[tables.{name}] where leaves out all {total:,} rows of the source. Correct the condition, or remove it."
        )
    return int(total - left)


def _nodes(tree: Any) -> Iterable[dict[str, Any]]:
    """Yield every object of a parsed JSON tree."""
    for part in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(part, dict):
            yield part
        if isinstance(part, dict | list):
            yield from _nodes(part)


class SourceColumns:
    """The columns of a source, each by its name or by a dotted path into nested values."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        config: TableConfig,
        *,
        trusted: bool = False,
        setting: str = "",
        label: str = "",
    ) -> None:
        self._engine, self._name, self._config, self._trusted = engine, name, config, trusted
        self._setting, self._label = setting or f"[tables.{name}.columns]", label or name
        self.there = engine.columns(f"source_{name}")
        #: Columns that are mapped as they are.
        self.used: set[str] = set()

    def first_filled(self, new: str, given: str | Sequence[str]) -> str:
        """Return the expression of a mapped column: of several, the first that is neither null nor blank."""
        if TABLES[self._name].column(new) is None and not TABLES[self._name].open:
            raise UsageError(
                f"{self._setting} maps {new}, which is not a column of {self._name}; the contract has "
                f"{', '.join(column.name for column in TABLES[self._name].columns)}. "
                "Correct the name in churnrisk.toml."
            )
        values = [self.value(new, own) for own in ([given] if isinstance(given, str) else given)]
        if not values:
            raise UsageError(f"{self._setting} {new} = [] names no column. Name one, or leave {new} out.")
        if len(values) == 1:
            return values[0].sql
        if len({value.type for value in values}) == 1 and values[0].type != "VARCHAR":
            return f"coalesce({', '.join(value.sql for value in values)})"
        return f"coalesce({', '.join(map(self._filled, values))})"

    def _filled(self, value: Value) -> str:
        text = value.sql if value.type == "VARCHAR" else f"cast({value.sql} as varchar)"
        return _unless(text, ("", *self._config.nulls))

    def column(self, own: str) -> Value:
        """Return a column of the source as it is, but for texts that mean "unknown"."""
        return self._known(_plain(identifier(own), self.there[own]))

    def _known(self, value: Value) -> Value:
        """Turn the texts that mean "unknown" to null."""
        if not self._config.nulls or value.type != "VARCHAR":
            return value
        return Value(_unless(value.sql, [text.strip() for text in self._config.nulls]), "VARCHAR")

    def ambiguous(self, name: str, found: Iterable[str]) -> UsageError:
        """Return the error about several columns of one name."""
        return UsageError(
            f"{self._setting} {self._label} has several columns for {name}: {', '.join(map(repr, found))}. "
            "Say there which one counts, spelled exactly, or rename one in the file."
        )

    def _find(self, name: str) -> str | None:
        """Return the column of a name, exactly spelled or else without regard to capitals and outer blanks."""
        if name in self.there:
            return name
        alike = [column for column in self.there if column.strip().lower() == name.strip().lower()]
        if len(alike) > 1:
            raise self.ambiguous(name, alike)
        return alike[0] if alike else None

    def value(self, new: str, name: str) -> Value:
        """Return the value of a column, or of the longest column name that opens a dotted path."""
        if own := self._find(name):
            self.used.add(own)
            return self.column(own)
        steps = name.split(".")
        for length in range(len(steps) - 1, 0, -1):
            if own := self._find(".".join(steps[:length])):
                if self._engine.opens(self._config):
                    raise UsageError(
                        f"{self._setting} {new} = {name!r}: Spark follows no path into nested values. "
                        'Write the values into a column of their own, or set engine = "duckdb".'
                    )
                inside = self._inside(Value(identifier(own), self.there[own]), steps[length:], new, name)
                return self._known(inside)
        raise self._absent(new, name, self._label, self.there)

    def _absent(self, new: str, name: str, place: str, there: Iterable[str]) -> UsageError:
        listed = list(there)
        shown = ", ".join(listed[:_LISTED]) + (" …" if len(listed) > _LISTED else "")
        what = "column" if place == self._label else "value"
        return UsageError(
            f"{self._setting} maps {new} to {name!r}, but {place} has no such {what}; it has "
            f"{shown or 'none'}. Correct the mapping in churnrisk.toml."
        )

    def _inside(self, outer: Value, steps: Sequence[str], new: str, name: str) -> Value:
        """Follow a path into lists, structures, maps and JSON."""
        value, rest = outer, list(steps)
        step: str | None
        while rest:
            place = _above(name, rest)
            if value.type in ("JSON", "VARCHAR"):
                return self._in_json(value, rest, new, name)
            if re.search(r"\[\d*\]$", value.type):
                step, there = rest.pop(0), ["0", "1", "2"]
                sql = f"list_extract({value.sql}, {int(step) + 1})" if step.isdecimal() else None
            else:
                there = self._fields(value)
                step = _longest(rest, there)
                sql = step and (
                    f"struct_extract({value.sql}, {literal(step)})"
                    if value.type.startswith("STRUCT")
                    else f"map_extract_value({value.sql}, {literal(step)})"
                )
            if not sql:
                raise self._absent(new, name, place, there)
            value = Value(sql, self._engine.columns(f"(select {sql} as v from source_{self._name})")["v"])
        return _plain(value.sql, value.type)

    def _fields(self, value: Value) -> list[str]:
        """Return the names in a structure, the keys in a map, and nothing for other types."""
        source = f"from source_{self._name}"
        if value.type.startswith("STRUCT"):
            return list(self._engine.columns(f"(select unnest({value.sql}) {source})"))
        if value.type.startswith("MAP"):
            keys = f"select unnest(map_keys({value.sql})) as key {source}"
            return [str(key) for (key,) in self._engine.rows(f"select distinct key from ({keys}) order by 1")]
        return []

    def _in_json(self, value: Value, steps: Sequence[str], new: str, name: str) -> Value:
        """Follow a path into JSON; text that is no JSON has no values."""
        path = "$" + "".join(f"[{step}]" if step.isdecimal() else f'."{step}"' for step in steps)
        valid = (
            value.sql if value.type == "JSON" else f"case when json_valid({value.sql}) then {value.sql} end"
        )
        found = f"({valid}) ->> {literal(path)}"
        source = f"from source_{self._name}"
        if not self._trusted and not self._engine.rows(
            f"select 1 {source} where json_exists({valid}, {literal(path)}) limit 1"
        ):
            keys = f"select unnest(json_keys({valid})) as key {source}"
            there = self._engine.rows(f"select distinct key from ({keys}) order by 1")
            raise self._absent(new, name, _above(name, steps), [key for (key,) in there])
        return Value(f"({found})", "VARCHAR")


def _unless(text: str, unknown: Iterable[str]) -> str:
    return f"case when trim({text}) not in ({', '.join(map(literal, unknown))}) then {text} end"


def _above(path: str, steps: Sequence[str]) -> str:
    return path.removesuffix("." + ".".join(steps))


def _longest(steps: list[str], there: Iterable[str]) -> str | None:
    """Take the longest name that opens the steps off them and return it: names may have dots of their own."""
    spelled = {name.lower(): name for name in there}
    for length in range(len(steps), 0, -1):
        if found := spelled.get(".".join(steps[:length]).lower()):
            del steps[:length]
            return found
    return None


def _plain(sql: str, type_: str) -> Value:
    # a JSON field that holds numbers in one row and text in another arrives as JSON, its texts in quotes
    return Value(f"({sql} ->> '$')", "VARCHAR") if type_ == "JSON" else Value(sql, type_)
