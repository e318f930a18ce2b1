"""Check the tables against the contract: every violation at once, each with its mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from churnrisk.contract.casts import EARLIEST, LATEST, tidy
from churnrisk.contract.rules import Rule, rules_of
from churnrisk.contract.tables import TABLES, Available, TableSpec
from churnrisk.records import Violation

Rows = Callable[[str], list[tuple[Any, ...]]]
#: Of a larger table only so many rows, all of some accounts, are compared with each other.
COMPARED_ROWS = 2_000_000
#: Among so many broken rows examples are looked for; all of them may be as many values as a table has rows.
SEEN_ROWS = 100_000
#: Of so many, several of which may be the same, three different ones are shown.
_EXAMPLES = 50


@dataclass(frozen=True)
class Finding:
    """How many rows break a rule, and some of them."""

    rule: Rule
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """What was found in the rows of a table, or of a part of it."""

    total: int
    found: tuple[Finding, ...]

    def __add__(self, other: Findings) -> Findings:
        """Add what was found in other rows of the table, which repeat none of these unless that was counted."""
        added: dict[tuple[str, str], Finding] = {}
        for one in (*self.found, *other.found):
            key = (one.rule.column, one.rule.says)
            former = added.get(key, Finding(one.rule, 0, ()))
            examples = tuple(sorted({*former.examples, *one.examples})[:3])
            added[key] = Finding(one.rule, former.count + one.count, examples)
        return Findings(self.total + other.total, tuple(added.values()))

    def violations(self, table: str) -> list[Violation]:
        """Return them as violations of the contract: which block depends on their share of the rows."""
        if not self.total:
            mend = f"Check the file or SQL of [tables.{table}], or take the table out of churnrisk.toml."
            return [Violation(table, "", "table has no rows", "error", 0, (), mend)]
        return [
            Violation(
                table,
                one.rule.column,
                one.rule.says,
                one.rule.level or ("error" if one.count > one.rule.share * self.total else "warn"),
                one.count,
                one.examples,
                one.rule.mend,
            )
            for one in self.found
        ]


@dataclass(frozen=True)
class Part:
    """Some of a table's rows, beside others that were checked before.

    Attributes
    ----------
    raw, rows : str
        Relations of the rows in their source's types, and of the complete ones in the contract's.
    others : str
        Relation of the complete other rows that any of these may repeat.
    total : int
        The number of all rows.
    """

    raw: str
    rows: str
    others: str
    total: int


def validate(
    rows: Rows,
    available: Available,
    *,
    native: Mapping[str, Mapping[str, str]],
    date_formats: Mapping[str, str | None],
    now: datetime,
    known: Mapping[str, Findings] | None = None,
) -> list[Violation]:
    """Return every violation of the contract, blocking ones first.

    Parameters
    ----------
    rows : callable
        Runs SQL over the relations ``<table>`` and ``raw_<table>`` and returns the rows.
    available : Available
        Which tables and columns there are.
    native, date_formats : mapping
        The source's column types and text date formats per table.
    now : datetime
        Dates of happenings after it are violations.
    known : mapping of str to Findings, optional
        What was found already, by table.
    """
    findings = {
        name: find(rows, name, available, native=native[name], date_format=date_formats.get(name), now=now)
        for name in available.tables
        if name not in (known or {})
    } | dict(known or {})
    found = [violation for name in available.tables for violation in findings[name].violations(name)]
    return sorted(found, key=lambda one: (one.level != "error", one.table, one.column, one.rule))


def find(
    rows: Rows,
    name: str,
    available: Available,
    *,
    native: Mapping[str, str],
    date_format: str | None,
    now: datetime,
    part: Part | None = None,
) -> Findings:
    """Check one table, or a part of its rows; for the other parameters see :func:`validate`."""
    check = _TableCheck(rows, TABLES[name], available, part)
    return check.all(native=native, date_format=date_format, now=now)


def shares(total: int) -> int:
    """Return of how many shares of the accounts one is searched for repeated rows; it changes seldom as rows come."""
    return 1 << max(0, -(-total // COMPARED_ROWS) - 1).bit_length()


def complete_events(bare: str) -> str:
    """Return the relation of the rows of events, as spelled, that are not left out."""
    dated = f"occurred_at between timestamp '{EARLIEST}' and timestamp '{LATEST}'"
    return f"(select * from {bare} where account_id is not null and {dated})"


def blocking(violations: Iterable[Violation]) -> list[Violation]:
    """Return the violations that forbid to go on."""
    return [violation for violation in violations if violation.level == "error"]


class _TableCheck:
    """All rules over one table, each relation read once and once more per broken rule."""

    def __init__(self, rows: Rows, spec: TableSpec, available: Available, part: Part | None) -> None:
        self.rows, self.spec, self.available, self.part = rows, spec, available, part
        self.raw = part.raw if part else f"raw_{spec.name}"
        # those of events are read without trimming every id on the way
        whole = complete_events("bare_events") if spec.name == "events" else spec.name
        self.complete = part.rows if part else whole

    def all(self, *, native: Mapping[str, str], date_format: str | None, now: datetime) -> Findings:
        total = int(self.rows(f"select count(*) from {self.raw}")[0][0])
        if not total:
            return Findings(0, ())
        raw, typed, of_accounts = rules_of(
            self.spec, self.available, native=native, date_format=date_format, now=now
        )
        found = [
            *self._broken(self.raw, raw),
            *self._broken(self.complete, typed),
            *(self._repeated_keys() if self.spec.key else self._repeated_rows(total)),
            *self._broken_accounts(of_accounts),
        ]
        return Findings(total, tuple(found))

    def _broken(self, relation: str, rules: Sequence[Rule]) -> list[Finding]:
        """Count the broken rows of all rules in one pass, and look at examples where there are any."""
        if not rules:
            return []
        counts = ", ".join(
            f"count(*) filter (where {rule.where}), count(*) filter (where {rule.only_among})"
            for rule in rules
        )
        row = self.rows(f"select {counts} from {relation}")[0]
        broken = [
            (rule, int(count))
            for rule, count, among in zip(rules, row[::2], row[1::2], strict=True)
            if count and not (rule.only_among != "false" and count >= among)
        ]
        return [Finding(rule, count, self._examples(relation, rule)) for rule, count in broken]

    def _examples(self, relation: str, rule: Rule) -> tuple[str, ...]:
        shown = self.rows(
            f"select distinct example from (select cast({rule.example} as varchar) as example from {relation} "
            f"where {rule.where} limit {SEEN_ROWS}) order by example limit 3"
        )
        return tuple(str(example) for (example,) in shown)

    def _broken_accounts(self, rules: Sequence[Rule]) -> list[Finding]:
        """Look at each account's rows together; only where some of them are broken, at the rows themselves."""
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

    def _rows_of(self, rule: Rule) -> int:
        """Count the broken rows of accounts that have some."""
        # grouped, though each is there once: else the planner may join all rows with all accounts by their dates
        broken = f"(select spelled, min(signed_up_at) as signed_up_at from {self._by_account()} where {rule.where} "
        broken += "group by spelled)"
        where = rule.each.format(time=f"t.{self.spec.time}")
        counted = f"from {self.complete} t join {broken} a on a.spelled = t.account_id where {where}"
        return int(self.rows(f"select count(*) {counted}")[0][0])

    def _by_account(self) -> str:
        """Return the relation of accounts as the rows spell them, with how many rows, the first, and the sign-up."""
        accounts = f"({sign_ups(self.available)})"
        first = f"min({self.spec.time})" if self.spec.time else "null::timestamp"
        spellings = (
            f"(select spelled, {tidy('spelled')} as account_id, n, first_at from (select account_id as spelled, "
            f"count(*) as n, {first} as first_at from {self.complete} group by account_id) "
            f"where {tidy('spelled')} is not null)"
        )
        return (
            "(select s.spelled, s.account_id, s.n, s.first_at, a.signed_up_at, a.account_id is null as is_unknown "
            f"from {spellings} s left join {accounts} a using (account_id))"
        )

    def _repeated_keys(self) -> list[Finding]:
        key = ", ".join(self.spec.key)
        level: Literal["error", "warn"] = "warn" if self.spec.name == "attributes" else "error"
        mend = "Keep one row per key: the latest, or aggregate them by sql in churnrisk.toml."
        again = f"select account_id, 1 as extra from {self.spec.name} group by {key} having count(*) > 1"
        return self._repeated(again, Rule(key, "key appears more than once", "", "", mend, level=level))

    def _repeated_rows(self, total: int) -> list[Finding]:
        mend = "Remove the copies if they are no real repeats; they are counted as they stand."
        # a table too large to compare every row with every other is compared for a part of its accounts
        parts = shares(self.part.total if self.part else total)
        some = f" where hash(t.account_id) % {parts} = 0" if parts > 1 else ""
        says = "row is there twice" + (f" (looked for in one of {parts} accounts)" if parts > 1 else "")
        hashed = f"select account_id, hash(t) as h, 1 as here from {self.complete} t{some}"
        if self.part:
            hashed += f" union all select account_id, hash(t) as h, 0 as here from {self.part.others} t{some}"
        # of equal rows the first is no repeat, wherever it is
        again = (
            "select any_value(account_id) as account_id, "
            "sum(here) - case when min(here) = 1 then 1 else 0 end as extra "
            f"from ({hashed}) group by h having count(*) > 1"
        )
        return self._repeated(
            f"select * from ({again}) where extra > 0", Rule("", says, "", "", mend, level="warn")
        )

    def _repeated(self, again: str, rule: Rule) -> list[Finding]:
        # examples come from the same pass: finding repeats is the dearest part of the check
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
