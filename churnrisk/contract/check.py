"""Check the tables against the contract: every violation at once, each with its fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, Protocol

from churnrisk.contract.counted import TermRows, row_violations
from churnrisk.contract.proposals import doubtful_numbers, explained
from churnrisk.contract.tables import (
    AS_IT_IS,
    EARLIEST,
    EXPECTED,
    LATEST,
    TABLES,
    ZONED,
    Available,
    ColumnSpec,
    Reading,
    TableSpec,
    cast,
    literal,
    missing,
    tidy,
    timestamp_literal,
)
from churnrisk.records import Violation

#: Of a larger table, only about so many rows (all rows of some accounts) are searched for duplicates.
COMPARED_ROWS = 2_000_000
#: Examples are taken from at most so many broken rows.
SEEN_ROWS = 100_000
#: So many candidates, some of them equal, yield the three examples that are shown.
_EXAMPLES = 50
#: A defect in more than this share of a table's rows blocks: then the mapping is wrong, not a few rows.
MAX_DEFECT_SHARE = 0.05
#: More unknown accounts than this block: the ids do not meet. Fewer do not count; the trust gate looks at who lost all.
MAX_UNKNOWN_SHARE = 0.99

#: The settings that may read values which do not fit a type.
_RESOLVED_BY = MappingProxyType(
    {
        "timestamp": "date_format (a strptime format, epoch_s, epoch_ms or excel) or nulls",
        "number": "decimal, thousands or nulls",
        "integer": "thousands or nulls",
        "score": "decimal or nulls",
        "severity": "severity_order or nulls",
        "boolean": "nulls",
    }
)

#: What the two rules say that the cached check asks about.
FUTURE = "date lies in the future"
UNKNOWN = "account is not in accounts"


@dataclass(frozen=True, slots=True)
class ContractRule:
    """One rule over the rows of one relation.

    ``where`` is the SQL condition of a broken row and ``example`` an expression that shows one. With ``only_among`` the
    rule is broken only if some but not all of those rows meet ``where``. Above ``share`` of the table's rows it blocks,
    unless ``level`` is fixed. For a rule over accounts ``each`` is the condition of one broken row at ``{time}``.
    """

    column: str
    problem: str
    where: str
    example: str
    fix: str
    only_among: str = "false"
    share: float = MAX_DEFECT_SHARE
    level: Literal["error", "warn"] | None = None
    each: str = ""


@dataclass(frozen=True)
class Finding:
    """How many rows break a rule, and some of them."""

    rule: ContractRule
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """What breaks the contract in a table, or in a part of its rows."""

    total: int
    found: tuple[Finding, ...]

    def __add__(self, other: Findings) -> Findings:
        """Add the findings of other rows of the same table."""
        added: dict[tuple[str, str], Finding] = {}
        for one in (*self.found, *other.found):
            key = (one.rule.column, one.rule.problem)
            former = added.get(key, Finding(one.rule, 0, ()))
            examples = _lowest((*former.examples, *one.examples))
            added[key] = Finding(one.rule, former.count + one.count, examples)
        return Findings(self.total + other.total, tuple(added.values()))

    def violations(self, table: str) -> list[Violation]:
        """Return them as violations; their share of the rows decides which block."""
        if not self.total:
            fix = f"Check the file or SQL of [tables.{table}], or take the table out of churnrisk.toml."
            return [Violation(table, "", "table has no rows", "error", 0, (), fix)]
        return [
            Violation(
                table,
                one.rule.column,
                one.rule.problem,
                one.rule.level or ("error" if one.count > one.rule.share * self.total else "warn"),
                one.count,
                one.examples,
                one.rule.fix,
            )
            for one in self.found
        ]


class Queries(Protocol):
    """An engine that holds a table's rows as ``raw_<table>``, in the source's types, and ``<table>``."""

    def rows(self, sql: str, /) -> list[tuple[Any, ...]]:
        """Return all rows of a small result."""

    def create(self, name: str, query: str, /) -> str:
        """Create a table of a query's rows, replacing one of that name, and return the name."""


