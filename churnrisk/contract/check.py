"""Check the tables against the contract: every violation at once, each with its mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from churnrisk.contract.casts import cast, missing
from churnrisk.contract.tables import EXPECTED, TABLES, Available, ColumnSpec, TableSpec
from churnrisk.records import Violation

Rows = Callable[[str], list[tuple[Any, ...]]]

#: A defect in more than this share of a table's rows blocks: then the mapping is wrong, not a few rows.
MAX_DEFECT_SHARE = 0.05
MAX_UNKNOWN_SHARE = 0.5


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
        spec = TABLES[name]
        total = rows(f"select count(*) from raw_{name}")[0][0]
        if total == 0:
            found.append(_empty(spec))
            continue
        check = _TableCheck(rows, spec, available, total, native[name], date_formats.get(name), now)
        found.extend(check.all())
    return sorted(found, key=lambda violation: (violation.level != "error", violation.table))


def blocking(violations: Iterable[Violation]) -> list[Violation]:
    """Return the violations that forbid to go on."""
    return [violation for violation in violations if violation.level == "error"]


def _empty(spec: TableSpec) -> Violation:
    mend = f"Check the file or SQL of [tables.{spec.name}], or take the table out of churnrisk.toml."
    return Violation(spec.name, "", "table has no rows", "error", 0, (), mend)


class _TableCheck:
    """All rules over one table."""

    def __init__(
        self,
        rows: Rows,
        spec: TableSpec,
        available: Available,
        total: int,
        native: Mapping[str, str],
        date_format: str | None,
        now: datetime,
    ) -> None:
        self.rows, self.spec, self.total, self.native = rows, spec, total, native
        self.date_format, self.now = date_format, now
        self.columns = [column for column in spec.columns if column.name in available.tables[spec.name]]
        self.names = {column.name for column in self.columns}

    def all(self) -> list[Violation]:
        found = [self._values(column) for column in self.columns]
        found += [self._future(column) for column in self.columns if self._is_happening(column)]
        found += [self._mixed_zones(column) for column in self.columns if column.type == "timestamp"]
        found += [self._duplicates(), self._unknown_accounts()]
        found += [self._negative(name) for name in ("mrr", "seats", "quantity") if name in self.names]
        found += [self._order(*pair) for pair in _ORDERED if self.names.issuperset(pair)]
        found += [self._before_sign_up(), self._score_range()]
        return [violation for violation in found if violation is not None]

    def _violation(
        self,
        column: str,
        rule: str,
        count: int,
        example: str,
        where: str,
        mend: str,
        *,
        relation: str | None = None,
        share: float = MAX_DEFECT_SHARE,
        level: Literal["error", "warn"] | None = None,
    ) -> Violation | None:
        if not count:
            return None
        relation = relation or self.spec.name
        examples = self.rows(
            f"select distinct cast({example} as varchar) e from {relation} where {where} order by e limit 3"
        )
        level = level or ("error" if count > share * self.total else "warn")
        shown = tuple(str(row[0]) for row in examples)
        return Violation(self.spec.name, column, rule, level, int(count), shown, mend)

    def _count(self, where: str, *, relation: str | None = None) -> int:
        return int(self.rows(f"select count(*) from {relation or self.spec.name} where {where}")[0][0])

    def _values(self, column: ColumnSpec) -> Violation | None:
        """Find raw values that are absent where they must not be, or do not fit the type."""
        native = self.native[column.name]
        quoted = f'"{column.name}"'
        value = cast(quoted, column.type, native=native, date_format=self.date_format)
        absent = missing(quoted, native)
        raw = f"raw_{self.spec.name}"
        wrong = f"({value}) is null and not {absent}"
        count = self._count(wrong, relation=raw)
        if count:
            handled = "their rows are left out" if column.required else "they count as unknown"
            extra = " or set date_format" if column.type == "timestamp" else ""
            return self._violation(
                column.name,
                f"not {EXPECTED[column.type]}",
                count,
                quoted,
                wrong,
                f"Correct the values{extra}; {handled} until then.",
                relation=raw,
            )
        if not column.required:
            return None
        return self._violation(
            column.name,
            "value is missing",
            self._count(absent, relation=raw),
            "'(empty)'",
            absent,
            "Fill it in; the rows are left out until then.",
            relation=raw,
        )

    def _is_happening(self, column: ColumnSpec) -> bool:
        return column.type == "timestamp" and column.name in _HAPPENINGS

    def _future(self, column: ColumnSpec) -> Violation | None:
        where = f"{column.name} > timestamp '{self.now:%Y-%m-%d %H:%M:%S}'"
        mend = "Correct the dates; a snapshot counts such rows only once their date has come."
        return self._violation(
            column.name, "date lies in the future", self._count(where), f"{column.name}", where, mend
        )

    def _mixed_zones(self, column: ColumnSpec) -> Violation | None:
        if self.native[column.name] != "VARCHAR" or self.date_format:
            return None
        zone = f"regexp_matches(trim(\"{column.name}\"), '\\d{{2}}:\\d{{2}}.*(Z|[+-]\\d{{2}}(:?\\d{{2}})?)$')"
        raw = f"raw_{self.spec.name}"
        timed = f"\"{column.name}\" like '%:%'"
        with_zone, all_timed = self.rows(
            f"select count(*) filter (where {zone}), count(*) filter (where {timed}) from {raw}"
        )[0]
        if not 0 < with_zone < all_timed:
            return None
        rule = "some times have a zone and some have none"
        mend = "Write all times with their zone, or all in UTC; times without one are read as UTC."
        return self._violation(
            column.name, rule, with_zone, f'"{column.name}"', zone, mend, relation=raw, level="warn"
        )

    def _duplicates(self) -> Violation | None:
        key = self.spec.key
        if not key:
            return self._duplicate_rows()
        columns = ", ".join(key)
        again = f"(select {columns} from {self.spec.name} group by {columns} having count(*) > 1)"
        count = self.rows(f"select count(*) from {again}")[0][0]
        level: Literal["error", "warn"] = "warn" if self.spec.name == "attributes" else "error"
        return self._violation(
            ", ".join(key),
            "key appears more than once",
            count,
            key[0],
            "true",
            "Keep one row per key: the latest, or aggregate them by sql in churnrisk.toml.",
            relation=again,
            level=level,
        )

    def _duplicate_rows(self) -> Violation | None:
        hashes = f"(select account_id, hash(t) as h from {self.spec.name} t)"
        again = f"(select any_value(account_id) as account_id, count(*) - 1 as extra from {hashes} group by h having count(*) > 1)"
        count = self.rows(f"select coalesce(sum(extra), 0) from {again}")[0][0]
        mend = "Remove the copies if they are no real repeats; they are counted as they stand."
        return self._violation(
            "", "row is there twice", count, "account_id", "true", mend, relation=again, level="warn"
        )

    def _unknown_accounts(self) -> Violation | None:
        if self.spec.name == "accounts":
            return None
        where = "account_id not in (select account_id from accounts)"
        mend = (
            "Add the accounts, or check that both tables use the same ids; the rows are ignored until then."
        )
        return self._violation(
            "account_id",
            "account is not in accounts",
            self._count(where),
            "account_id",
            where,
            mend,
            share=MAX_UNKNOWN_SHARE,
        )

    def _negative(self, name: str) -> Violation | None:
        where = f"{name} < 0"
        mend = "Correct the sign, or move refunds into a table of their own; they are used as they stand."
        return self._violation(name, "is negative", self._count(where), name, where, mend, level="warn")

    def _order(self, earlier: str, later: str) -> Violation | None:
        where = f"{later} < {earlier}"
        mend = f"Correct one of the dates; {later} counts as {earlier} until then."
        example = f"account_id || ': ' || {earlier} || ' > ' || {later}"
        return self._violation(later, f"is before {earlier}", self._count(where), example, where, mend)

    def _before_sign_up(self) -> Violation | None:
        time = self.spec.time
        if self.spec.name in ("accounts", "attributes", "labels") or time is None:
            return None
        relation = f"(select t.account_id, t.{time} as happened_at, a.signed_up_at from {self.spec.name} t join accounts a using (account_id))"
        if not self.rows("select 1 from (describe accounts) where column_name = 'signed_up_at'"):
            return None
        # whole days: sign-up is often known to the day only
        where = "cast(happened_at as date) < cast(signed_up_at as date)"
        mend = "Check signed_up_at or the dates of this table; the rows are used as they stand."
        count = self._count(where, relation=relation)
        return self._violation(
            time,
            "is before the account's sign-up",
            count,
            "account_id",
            where,
            mend,
            relation=relation,
            level="warn",
        )

    def _score_range(self) -> Violation | None:
        if self.spec.name != "surveys":
            return None
        where = "score not between 0 and 10"
        mend = "Bring scores to 0-10 by sql in churnrisk.toml, such as score * 2 for five stars."
        return self._violation("score", "is outside 0-10", self._count(where), "score", where, mend)


_ORDERED = (("opened_at", "resolved_at"), ("opened_at", "first_response_at"), ("started_at", "ended_at"))
_HAPPENINGS = frozenset(
    {
        "signed_up_at", "occurred_at", "opened_at", "resolved_at", "first_response_at", "started_at",
        "answered_at", "valid_from", "recorded_at", "as_of",
    }
)  # fmt: skip
