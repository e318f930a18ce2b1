"""The tables of the contract, and how raw values become their types in SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from churnrisk.errors import UsageError

#: Runs a query, and returns all rows of a small result.
Rows = Callable[[str], list[tuple[Any, ...]]]
ColumnType = Literal["id", "text", "timestamp", "number", "integer", "score", "severity", "boolean"]

#: What a value of each type looks like, for messages.
EXPECTED = MappingProxyType(
    {
        "id": "an identifier",
        "text": "text",
        "timestamp": "a date or time like 2026-03-31 or 2026-03-31 14:05:00",
        "number": "a number like 12.5",
        "integer": "a whole number",
        "score": "a number like 8",
        "severity": "1 to 4, or low, medium, high, critical",
        "boolean": "true/false, yes/no or 1/0",
    }
)

#: Dates outside of these are taken for mistakes, such as 0001-01-01 for "unknown".
EARLIEST, LATEST = "timestamp '1900-01-01'", "timestamp '9999-12-31 23:59:59.999999'"
#: Numbers beyond are taken for mistakes; fourteen digits fit into the decimals that are summed.
LARGEST = "1e14"

#: Microseconds in a unit of the date formats that count; Excel counts days.
EPOCHS = MappingProxyType(
    {"epoch_s": 1_000_000, "epoch_ms": 1000, "epoch_us": 1, "epoch_ns": 0.001, "excel": 0}
)
#: What ``thousands`` may be, and the characters that it stands for.
GROUPS = MappingProxyType(
    {".": "[.]", ",": "[,]", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]", "_": "[_]"}
)
#: A text that ends in a time and its zone.
ZONED = r"\d{2}:\d{2}.*(Z|[A-Za-z]{2,}.*|[-+]\d{2}(:?\d{2})?)$"
#: What ``ids`` may say, "exact" beside, and the SQL that it stands for.
_NORMAL_IDS = MappingProxyType(
    {
        "upper": "upper({id})",
        "lower": "lower({id})",
        "no_leading_zeros": (
            r"case when {id} like '0%' then coalesce(nullif(regexp_replace({id}, '^[0\s\p{{Z}}]+', ''), ''), '0') "
            "else {id} end"
        ),
        "no_decimals": (
            r"case when regexp_matches({id}, '^\d+(\.0+|,00?)$') "
            "then split_part(replace({id}, ',', '.'), '.', 1) else {id} end"
        ),
        "no_exponents": (
            r"case when regexp_matches({id}, '^[1-9]([.,]\d+)?[eE]\+?\d{{1,2}}$') and {digits} <= {exponent} "
            # six digits are what spreadsheets leave of a longer number
            "and not ({digits} = 5 and {exponent} > 5) "
            "then left({id}, 1) || {decimals} || repeat('0', {exponent} - {digits}) else {id} end"
        ),
        "no_spaces": r"nullif(regexp_replace({id}, '[\s\p{{Z}}\x{{200B}}\x{{FEFF}}]', '', 'g'), '')",
        "first_15": "case when length({id}) = 18 then trim(left({id}, 15)) else {id} end",
    }
)
ID_RULES = tuple(_NORMAL_IDS)

_NO_BREAK_SPACE = "\u00a0"
CURRENCY_SIGNS = MappingProxyType({"$": "USD", "US$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"})
_SPACES = "[\\s\u00a0\u202f]*"
_CURRENCY = (
    r"(?i:[A-Z]{0,2}\p{Sc}|AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KRW|"
    r"MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR|kr\.?|zł|Kč|Ft|lei|Fr\.?|Rs\.?)"
)
_SEVERITIES = (
    ("low", "minor", "lowest", "trivial", "planning"),
    ("medium", "normal", "moderate"),
    ("high", "major"),
    ("critical", "urgent", "highest", "blocker"),
)
_TRUE = ("true", "t", "yes", "y", "1", "1.0")
_FALSE = ("false", "f", "no", "n", "0", "0.0")


@dataclass(frozen=True)
class Reading:
    """How the raw values of one table are to be read; what is not given is never guessed.

    ``date_format`` is for dates that are not ISO 8601, for all columns or per contract column: a strptime format,
    ``epoch_s`` (``_ms``, ``_us``, ``_ns``) or ``excel``. ``timezone`` is that of times without a zone (default UTC);
    midnight is a date without a time, and stays on its day.
    ``decimal`` and ``thousands`` are the separators of numbers, ``nulls`` the texts that mean "unknown".
    ``scale`` is that of satisfaction scores, like "1-5", also per kind of survey; ``severity_order`` says whether
    number 1 is the worst or the least severity; ``status`` lists the states of subscriptions that make a customer.
    ``where`` is a SQL condition over the source's columns: other rows do not count.
    """

    date_format: str | dict[str, str] | None = None
    timezone: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    nulls: tuple[str, ...] = ()
    scale: str | dict[str, str] | None = None
    severity_order: Literal["1 is worst", "1 is least"] | None = None
    status: tuple[str, ...] | None = None
    #: States of subscriptions whose end is no churn; default: "completed" and words like it.
    completed: tuple[str, ...] | None = None
    where: str | None = None
    #: What makes ids of this table those of accounts: one of :data:`ID_RULES`, or several in turn; "exact" vouches.
    ids: str | tuple[str, ...] | None = None

    @property
    def point(self) -> str:
        """The decimal sign: a point, or a comma where points separate thousands."""
        return self.decimal or ("," if self.thousands == "." else ".")

    def format_of(self, column: str) -> str | None:
        """Return the date format of a contract column, if one is given."""
        if isinstance(self.date_format, Mapping):
            return self.date_format.get(column)
        return self.date_format


#: A table without settings.
AS_IT_IS = Reading()


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column of a contract table."""

    name: str
    type: ColumnType
    required: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table of the contract.

    ``time`` is the column that says when a row happened, by which rows are ordered and cut. The columns of ``key``
    together may appear once. An ``open`` table takes columns of the user's own. Dates in ``later`` may lie after the
    row's own time ("resolved_at"): a snapshot sees them once they have come; those in
    ``planned`` may lie in the future. ``churnrisk init`` recognises the table by ``words`` in file names.
    """

    name: str
    columns: tuple[ColumnSpec, ...]
    time: str | None = None
    key: tuple[str, ...] = ()
    open: bool = False
    later: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    words: str = ""

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def is_log(self) -> bool:
        """True when each row is something that happened, as against a state or a label."""
        return self.time is not None and not self.key

    def column(self, name: str) -> ColumnSpec | None:
        """Return the column's specification, or None for a column of the user's own."""
        return next((column for column in self.columns if column.name == name), None)


def columns_of(pairs: str) -> tuple[ColumnSpec, ...]:
    """Declare columns by "name:type" pairs; "!" marks those that must be there."""
    named = (pair.split(":") for pair in pairs.split())
    return tuple(ColumnSpec(name, type_.rstrip("!"), type_.endswith("!")) for name, type_ in named)  # type: ignore[arg-type]


#: By name, in the order in which people read them.
TABLES: dict[str, TableSpec] = {
    table.name: table
    for table in (
        TableSpec(
            "accounts",
            columns_of(
                "account_id:id! name:text signed_up_at:timestamp owner:text segment:text plan:text "
                "mrr:number seats:number renewal_at:timestamp contacts:number"
            ),
            key=("account_id",),
            open=True,
            planned=("renewal_at",),
            words="account customer client company companies crm personal student member train",
        ),
        TableSpec(
            "events",
            columns_of(
                "account_id:id! occurred_at:timestamp! feature:text user_id:id quantity:number "
                "recorded_at:timestamp"
            ),
            time="occurred_at",
            words="event usage activity engagement log session learning order invoice transaction",
        ),
        TableSpec(
            "complaints",
            columns_of(
                "account_id:id! opened_at:timestamp! resolved_at:timestamp severity:severity "
                "category:text csat:score first_response_at:timestamp recorded_at:timestamp"
            ),
            time="opened_at",
            later=("resolved_at", "first_response_at"),
            words="complaint ticket support case incident",
        ),
        TableSpec(
            "subscriptions",
            columns_of(
                "account_id:id! started_at:timestamp! ended_at:timestamp plan:text mrr:number "
                "seats:number renewal_at:timestamp auto_renew:boolean recorded_at:timestamp "
                "subscription_id:id status:text trial_ends_at:timestamp cancelled_at:timestamp"
            ),
            time="started_at",
            later=("ended_at", "cancelled_at"),
            planned=("ended_at", "renewal_at"),
            words="subscription contract term purchase licen",
        ),
        TableSpec(
            "surveys",
            columns_of("account_id:id! answered_at:timestamp! score:score! kind:text recorded_at:timestamp"),
            time="answered_at",
            words="survey nps csat rating feedback",
        ),
        TableSpec(
            "attributes",
            columns_of("account_id:id! valid_from:timestamp! owner:text contacts:number"),
            time="valid_from",
            key=("account_id", "valid_from"),
            open=True,
            words="history attribute snapshot",
        ),
        TableSpec(
            "labels",
            columns_of("account_id:id! as_of:timestamp! churned:boolean!"),
            time="as_of",
            key=("account_id", "as_of"),
            words="label outcome",
        ),
    )
}


@dataclass(frozen=True)
class Available:
    """Which contract tables are there, with which columns, the user's own included.

    ``categorical`` holds, of the user's own columns in open tables, those with names and not numbers.
    """

    tables: Mapping[str, tuple[str, ...]]
    categorical: Mapping[str, tuple[str, ...]]

    def has(self, need: str) -> bool:
        """Say whether "table" or "table.column" is there."""
        table, _, column = need.partition(".")
        return table in self.tables and (not column or column in self.tables[table])

    def own_columns(self, table: str) -> tuple[str, ...]:
        """Columns that the user brought beyond the contract's."""
        spec = TABLES[table]
        return tuple(name for name in self.tables.get(table, ()) if spec.column(name) is None)

    def optional(self, need: str, alias: str, type_: str) -> str:
        """Return the expression of "table.column", or a null of the type where there is none."""
        return f"{alias}.{need.partition('.')[2]}" if self.has(need) else f"null::{type_}"

    def known_at(self, table: str, alias: str = "") -> str:
        """Return the instant from which a row may be used: its time, or its recording if that is later.

        This is the one definition of "known before as_of": a row counts if ``known_at < as_of``.
        """
        prefix = f"{alias}." if alias else ""
        time = f"{prefix}{TABLES[table].time}"
        if not self.has(f"{table}.recorded_at"):
            return time
        return f"greatest({time}, coalesce({prefix}recorded_at, {time}))"


