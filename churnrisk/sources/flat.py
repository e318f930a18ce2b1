"""A flat table of customers with a label: which column it is, which value means lost, which columns reveal it."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence

from churnrisk.contract import identifier, literal
from churnrisk.sources.draft import Ask, MappedTable, Question, Way, reader, renamed, sql_of
from churnrisk.sources.engine import Engine
from churnrisk.sources.profile import ColumnProfile, FileProfile

#: Names of labels, best first, and of columns that speak of the loss.
_LABELS = (
    "churned churn churnflag ischurned churnlabel churnstatus churnvalue exited attrition attritionflag attrited "
    "label target outcome"
)
_OF_LOSS = re.compile(r"(churn|attrit|cancel|terminat|exited|win.?back)", re.I)
_LOST = (
    "yes y true t 1 1.0 ja oui si sim churn churned lost left gone cancelled canceled terminated closed exited "
    "inactive attrited"
)
_STAYED = "no not n false f 0 0.0 nein non nao active retained stayed existing current loyal open kept joined"
#: A column that alone predicts the outcome so well is taken for a consequence.
MAX_AUC = 0.95
#: Where nobody says when a flat table was true: its facts, then its label.
_VALID_FROM, _AS_OF = "date '2000-01-01'", "date '2000-07-01'"


def flag_of(file: FileProfile) -> tuple[ColumnProfile, tuple[str, ...]] | None:
    """Return the column that is named like a label, and its values that mean lost, where the words are known."""
    for column in _named(_two_valued(file)):
        lost = tuple(text for text in column.common if _says_lost(text))
        if lost and len(lost) < len(column.common):
            return column, lost
    return None


def _two_valued(file: FileProfile) -> list[ColumnProfile]:
    return [one for one in file.columns.values() if 2 <= one.distinct <= 3 and one.filled > 0.5 * file.rows]


def _named(columns: Sequence[ColumnProfile]) -> list[ColumnProfile]:
    order = _LABELS.split()
    named = sorted((one for one in columns if one.plain in order), key=lambda one: order.index(one.plain))
    return named + [one for one in columns if one not in named and _OF_LOSS.search(one.name)]


def flat_label(file: FileProfile, ask: Ask) -> tuple[ColumnProfile, tuple[str, ...]] | None:
    """Return the label column of a file and its values that mean lost."""
    two = _two_valued(file)
    named = _named(two)
    label = ask(
        Question(
            "label",
            f"which column of {file.path} says who was lost?",
            tuple(one.name for one in two),
            named[0].name if named else "",
        )
    )
    if not label or label not in file.columns:
        return None
    column = file.columns[label]
    lost = tuple(text for text in column.common if _says_lost(text))
    doubtful = [
        text for text in column.common if not _says_lost(text) and not _words(text) & set(_STAYED.split())
    ]
    answer = ask(
        Question(
            "lost",
            f"which value of {label} means lost?",
            column.common,
            None if doubtful or not lost else ",".join(lost),
            free=True,
        )
    )
    if answer is None:
        return None
    return column, tuple(part.strip() for part in answer.split(","))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9.]+", text.lower()))


def _says_lost(text: str) -> bool:
    return bool(_words(text) & set(_LOST.split())) and not _words(text) & set(_STAYED.split())


def leaks_of(
    engine: Engine, file: FileProfile, label: ColumnProfile, lost: Sequence[str], *, but: str
) -> dict[str, str]:
    """Return the columns that reveal the outcome, each with why."""
    outcome = f"cast({label.value} in ({', '.join(map(literal, lost))}) as integer)"
    rows = f"(select *, {outcome} as churnrisk_lost from {file.relation} where {label.value} is not null)"
    found: dict[str, str] = {}
    for column in file.columns.values():
        if column.name in (label.name, but) or column.kind == "empty":
            continue
        if _OF_LOSS.search(column.name):
            found[column.name] = "is named like a consequence of the loss"
        elif why := _tells(engine, rows, column):
            found[column.name] = why
    return found


def _tells(engine: Engine, rows: str, column: ColumnProfile) -> str:
    """Say how a column reveals the outcome; nothing if it does not."""
    gone, stayed, all_gone, all_stayed = engine.rows(
        f"select count({column.value}) filter (where churnrisk_lost = 1), "
        f"count({column.value}) filter (where churnrisk_lost = 0), sum(churnrisk_lost), "
        f"count(*) - sum(churnrisk_lost) from {rows}"
    )[0]
    if (gone >= 5 and not stayed) or (stayed >= 5 and not gone):
        return f"is filled only where customers {'were lost' if gone else 'stayed'}"
    if column.kind in ("number", "flag") and column.low is not None:
        value = f"try_cast({column.value} as double)"
    elif column.distinct <= max(2, min(50, most_values(all_gone, all_stayed))):
        value = f"avg(churnrisk_lost) over (partition by {column.value})"
    else:
        return ""
    # the rank sum of the lost, ties at their middle
    auc = engine.value(
        "with v as (select churnrisk_lost as y, value from (select churnrisk_lost, "
        f"{value} as value from {rows}) where value is not null), "
        "r as (select y, rank() over (order by value) + (count(*) over (partition by value) - 1) / 2.0 as r from v) "
        "select (sum(r) filter (where y = 1) - sum(y) * (sum(y) + 1) / 2.0) "
        "/ nullif(sum(y) * (count(*) - sum(y)), 0) from r"
    )
    best = max(auc, 1 - auc) if auc is not None else 0.5
    return f"alone tells the outcome (AUC {best:.2f})" if best >= MAX_AUC else ""


def most_values(lost: int, stayed: int) -> int:
    """Return how many values a category may have before its rates are chance."""
    return int((lost + stayed) / 20)


def flat_tables(
    file: FileProfile,
    key: ColumnProfile,
    label: ColumnProfile,
    outcome: str,
    leaks: Mapping[str, str],
    sides: Sequence[tuple[FileProfile, Way]],
    *,
    names: Container[str],
) -> dict[str, MappedTable]:
    """Map a flat table to accounts, attributes and labels."""
    source, account = reader(file), sql_of(key)
    # one by one: what is taken out again later is one line
    left_out = ", ".join(identifier(name) for name in dict.fromkeys((key.name, label.name, *leaks)))
    taken = {name.lower() for name in file.columns}
    joined, shown = "", ""
    for number, (side, way) in enumerate(sides, 1):
        own = [one for one in side.columns if one != way.column and one.lower() not in taken]
        taken |= {one.lower() for one in own}
        shown += "".join(f", s{number}.{_as_own(one, names)}" for one in own)
        joined += f"\nleft join {reader(side)} s{number} "
        joined += f"on s{number}.{identifier(way.column)} = t.{identifier(key.name)}"
    attributes = (
        f"select t.{identifier(key.name)} as account_id, {_VALID_FROM} as valid_from, "
        f"t.* exclude ({left_out}){_renaming(set(file.columns) - {key.name, label.name, *leaks}, names)}{shown}\n"
        f"from {source} t{joined}"
    )
    known = f" where {sql_of(label)} is not null" if label.filled < file.rows else ""
    notes = [
        f"left out: {name} {why}; if it was known before, take it out of exclude"
        for name, why in leaks.items()
    ]
    if leaks:
        notes.append(f"and vouch for it: trust = [{', '.join(map(json.dumps, leaks))}] under [features]")
    return {
        "accounts": MappedTable({"sql": f"select {account} as account_id from {source}"}, file.path),
        "attributes": MappedTable({"sql": attributes}, file.path, notes),
        "labels": MappedTable(
            {
                "sql": f"select {account} as account_id, {_AS_OF} as as_of, {outcome} as churned from {source}{known}"
            },
            file.path,
        ),
    }


def _as_own(name: str, names: Container[str]) -> str:
    return " as ".join(identifier(one) for one in (name, *renamed([name], names)))


def _renaming(columns: Iterable[str], names: Container[str]) -> str:
    pairs = ", ".join(
        f"{identifier(own)} as {identifier(new)}" for new, own in renamed(columns, names).items()
    )
    return f" rename ({pairs})" if pairs else ""


def side_facts(
    file: FileProfile,
    way: Way,
    start: ColumnProfile,
    facts: Sequence[tuple[FileProfile, Way, ColumnProfile]],
    *,
    names: Container[str],
) -> MappedTable:
    """Map facts without a date as attributes, valid from the account's first day in a dated file."""
    sides = list(dict.fromkeys(side.path for side, _, _ in facts))
    alias = {path: f"s{number}" for number, path in enumerate(sides, 1)}
    by_path = {side.path: (side, side_way) for side, side_way, _ in facts}
    taken: set[str] = {"account_id", "valid_from"}
    shown = ""
    for side, _, column in facts:
        if column.name.lower() not in taken:
            taken.add(column.name.lower())
            shown += f", {alias[side.path]}.{_as_own(column.name, names)}"
    joined = "".join(
        f"\nleft join {reader(by_path[path][0])} {alias[path]} "
        f"on {alias[path]}.{identifier(by_path[path][1].column)} = b.account_id"
        for path in sides
    )
    begin = (
        f"(select {sql_of(file.columns[way.column])} as account_id, min({sql_of(start)}) as valid_from "
        f"from {reader(file)} group by 1)"
    )
    return MappedTable(
        {"sql": f"select b.account_id, b.valid_from{shown}\nfrom {begin} b{joined}"}, ", ".join(sides)
    )
