"""The rules of the contract as data: a condition that finds broken rows, and what to say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from churnrisk.contract.casts import cast, missing
from churnrisk.contract.tables import EXPECTED, Available, ColumnSpec, TableSpec

#: A defect in more than this share of a table's rows blocks: then the mapping is wrong, not a few rows.
MAX_DEFECT_SHARE = 0.05
MAX_UNKNOWN_SHARE = 0.5

_ORDERED = (("opened_at", "resolved_at"), ("opened_at", "first_response_at"), ("started_at", "ended_at"))
_HAPPENINGS = frozenset(
    {
        "signed_up_at", "occurred_at", "opened_at", "resolved_at", "first_response_at", "started_at",
        "answered_at", "valid_from", "recorded_at", "as_of",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule over the rows of one relation.

    Attributes
    ----------
    column, says, mend : str
        Where it is broken, how, and what to do.
    where : str
        SQL condition of a broken row.
    example : str
        SQL expression that shows one.
    only_among : str
        A condition; the rule is broken only when some but not all of these rows meet ``where``.
    share : float
        Share of the table's rows above which it blocks.
    level : {"error", "warn"}, optional
        Fixes the level whatever the share.
    each : str
        For a rule over accounts: the condition of a broken row at ``{time}``, where not all of an account's are.
    """

    column: str
    says: str
    where: str
    example: str
    mend: str
    only_among: str = "false"
    share: float = MAX_DEFECT_SHARE
    level: Literal["error", "warn"] | None = None
    each: str = ""


def rules_of(
    spec: TableSpec,
    available: Available,
    *,
    native: Mapping[str, str],
    date_format: str | None,
    now: datetime,
) -> tuple[list[Rule], list[Rule], list[Rule]]:
    """Return the rules over the raw rows of a table, over its complete rows, and over the accounts of these.

    The relation of accounts has account_id, is_unknown, n rows and, where they are known, first_at and signed_up_at.
    """
    columns = [column for column in spec.columns if available.has(f"{spec.name}.{column.name}")]
    return (
        _raw_rules(columns, native=native, date_format=date_format),
        _typed_rules(spec, frozenset(column.name for column in columns), now=now),
        _account_rules(spec, sign_up_known=available.has("accounts.signed_up_at")),
    )


def _raw_rules(
    columns: Sequence[ColumnSpec], *, native: Mapping[str, str], date_format: str | None
) -> list[Rule]:
    """Return the rules over values as the source delivers them, in the contract's names."""
    rules = [
        _misfit(column, native[column.name], date_format)
        for column in columns
        if column.type not in ("id", "text")  # every value can be read as text
    ]
    rules += [_missing(column, native[column.name]) for column in columns if column.required]
    if date_format is None:
        texts = [column for column in columns if native[column.name] == "VARCHAR"]
        rules += [_mixed_zones(column) for column in texts if column.type == "timestamp"]
    return rules


def _typed_rules(spec: TableSpec, names: frozenset[str], *, now: datetime) -> list[Rule]:
    """Return the rules over values of the contract's types."""
    rules = [_future(column.name, now) for column in spec.columns if column.name in names & _HAPPENINGS]
    rules += [_negative(name) for name in ("mrr", "seats", "quantity") if name in names]
    rules += [_order(*pair) for pair in _ORDERED if names.issuperset(pair)]
    if spec.name == "surveys":
        rules.append(_score_range())
    return rules


def _account_rules(spec: TableSpec, *, sign_up_known: bool) -> list[Rule]:
    if spec.name == "accounts":
        return []
    rules = [_unknown_account()]
    if sign_up_known and spec.time and spec.name not in ("attributes", "labels"):
        rules.append(_before_sign_up(spec.time))
    return rules


def _misfit(column: ColumnSpec, native: str, date_format: str | None) -> Rule:
    quoted = f'"{column.name}"'
    value = cast(quoted, column.type, native=native, date_format=date_format)
    handled = "their rows are left out" if column.required else "they count as unknown"
    extra = " or set date_format" if column.type == "timestamp" else ""
    return Rule(
        column.name,
        f"not {EXPECTED[column.type]}",
        f"({value}) is null and not {missing(quoted, native)}",
        quoted,
        f"Correct the values{extra}; {handled} until then.",
    )


def _missing(column: ColumnSpec, native: str) -> Rule:
    return Rule(
        column.name,
        "value is missing",
        missing(f'"{column.name}"', native),
        "'(empty)'",
        "Fill it in; the rows are left out until then.",
    )


def _mixed_zones(column: ColumnSpec) -> Rule:
    text = f'trim("{column.name}")'
    return Rule(
        column.name,
        "some times have a zone and some have none",
        rf"regexp_matches({text}, '\d{{2}}:\d{{2}}.*(Z|[+-]\d{{2}}(:?\d{{2}})?)$')",
        f'"{column.name}"',
        "Write all times with their zone, or all in UTC; times without one are read as UTC.",
        only_among=f"contains({text}, ':')",
        level="warn",
    )


#: A row that is dated later than now.
FUTURE = "date lies in the future"


def _future(name: str, now: datetime) -> Rule:
    return Rule(
        name,
        FUTURE,
        f"{name} > timestamp '{now:%Y-%m-%d %H:%M:%S}'",
        name,
        "Correct the dates; a snapshot counts such rows only once their date has come.",
    )


def _negative(name: str) -> Rule:
    return Rule(
        name,
        "is negative",
        f"{name} < 0",
        name,
        "Correct the sign, or move refunds into a table of their own; they are used as they stand.",
        level="warn",
    )


def _order(earlier: str, later: str) -> Rule:
    return Rule(
        later,
        f"is before {earlier}",
        f"{later} < {earlier}",
        f"account_id || ': ' || {earlier} || ' > ' || {later}",
        f"Correct one of the dates; {later} counts as {earlier} until then.",
    )


def _score_range() -> Rule:
    return Rule(
        "score",
        "is outside 0-10",
        "score not between 0 and 10",
        "score",
        "Bring scores to 0-10 by sql in churnrisk.toml, such as score * 2 for five stars.",
    )


#: A row of an account that nobody knows.
UNKNOWN = "account is not in accounts"


def _unknown_account() -> Rule:
    return Rule(
        "account_id",
        UNKNOWN,
        "is_unknown",
        "account_id",
        "Add the accounts, or check that both tables use the same ids; the rows are ignored until then.",
        share=MAX_UNKNOWN_SHARE,
    )


def _before_sign_up(time: str) -> Rule:
    return Rule(
        time,
        "is before the account's sign-up",
        # whole days: sign-up is often known to the day only
        "cast(first_at as date) < cast(signed_up_at as date)",
        "account_id",
        "Check signed_up_at or the dates of this table; the rows are used as they stand.",
        level="warn",
        each="cast({time} as date) < cast(a.signed_up_at as date)",
    )