@dataclass(frozen=True)
class TablePart:
    """Some rows of a table: relations in the source's types (``raw``) and, complete, in the contract's (``rows``).

    ``others`` holds the complete other rows that any of these may repeat, ``total`` counts all; the accounts of the
    rows become the relation ``ids``.
    """

    raw: str
    rows: str
    ids: str
    others: str
    total: int


def validate(
    engine: Queries,
    available: Available,
    *,
    native: Mapping[str, Mapping[str, str]],
    readings: Mapping[str, Reading],
    now: datetime,
    known: Mapping[str, Findings] | None = None,
) -> list[Violation]:
    """Return every violation of the contract, blocking ones first.

    Dates after ``now`` are violations unless they are planned. ``known`` holds findings by table that need not be
    computed again. The ids in each other table than accounts become a relation, :func:`ids_of`.
    """
    rows = engine.rows
    findings = {
        name: find(
            engine, name, available, native=native[name], reading=readings.get(name, AS_IT_IS), now=now
        )
        for name in available.tables
        if name not in (known or {})
    } | dict(known or {})
    found = [violation for name in available.tables for violation in findings[name].violations(name)]
    read = {name: readings.get(name, AS_IT_IS) for name in available.tables}
    specs = {name: TABLES[name] for name in available.tables}
    found = explained(found, rows, specs=specs, native=native, readings=read, now=now)
    for name, spec in specs.items():
        found += doubtful_numbers(rows, spec, native=native[name], reading=read[name])
        found += row_violations(rows, name, native[name], read[name])
    return sorted(found, key=lambda one: (one.level != "error", one.table, one.column, one.rule))


def find(
    engine: Queries,
    name: str,
    available: Available,
    *,
    native: Mapping[str, str],
    reading: Reading,
    now: datetime,
    part: TablePart | None = None,
) -> Findings:
    """Check one table, or a part of its rows; see :func:`validate`."""
    rules = rules_of(TABLES[name], available, native=native, reading=reading, now=now)
    return _TableCheck(engine, TABLES[name], available, part).findings(*rules)