def identifier(name: str) -> str:
    """Quote a column or table name.

    >>> identifier("Account ID")
    '"Account ID"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text value.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def timestamp_literal(moment: datetime) -> str:
    """Write an instant.

    >>> timestamp_literal(datetime(2026, 7, 1))
    "timestamp '2026-07-01 00:00:00'"
    """
    return f"timestamp '{moment.isoformat(' ')}'"


def cast(column: str, type_: ColumnType, *, native: str, reading: Reading = AS_IT_IS) -> str:
    """Cast a quoted raw column of DuckDB's type ``native``; null where the value does not fit, and counted."""
    if type_ == "timestamp":
        moment = _moment(column, native, reading, reading.format_of(column.strip('"')))
        return f"case when {moment} between {EARLIEST} and {LATEST} then {moment} end"
    if type_ == "severity":
        return _severity(column, native, reading)
    if type_ == "boolean":
        return _boolean(column, native)
    if type_ in ("number", "integer", "score"):
        number = as_double(column, native, reading)
        if type_ == "score":
            number = _to_ten(number, reading.scale, is_survey=column == '"score"')
        # nan and infinity are no quantities; sums run over decimals, which end at LARGEST
        return f"case when abs({number}) < {LARGEST} then {number} end"
    if native == "VARCHAR":
        return f"nullif(trim({column}), '')"
    return f"cast({column} as varchar)"


