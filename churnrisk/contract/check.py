"""Check the tables against the contract: every violation at once, each with its mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from churnrisk.contract.casts import EARLIEST, LATEST, tidy
from churnrisk.contract.rules import Rule, account_rules, raw_rules, typed_rules
from churnrisk.contract.tables import TABLES, Available, TableSpec
from churnrisk.records import Violation

Rows = Callable[[str], list[tuple[Any, ...]]]
#: Of a larger table only so many rows, all of some accounts, are compared with each other.
COMPARED_ROWS = 2_000_000
#: Among so many broken rows examples are looked for; all of them may be as many values as a table has rows.
SEEN_ROWS = 100_000
#: Of so many, several of which may be the same, three different ones are shown.
_EXAMPLES = 50


def validate(
    rows: Rows,
    available: Available,
    *,
    native: Mapping[str, Mapping[str, str]],
    date_formats: Mapping[str, str | None],
    now: datetime,
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
    """
    found: list[Violation] = []
    for name in available.tables:
        check = _TableCheck(rows, TABLES[name], available)
        found.extend(check.all(native=native[name], date_format=date_formats.get(name), now=now))
    return sorted(found, key=lambda violation: (violation.level != "error", violation.table))


def blocking(violations: Iterable[Violation]) -> list[Violation]:
    """Return the violations that forbid to go on."""
    return [violation for violation in violations if violation.level == "error"]


class _TableCheck:
    """All rules over one table, each relation read once and once more per broken rule."""

    def __init__(self, rows: Rows, spec: TableSpec, available: Available) -> None:
        self.rows, self.spec, self.available = rows, spec, available
        self.columns = [column for column in spec.columns if available.has(f"{spec.name}.{column.name}")]
        self.total = 0

    def all(self, *, native: Mapping[str, str], date_format: str | None, now: datetime) -> list[Violation]:
        name = self.spec.name
        self.total = int(self.rows(f"select count(*) from raw_{name}")[0][0])
        if not self.total:
            return [self._empty()]
        names = frozenset(column.name for column in self.columns)
        sign_up_known = self.available.has("accounts.signed_up_at")
        return [
            *self._broken(f"raw_{name}", raw_rules(self.columns, native=native, date_format=date_format)),
            *self._broken(self._rows_of_table(), typed_rules(self.spec, names, now=now)),
            *(self._repeated_keys() if self.spec.key else self._repeated_rows()),
            *self._broken_accounts(account_rules(self.spec, sign_up_known=sign_up_known)),
        ]

    def _empty(self) -> Violation:
        mend = f"Check the file or SQL of [tables.{self.spec.name}], or take the table out of churnrisk.toml."
        return Violation(self.spec.name, "", "table has no rows", "error", 0, (), mend)

    def _broken(self, relation: str, rules: Sequence[Rule]) -> list[Violation]:
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
        return [self._violation(rule, count, self._examples(relation, rule)) for rule, count in broken]

    def _examples(self, relation: str, rule: Rule) -> list[str]:
        shown = self.rows(
            f"select distinct example from (select cast({rule.example} as varchar) as example from {relation} "
            f"where {rule.where} limit {SEEN_ROWS}) order by example limit 3"
        )
        return [str(example) for (example,) in shown]

    def _violation(self, rule: Rule, count: int, examples: Sequence[str]) -> Violation:
        level = rule.level or ("error" if count > rule.share * self.total else "warn")
        return Violation(self.spec.name, rule.column, rule.says, level, count, tuple(examples), rule.mend)

    def _broken_accounts(self, rules: Sequence[Rule]) -> list[Violation]:
        """Look at each account's rows together; only where some of them are broken, at the rows themselves."""
        if not rules:
            return []
        found = ", ".join(
            f"sum(n) filter (where {rule.where}), min({rule.example}, {_EXAMPLES}) filter (where {rule.where})"
            for rule in rules
        )
        row = self.rows(f"select {found} from {self._by_account()}")[0]
        return [
            self._violation(rule, self._rows_of(rule) if rule.each else int(count), sorted(set(lowest))[:3])
            for rule, count, lowest in zip(rules, row[::2], row[1::2], strict=True)
            if count
        ]

    def _rows_of(self, rule: Rule) -> int:
        """Count the broken rows of accounts that have some."""
        broken = f"(select spelled, signed_up_at from {self._by_account()} where {rule.where})"
        rows = f"{self._rows_of_table()} t join {broken} a on a.spelled = t.account_id"
        return int(
            self.rows(f"select count(*) from {rows} where {rule.each.format(time=f't.{self.spec.time}')}")[0][
                0
            ]
        )

    def _rows_of_table(self) -> str:
        """Return the relation of complete rows; that of events without trimming every id on the way."""
        if self.spec.name != "events":
            return self.spec.name
        dated = f"occurred_at between timestamp '{EARLIEST}' and timestamp '{LATEST}'"
        return f"(select * from bare_events where account_id is not null and {dated})"

    def _by_account(self) -> str:
        """Return the relation of accounts as the rows spell them, with how many rows, the first, and the sign-up."""
        sign_up = "min(signed_up_at)" if self.available.has("accounts.signed_up_at") else "null::timestamp"
        accounts = f"(select account_id, {sign_up} as signed_up_at from accounts group by account_id)"
        first = f"min({self.spec.time})" if self.spec.time else "null::timestamp"
        spellings = (
            f"(select spelled, {tidy('spelled')} as account_id, n, first_at from (select account_id as spelled, "
            f"count(*) as n, {first} as first_at from {self._rows_of_table()} group by account_id) "
            f"where {tidy('spelled')} is not null)"
        )
        return (
            "(select s.spelled, s.account_id, s.n, s.first_at, a.signed_up_at, a.account_id is null as is_unknown "
            f"from {spellings} s left join {accounts} a using (account_id))"
        )

    def _repeated_keys(self) -> list[Violation]:
        key = ", ".join(self.spec.key)
        level: Literal["error", "warn"] = "warn" if self.spec.name == "attributes" else "error"
        mend = "Keep one row per key: the latest, or aggregate them by sql in churnrisk.toml."
        again = f"select account_id, 1 as extra from {self.spec.name} group by {key} having count(*) > 1"
        return self._repeated(again, key, "key appears more than once", level, mend)

    def _repeated_rows(self) -> list[Violation]:
        mend = "Remove the copies if they are no real repeats; they are counted as they stand."
        # a table too large to compare every row with every other is compared for a part of its accounts
        parts = max(1, -(-self.total // COMPARED_ROWS))
        some = f" where hash(t.account_id) % {parts} = 0" if parts > 1 else ""
        says = "row is there twice" + (f" (looked for in one of {parts} accounts)" if parts > 1 else "")
        again = (
            "select any_value(account_id) as account_id, count(*) - 1 as extra from ("
            f"select account_id, hash(t) as h from {self._rows_of_table()} t{some}) group by h having count(*) > 1"
        )
        return self._repeated(again, "", says, "warn", mend)

    def _repeated(
        self, again: str, column: str, says: str, level: Literal["error", "warn"], mend: str
    ) -> list[Violation]:
        # examples come from the same pass: finding repeats is the dearest part of the check
        worst = f"select sum(extra), min(cast(account_id as varchar), {_EXAMPLES}) from ({again})"
        count, lowest = self.rows(worst)[0]
        if not count:
            return []
        examples = tuple(sorted(set(lowest))[:3])
        return [Violation(self.spec.name, column, says, level, int(count), examples, mend)]