def shares(total: int) -> int:
    """Return into how many shares the accounts are divided, one of which is searched for repeated rows."""
    return 1 << max(0, -(-total // COMPARED_ROWS) - 1).bit_length()


def ids_of(table: str) -> str:
    """Return the relation of the ids in a table (``account_id``, null for a blank one), which its check makes."""
    return f"ids_of_{table}"


def complete_events(bare: str) -> str:
    """Return the rows of events, as spelled, that have an account and a plausible date."""
    dated = f"occurred_at between {EARLIEST} and {LATEST}"
    return f"(select * from {bare} where account_id is not null and {dated})"


def blocking(violations: Iterable[Violation]) -> list[Violation]:
    """Return the violations that stop training and scoring."""
    return [violation for violation in violations if violation.level == "error"]


class _TableCheck:
    """All rules over one table: one pass over the raw rows, one over the complete ones, one more per broken rule."""

    def __init__(
        self, engine: Queries, spec: TableSpec, available: Available, part: TablePart | None
    ) -> None:
        self.engine, self.rows, self.spec, self.available = engine, engine.rows, spec, available
        self.part = part
        self.raw = part.raw if part else f"raw_{spec.name}"
        # those of events are read without trimming every id on the way
        whole = complete_events("bare_events") if spec.name == "events" else spec.name
        self.complete = part.rows if part else whole
        self.ids = part.ids if part else ids_of(spec.name)

    def findings(
        self, raw: list[ContractRule], typed: list[ContractRule], of_accounts: list[ContractRule]
    ) -> Findings:
        """Check rules over the raw rows, the complete rows and the accounts; see :func:`rules_of`."""
        total = int(self.rows(f"select count(*) from {self.raw}")[0][0])
        parts = shares(self.part.total if self.part else total)
        if self.spec.name != "accounts":
            self._group_by_account(typed, parts)
        if not total:
            return Findings(0, ())
        found = [
            *self._broken(self.raw, raw),
            *(self._of_groups(typed) if self.spec.name != "accounts" else self._broken(self.complete, typed)),
            *(self._repeated_keys() if self.spec.key else self._repeated_rows(parts)),
            *self._broken_accounts(of_accounts),
        ]
        return Findings(total, tuple(found))

    def _group_by_account(self, typed: Sequence[ContractRule], parts: int) -> None:
        """Create the ids with what each one's rows add to the findings, in one pass over the complete rows.

        ``repeated`` rows are looked for in one of ``parts`` ids, ``rule_0`` … count the rows that break a rule.
        """
        first = f"min({self.spec.time})" if self.spec.time else "null::timestamp"
        # a table too large to compare every row with every other is compared for a part of its accounts
        some = f" filter (where hash(t.account_id) % {parts} = 0)" if parts > 1 else ""
        counts = "".join(
            f", count(*) filter (where {rule.where}) as rule_{number}" for number, rule in enumerate(typed)
        )
        hashes, repeated = "", ""
        if not (self.part or self.spec.key):
            hashes = f", list(hash(t)){some} as hashes"
            # hashes themselves are no numbers that every engine has
            repeated = ", array_length(hashes) - array_length(list_distinct(hashes)) as repeated"
        grouped = (
            f"select account_id as spelled, count(*) as n, {first} as first_at{counts}{hashes} "
            f"from {self.complete} t group by account_id"
        )
        rules = "".join(f", rule_{number}" for number in range(len(typed)))
        self.engine.create(
            self.ids,
            f"select {tidy('spelled')} as account_id, spelled, n, first_at{rules}{repeated} from ({grouped})",
        )

    def _broken(self, relation: str, rules: Sequence[ContractRule]) -> list[Finding]:
        """Count the broken rows of all rules in one pass, and look at examples where there are any."""
        if not rules:
            return []
        counts = ", ".join(
            f"count(*) filter (where {rule.where}), count(*) filter (where {rule.only_among})"
            for rule in rules
        )
        row = self.rows(f"select {counts} from {relation}")[0]
        return [
            Finding(rule, int(count), self._examples(relation, rule))
            for rule, count, among in zip(rules, row[::2], row[1::2], strict=True)
            if count and not (rule.only_among != "false" and count >= among)
        ]

    def _of_groups(self, rules: Sequence[ContractRule]) -> list[Finding]:
        """Add up the broken rows of each id, and look at examples where there are any."""
        if not rules:
            return []
        sums = ", ".join(f"sum(rule_{number})" for number in range(len(rules)))
        return [
            Finding(rule, int(count), self._examples(self.complete, rule))
            for rule, count in zip(rules, self.rows(f"select {sums} from {self.ids}")[0], strict=True)
            if count
        ]

    def _examples(self, relation: str, rule: ContractRule) -> tuple[str, ...]:
        shown = self.rows(
            f"select distinct example from (select cast({rule.example} as varchar) as example from {relation} "
            f"where {rule.where} limit {SEEN_ROWS}) order by example limit 3"
        )
        return tuple(str(example) for (example,) in shown)

    def _broken_accounts(self, rules: Sequence[ContractRule]) -> list[Finding]:
        """Check account by account, and row by row only where an account has broken rows."""
        if not rules:
            return []
        found = ", ".join(
            f"sum(n) filter (where {rule.where}), min(case when {rule.where} then {rule.example} end, {_EXAMPLES})"
            for rule in rules
        )
        row = self.rows(f"select {found} from {self._by_account()}")[0]
        return [
            Finding(rule, self._rows_of(rule) if rule.each else int(count), _lowest(lowest))
            for rule, count, lowest in zip(rules, row[::2], row[1::2], strict=True)
            if count
        ]

    def _rows_of(self, rule: ContractRule) -> int:
        """Count the broken rows of accounts that have some."""
        # grouped, though each is there once: else the planner may join all rows with all accounts by their dates
        broken = (
            f"select spelled, min(signed_up_at) as signed_up_at from {self._by_account()} where {rule.where}"
        )
        where = rule.each.format(time=f"t.{self.spec.time}")
        counted = f"from {self.complete} t join ({broken} group by spelled) a on a.spelled = t.account_id where {where}"
        return int(self.rows(f"select count(*) {counted}")[0][0])

    def _by_account(self) -> str:
        """Return (spelled, account_id, n, first_at, signed_up_at, is_unknown), one row per spelling in the table."""
        return (
            "(select s.spelled, s.account_id, s.n, s.first_at, a.signed_up_at, a.account_id is null as is_unknown "
            f"from {self.ids} s left join ({sign_ups(self.available)}) a using (account_id) "
            "where s.account_id is not null)"
        )

    def _repeated_keys(self) -> list[Finding]:
        key = ", ".join(self.spec.key)
        level: Literal["error", "warn"] = "warn" if self.spec.name == "attributes" else "error"
        fix = "Keep one row per key: the latest, or aggregate them by sql in churnrisk.toml."
        again = f"select account_id, 1 as extra from {self.spec.name} group by {key} having count(*) > 1"
        rule = ContractRule(key, "key appears more than once", "", "", fix, level=level)
        return self._repeated(again, rule)

    def _repeated_rows(self, parts: int) -> list[Finding]:
        fix = "Remove the duplicates unless they are real; they are counted as they are."
        problem = "row is duplicated" + (f" (looked for in one of {parts} accounts)" if parts > 1 else "")
        # of equal rows the first is no repeat, wherever it is
        if self.part is None:
            again = f"select spelled as account_id, repeated as extra from {self.ids}"
        else:
            some = f" where hash(t.account_id) % {parts} = 0" if parts > 1 else ""
            again = (
                "select any_value(account_id) as account_id, "
                "sum(here) - case when min(here) = 1 then 1 else 0 end as extra "
                f"from (select account_id, hash(t) as h, 1 as here from {self.complete} t{some} union all "
                f"select account_id, hash(t) as h, 0 as here from {self.part.others} t{some}) "
                "group by h having count(*) > 1"
            )
        rule = ContractRule("", problem, "", "", fix, level="warn")
        return self._repeated(f"select * from ({again}) where extra > 0", rule)

    def _repeated(self, again: str, rule: ContractRule) -> list[Finding]:
        by_account = f"select account_id, sum(extra) as extra from ({again}) group by account_id"
        worst = f"select sum(extra), min(cast(account_id as varchar), {_EXAMPLES}) from ({by_account})"
        count, lowest = self.rows(worst)[0]
        return [Finding(rule, int(count), _lowest(lowest))] if count else []


def sign_ups(available: Available) -> str:
    """Return the query of the accounts with when they signed up."""
    sign_up = "min(signed_up_at)" if available.has("accounts.signed_up_at") else "null::timestamp"
    return f"select account_id, {sign_up} as signed_up_at from accounts group by account_id"


def _lowest(examples: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(examples))[:3])


def rules_of(
    spec: TableSpec,
    available: Available,
    *,
    native: Mapping[str, str],
    reading: Reading,
    now: datetime,
) -> tuple[list[ContractRule], list[ContractRule], list[ContractRule]]:
    """Return the rules over the raw rows of a table, over its complete rows, and :meth:`_TableCheck._by_account`."""
    columns = [column for column in spec.columns if available.has(f"{spec.name}.{column.name}")]
    raw = _raw_rules(columns, native=native, reading=reading)
    if available.has("subscriptions.ended_at") and spec.name == "subscriptions":
        raw.append(_order_of_terms(TermRows(native, reading)))
    return (
        raw,
        _typed_rules(spec, frozenset(column.name for column in columns), reading=reading, now=now),
        _account_rules(spec, sign_up_known=available.has("accounts.signed_up_at")),
    )


def _raw_rules(
    columns: Sequence[ColumnSpec], *, native: Mapping[str, str], reading: Reading
) -> list[ContractRule]:
    """Return the rules over values as the source delivers them, in the contract's names."""
    rules = [
        _misfit(column, native[column.name], reading)
        for column in columns
        if column.type not in ("id", "text")  # every value can be read as text
    ]
    fix = "Fill it in, or leave such rows out by where; they do not count until then."
    rules += [
        ContractRule(
            one.name, "value is missing", missing(f'"{one.name}"', native[one.name]), "'(empty)'", fix
        )
        for one in columns
        if one.required
    ]
    texts = [one for one in columns if native[one.name] == "VARCHAR" and reading.format_of(one.name) is None]
    if reading.timezone is None:
        rules += [_mixed_zones(column) for column in texts if column.type == "timestamp"]
    return rules


def _misfit(column: ColumnSpec, native: str, reading: Reading) -> ContractRule:
    quoted = f'"{column.name}"'
    value = cast(quoted, column.type, native=native, reading=reading)
    handled = "their rows are left out" if column.required else "they count as unknown"
    broken = f"({value}) is null and not {missing(quoted, native)}"
    fix = f"Correct the values, or set {_RESOLVED_BY[column.type]}; {handled} until then."
    return ContractRule(column.name, f"not {EXPECTED[column.type]}", broken, quoted, fix)


def _mixed_zones(column: ColumnSpec) -> ContractRule:
    text = f'trim("{column.name}")'
    return ContractRule(
        column.name,
        "some times have a zone and some have none",
        f"regexp_matches({text}, {literal(ZONED)})",
        f'"{column.name}"',
        'Set the zone of those without one, such as timezone = "Europe/Berlin"; they are read as UTC until then.',
        only_among=f"contains({text}, ':')",
        level="warn",
    )


def _typed_rules(
    spec: TableSpec, names: frozenset[str], *, reading: Reading, now: datetime
) -> list[ContractRule]:
    """Return the rules over values of the contract's types."""
    in_time = "Correct the dates; a snapshot counts such rows only once their date has come."
    rules = [
        ContractRule(column.name, FUTURE, f"{column.name} > {timestamp_literal(now)}", column.name, in_time)
        for column in spec.columns
        if column.name in names and column.type == "timestamp" and column.name not in spec.planned
    ]
    sign = "Correct the sign, or move refunds into a table of their own; the values are used as they are."
    rules += [
        ContractRule(name, "is negative", f"{name} < 0", name, sign, level="warn")
        for name in ("mrr", "seats", "quantity")
        if name in names
    ]
    # whether a term's end is a date without a time is seen in the raw rows
    rules += [_order(str(spec.time), name) for name in spec.later if name in names and name != "ended_at"]
    scored = [column.name for column in spec.columns if column.name in names and column.type == "score"]
    rules += [
        _outside(name, spec.name, reading.scale) for name in scored if spec.name == "surveys" or reading.scale
    ]
    return rules


def _outside(column: str, table: str, scale: str | Mapping[str, str] | None) -> ContractRule:
    if scale is None:
        problem = "is outside 0-10"
        fix = f'Set the scale under [tables.{table}] in churnrisk.toml, such as scale = "1-5".'
    else:
        named = scale if isinstance(scale, str) else ", ".join(f"{kind} {one}" for kind, one in scale.items())
        problem = f"is outside the scale {named} (shown as brought to 0-10)"
        fix = f"Correct the scores, or scale under [tables.{table}] in churnrisk.toml."
    # in doubles an end of a scale may miss 0 or 10 by a little
    return ContractRule(column, problem, f"{column} not between -1e-9 and 10.000000001", column, fix)


def _order(earlier: str, later: str) -> ContractRule:
    example = f"account_id || ': ' || {earlier} || ' > ' || {later}"
    fix = f"Correct one of the dates; {later} counts as {earlier} until then."
    return ContractRule(later, f"is before {earlier}", f"{later} < {earlier}", example, fix)


def _order_of_terms(terms: TermRows) -> ContractRule:
    example = f"{terms.account} || ': ' || {terms.starts_at} || ' > ' || {terms.ends_at}"
    return replace(_order("started_at", "ended_at"), where=terms.ends_before_it_starts, example=example)


def _account_rules(spec: TableSpec, *, sign_up_known: bool) -> list[ContractRule]:
    if spec.name == "accounts":
        return []
    fix = (
        f"Rows without an account do not count. Add the accounts, or say under [tables.{spec.name}] how the ids meet: "
        "`ids` if they are spelled in another way, `via` if they are those of users or contacts."
    )
    unknown = ContractRule("account_id", UNKNOWN, "is_unknown", "account_id", fix, share=MAX_UNKNOWN_SHARE)
    if not (sign_up_known and spec.time and spec.is_log):
        return [unknown]
    before_sign_up = ContractRule(
        spec.time,
        "is before the account's sign-up",
        # whole days: sign-up is often known to the day only
        "cast(first_at as date) < cast(signed_up_at as date)",
        "account_id",
        "Check signed_up_at or the dates of this table; the rows are used as they are.",
        level="warn",
        each="cast({time} as date) < cast(a.signed_up_at as date)",
    )
    return [unknown, before_sign_up]