def tidy(column: str) -> str:
    """Cast an id or text as its source spells it to the contract's; also works after grouping by spelling."""
    return f"nullif(trim(cast({column} as varchar)), '')"


def normal_id(expression: str, how: str | Sequence[str]) -> str:
    """Return the SQL of an id in its normal form: :data:`ID_RULES` applied in turn; blank ids become null.

    >>> normal_id("id", "upper")
    "upper(nullif(trim(cast(id as varchar)), ''))"
    """
    rules = (how,) if isinstance(how, str) else tuple(how)
    unknown = [rule for rule in rules if rule != "exact" and rule not in ID_RULES]
    if unknown or not rules:
        raise UsageError(
            f"ids: expected {', '.join(map(repr, ('exact', *ID_RULES)))}, or a list of them; "
            f"found {', '.join(map(repr, unknown)) or 'an empty list'}. Correct it in churnrisk.toml."
        )
    value = tidy(expression)
    for rule in rules:
        if rule != "exact":
            number = f"replace(lower({value}), ',', '.')"
            decimals = f"rtrim(split_part(split_part({number}, 'e', 1), '.', 2), '0')"
            value = _NORMAL_IDS[rule].format(
                id=value,
                decimals=decimals,
                digits=f"length({decimals})",
                exponent=f"try_cast(replace(split_part({number}, 'e', 2), '+', '') as integer)",
            )
    return value


def as_double(column: str, native: str, reading: Reading = AS_IT_IS) -> str:
    """Read a number, without a currency sign beside it; null where there is none."""
    if native != "VARCHAR":
        return f"try_cast({column} as double)"
    text = f"trim({column})"
    point, group = reading.point, GROUPS.get(reading.thousands or "", "")
    if point == "." and not group:
        # DuckDB 2.0 pushes a bare try_cast into the CSV reader, where it fails instead of yielding null
        return f"coalesce(try_cast({text} as double), try_cast({without_currency(text)} as double))"
    # groups are of three digits, of two in India; anything else is no thousands separator
    grouped = rf"|\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}" if group else ""
    shape = rf"^[-+]?(?:\d+{grouped})?(?:[{point}]\d*)?(?:[eE][-+]?\d+)?$"
    bare = without_currency(text)
    digits = f"regexp_replace({bare}, {literal(group)}, '', 'g')" if group else bare
    number = f"try_cast(replace({digits}, {literal(point)}, '.') as double)"
    return f"case when regexp_matches({bare}, {literal(shape)}) then {number} end"


def currency(text: str) -> str:
    """Return the currency's sign or code at either end of a number, in capitals; empty where there is none."""
    pattern = literal(rf"(?:^[-+]?{_SPACES}({_CURRENCY}){_SPACES}[-+]?\d)|(?:\d{_SPACES}({_CURRENCY})$)")
    return f"upper(concat(regexp_extract({text}, {pattern}, 1), regexp_extract({text}, {pattern}, 2)))"


def without_currency(text: str) -> str:
    """Drop a currency's sign or code at either end of a number."""
    front, back = (
        literal(rf"^([-+]?){_SPACES}(?:{_CURRENCY}){_SPACES}"),
        literal(rf"{_SPACES}(?:{_CURRENCY})$"),
    )
    return f"regexp_replace(regexp_replace({text}, {front}, '\\1'), {back}, '')"


def missing(column: str, native: str) -> str:
    """Return the condition that a raw value is absent, as against present and wrong."""
    if native == "VARCHAR":
        # blanks sort before the visible characters of ASCII or behind them all, so few texts need to be trimmed
        blank = f"{column} < '!' or {column} >= '{_NO_BREAK_SPACE}'"
        return f"({column} is null or case when {blank} then trim({column}) = '' else false end)"
    return f"({column} is null)"


def _moment(column: str, native: str, reading: Reading, date_format: str | None) -> str:
    zone = None if reading.timezone in (None, "UTC") else reading.timezone
    if native.startswith(("TIMESTAMP", "DATE")):
        moment = f"cast({column} as timestamp)"
        return moment if "ZONE" in native or native == "DATE" else _in_utc(moment, zone)
    if date_format in EPOCHS:
        return _serial(as_double(column, native), str(date_format), zone)
    if native != "VARCHAR":
        # the engine cannot cast a number to a date: as text it is read or counted as wrong
        column = f"cast({column} as varchar)"
    text = f"trim({column})"
    if date_format:
        return _by_format(text, date_format, zone)
    # a cast to timestamp drops an offset in the text, one to timestamptz honours it (the session's zone is
    # UTC) but takes twice as long: it is for texts that have room for an offset
    plain = f"length({column}) = 10 or length({column}) = 19 and substr({column}, 17, 1) = ':'"
    plain += f" or length({column}) in (20, 24) and {column}[-1] = 'Z'"
    # the engine takes no blank before an offset
    joined = f"replace(replace({text}, ' +', '+'), ' -', '-')"
    aware = f"cast(try_cast({joined} as timestamptz) as timestamp)"
    if zone is None:
        return f"case when {plain} then try_cast({column} as timestamp) else {aware} end"
    zoned = f"regexp_matches({text}, {literal(ZONED)})"
    return f"case when {zoned} then {aware} else {_in_utc(f'try_cast({text} as timestamp)', zone)} end"


def _by_format(text: str, date_format: str, zone: str | None) -> str:
    if not date_format.endswith("%z"):
        moment = f"try_strptime({text}, {literal(date_format)})"
        return f"cast({moment} as timestamp)" if "%Z" in date_format else _in_utc(moment, zone)
    # the engine knows offsets of four digits only
    zulu = rf"regexp_replace({text}, '\s*(Z|UTC|GMT)$', '+0000')"
    hours = rf"regexp_replace({zulu}, '\s*([-+]\d\d)$', '\1:00')"
    joined = rf"regexp_replace({hours}, '\s+([-+]\d\d:?\d\d)$', '\1')"
    return f"cast(try_strptime({joined}, {literal(date_format[:-2].rstrip() + '%z')}) as timestamp)"


def _serial(number: str, unit: str, zone: str | None) -> str:
    """Read seconds or the like since 1970, or Excel's days since 1899-12-30 (with its times to the second)."""
    if unit == "excel":
        days = f"case when {number} between 1 and 2958465 then {number} end"
        moment = f"timestamp '1899-12-30' + to_seconds(cast(round(({days}) * 86400) as bigint))"
        return _in_utc(moment, zone)
    micros = f"{number} * {EPOCHS[unit]}"
    return f"make_timestamp(cast(case when abs({micros}) < 253402300800000000 then {micros} end as bigint))"


def _in_utc(moment: str, zone: str | None) -> str:
    """Convert times of a zone to UTC; midnight is a date, which is the same day everywhere."""
    if zone is None:
        return moment
    return (
        f"case when {moment} = date_trunc('day', {moment}) then {moment} "
        f"else cast(timezone({literal(zone)}, {moment}) as timestamp) end"
    )


def scale_bounds(scale: str) -> tuple[float, float]:
    """Return the ends of a scale like "1-5"; ValueError if it is none.

    >>> scale_bounds("1-5")
    (1.0, 5.0)
    """
    low, high = map(float, scale.split("-"))
    if not low < high:
        raise ValueError(scale)
    return low, high


def _to_ten(number: str, scale: str | Mapping[str, str] | None, *, is_survey: bool) -> str:
    """Bring a score from its scale to 0-10; scores of kinds without a scale are left as they are."""
    if scale is None or (isinstance(scale, Mapping) and not is_survey):
        return number
    if isinstance(scale, str):
        return _linear(number, scale)
    whens = " ".join(
        f"when {literal(kind.strip().lower())} then {_linear(number, one)}" for kind, one in scale.items()
    )
    return f'case lower(trim(cast("kind" as varchar))) {whens} else {number} end'


def _linear(number: str, scale: str) -> str:
    low, high = scale_bounds(scale)
    return f"(({number}) - {low}) * {10 / (high - low)!r}"


def _severity(column: str, native: str, reading: Reading) -> str:
    """Read a severity from its words, or else from its number by the order that is set.

    Where 1 is the worst, it is critical, 2 high, 3 medium, and 4, 5 and so on low; 0 is as bad as 1. Where 1 is the
    least, it is low, 2 medium, 3 high, and 4 and 5 critical. Numbers with letters like P1 are read with an order only.
    """
    whens = " ".join(
        f"when '{word}' then {level}" for level, words in enumerate(_SEVERITIES, 1) for word in words
    )
    text = f"lower(trim(cast({column} as varchar)))"
    every = "|".join(word for words in _SEVERITIES for word in words)
    inside = f"regexp_extract({text}, '(?:^|[^a-z])({every})(?:[^a-z]|$)', 1)"
    words = f"case {text} {whens} end, case {inside} {whens} end"
    number = as_double(column, native)
    if reading.severity_order is None:
        return f"coalesce({words}, case when {number} between 1 and 4 then {number} end)"
    lettered = (
        f"regexp_extract({text}, '^(?:p|s|sev|prio|priority|severity|level)[- _:]*([0-9])(?:[^0-9]|$)', 1)"
    )
    leading = f"regexp_extract({text}, '^([0-9])(?:[^0-9.,]|$)', 1)"
    level = f"coalesce({number}, try_cast({lettered} as double), try_cast({leading} as double))"
    ordered = f"5 - {level}" if reading.severity_order == "1 is worst" else level
    return f"coalesce({words}, case when {level} between 0 and 10 then least(4, greatest(1, {ordered})) end)"


def _boolean(column: str, native: str) -> str:
    if native == "BOOLEAN":
        return column
    text = f"lower(trim(cast({column} as varchar)))"
    true, false = (", ".join(map(literal, words)) for words in (_TRUE, _FALSE))
    return f"case when {text} in ({true}) then true when {text} in ({false}) then false end"
