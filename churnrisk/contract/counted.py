"""Which rows count: no deleted rows or superseded versions, and of subscriptions only the terms of customers.

What is left out is counted and shown by the check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from churnrisk.contract.tables import (
    LATEST,
    TABLES,
    ColumnType,
    Reading,
    Rows,
    cast,
    identifier,
    literal,
    missing,
    tidy,
)
from churnrisk.errors import UsageError
from churnrisk.records import Violation

Sense = Literal["customer", "trial", "never", "paused", "over", "completed"]

#: What the states of a subscription say, by the words of billing systems without blanks, dashes and underscores.
#: "over": has been a customer until its end; "paused": is none now, since when is not said.
STATES: Mapping[str, Sense] = {
    word: sense  # type: ignore[misc]
    for sense, words in {
        "customer": "active activated live current enabled open running approved accepted renewed renewing "
        "autorenewing pastdue overdue delinquent dunning inarrears grace ingrace ingraceperiod graceperiod "
        "inbillingretry billingretry nonrenewing notrenewing willnotrenew expiring pendingcancel "
        "pendingcancellation pendingcancelation cancelling cancelatperiodend scheduledforcancellation "
        "assessing softfailure",
        "over": "canceled cancelled cancel expired ended terminated closed inactive deactivated disabled churned "
        "lost lapsed stopped finished revoked refunded nonrenewed notrenewed",
        "trial": "trialing trialling trial intrial trialended trialexpired freetrial expiredtrial",
        "never": "incomplete incompleteexpired draft pending pendingactivation pendingacceptance "
        "pendingapproval approvalpending inapproval inapprovalprocess inreview future scheduled notstarted "
        "upcoming awaitingsignup awaitingpayment failedtocreate failed rejected declined void voided abandoned "
        "quote quoted proposal negotiation",
        "paused": "paused onhold hold suspended frozen unpaid dormant",
        "completed": "completed complete fulfilled fulfilled merged upgraded converted superseded transferred "
        "switched replaced migrated",
    }.items()
    for word in words.split()
}

_FLAGS = {
    "deleted": "_fivetran_deleted is_deleted isdeleted deleted _deleted __deleted __hevo__marked_deleted "
    "_peerdb_is_deleted dbt_is_deleted marked_deleted",
    "deleted_at": "deleted_at deletedat _deleted_at _sdc_deleted_at _ab_cdc_deleted_at",
    "current": "_fivetran_active _airbyte_active_row",
    "valid_to": "dbt_valid_to",
}
#: By column name: how it marks rows that were deleted ("deleted", "deleted_at") or superseded ("current", "valid_to").
_MARKERS = {word: how for how, words in _FLAGS.items() for word in words.split()}
#: Names under which exports hold what else the rules ask about.
_ID_NAMES = ("id", "subscription_id", "subscriptionid", "sub_id", "subscription", "subscription id")
_TRIAL_END_NAMES = ("trial_end", "trial_ends_at", "trial_end_date", "trial_ended_at", "trial_end_at", "trial end",
    "trial_ends_on", "trial end (utc)")  # fmt: skip
_TRIAL_FLAGS = ("is_trial", "istrial", "trial", "on_trial", "is trial", "trial?")
_NOTICE_NAMES = ("canceled_at", "canceledat", "cancelled_on", "canceled_on", "cancellation_date", "cancel_date",
    "canceled at (utc)", "canceled at", "cancelled at", "notice_date", "notice_given_at", "notice_given",
    "cancellation_requested_at", "cancel_requested_at")  # fmt: skip
_VERSION_NAMES = ("updated_at", "modified_at", "last_modified", "lastmodifieddate", "systemmodstamp", "version",
    "_fivetran_synced", "_fivetran_start", "synced_at", "recorded_at", "dbt_updated_at")  # fmt: skip
#: A share of an unmapped marker's rows, or of ends that are missing, from which a few mistakes are no explanation.
_MOST = 0.05


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Some rows that do not count: a condition over raw rows and its message."""

    column: str
    problem: str
    where: str
    fix: str
    #: None: the share of the rows decides.
    level: Literal["error", "warn"] | None = "warn"


def markers(table: str, columns: Mapping[str, str], reading: Reading) -> dict[str, str]:
    """Return, by column, the condition of rows that are marked as deleted or superseded and so do not count.

    ``columns`` are the table's unmapped columns with their types. A column that ``where`` names is the user's choice.
    """
    return {
        column: _marked(column, native, _MARKERS[column.strip().lower()])
        for column, native in columns.items()
        if column.strip().lower() in _MARKERS
        and not _names(reading.where, column)
        # the versions of attributes are their history
        and not (table == "attributes" and _MARKERS[column.strip().lower()] in ("current", "valid_to"))
    }


def _marked(column: str, native: str, how: str) -> str:
    quoted = identifier(column)
    if how in ("deleted", "current"):
        return f"coalesce({cast(quoted, 'boolean', native=native)} = {str(how == 'deleted').lower()}, false)"
    if how == "valid_to":
        # an open version ends never, or in the year 9999
        return f"(not {missing(quoted, native)} and cast({quoted} as varchar) < '9')"
    return f"not {missing(quoted, native)}"


def _names(where: str | None, column: str) -> bool:
    return bool(where) and bool(
        re.search(rf"(?<!\w){re.escape(column.strip())}(?!\w)", str(where), re.IGNORECASE)
    )


def is_date_only(column: str, native: str, date_format: str | None) -> str:
    """Return the condition that a filled raw value is a date without a time."""
    if native.startswith("DATE"):
        return "true"
    if native.startswith("TIMESTAMP") or (date_format or "").startswith("epoch"):
        return "false"
    text = f"trim(cast({column} as varchar))"
    if date_format == "excel":
        return f"coalesce(try_cast({text} as double) = floor(try_cast({text} as double)), false)"
    if date_format:
        return str(not re.search(r"%[-#]?[HIMSTRXcfgnps]", date_format)).lower()
    return f"coalesce(length({text}) <= 10, false)"


def _plain(states: Iterable[str]) -> tuple[str, ...]:
    """Return states in the spelling of :data:`STATES`."""
    return tuple(re.sub(r"[ \-_./]", "", one.lower()) for one in states)


class TermRows:
    """How raw rows of subscriptions become the terms of customers, as SQL over ``raw_subscriptions``."""

    def __init__(self, native: Mapping[str, str], reading: Reading) -> None:
        self.native, self.reading = native, reading

    def _value(self, column: str, type_: ColumnType = "timestamp") -> str:
        if column not in self.native:
            return "null::timestamp" if type_ == "timestamp" else "null::varchar"
        return f"({cast(identifier(column), type_, native=self.native[column], reading=self.reading)})"

    def on_day(self, column: str) -> str:
        """Condition of values of a column that are dates without a time."""
        if column not in self.native:
            return "false"
        return is_date_only(identifier(column), self.native[column], self.reading.format_of(column))

    @property
    def state(self) -> str:
        """The state of a row in the spelling of :data:`STATES`; null where there is none."""
        # not by translate(), which takes several times as long
        return f"nullif(regexp_replace(lower({self._value('status', 'text')}), '[ _./-]', '', 'g'), '')"

    def sense(self, word: str) -> Sense | None:
        """Return what a state says, in the spelling of :data:`STATES`; None for an unknown word."""
        if self.reading.completed is not None:
            if word in _plain(self.reading.completed):
                return "completed"
            if STATES.get(word) == "completed":
                return "over"
        return STATES.get(word)

    def _in(self, *senses: Sense) -> str:
        known = {*STATES, *_plain(self.reading.completed or ())}
        words = [literal(word) for word in sorted(known) if self.sense(word) in senses]
        return f"coalesce({self.state} in ({', '.join(words)}), false)" if words else "false"

    @property
    def listed(self) -> tuple[str, ...] | None:
        """The states that make a customer by the settings, spelled as in :data:`STATES`."""
        chosen = self.reading.status
        return None if chosen is None else _plain((*chosen, *(self.reading.completed or ())))

    @property
    def counts_trials(self) -> bool:
        """True if the settings list trials as customers."""
        return any(STATES.get(word) == "trial" for word in self.listed or ())

    @property
    def account(self) -> str:
        """The account's id."""
        return self._value("account_id", "id")

    @property
    def starts_at(self) -> str:
        """The start as it is given."""
        return self._value("started_at")

    @property
    def ends_at(self) -> str:
        """The end as it is given: a date stands for its 00:00."""
        return self._value("ended_at")

    @property
    def ends_before_it_starts(self) -> str:
        """Condition of rows whose end, the whole day if it is a date, lies before their start."""
        start, end, on_day = self.starts_at, self.ends_at, self.on_day("ended_at")
        return f"({end} < {start} and not ({on_day} and cast({end} as date) = cast({start} as date)))"

    @property
    def ended(self) -> str:
        """Condition of rows with an end."""
        return f"{self.ends_at} is not null"

    @property
    def id_column(self) -> str | None:
        """The column that names a subscription, of which rows may be versions."""
        if "subscription_id" in self.native:
            return "subscription_id"
        own = (column for column in self.native if TABLES["subscriptions"].column(column) is None)
        return next((column for column in own if column.strip().lower() in _ID_NAMES), None)

    @property
    def completed(self) -> str:
        """Condition of rows whose end is no churn; only ends that have passed are read: nothing leaks."""
        return self._in("completed") if "status" in self.native else "false"

    def rules(self) -> list[LeftOut]:
        """Return what is left out, first reason first."""
        found: list[LeftOut] = []
        has_state = "status" in self.native
        line = 'To count them, list all states that make a customer: [tables.subscriptions] status = ["active", …].'
        if has_state and self.listed is not None:
            some = ", ".join(map(literal, self.listed))
            fix = "Such rows are left out; add the state to status in churnrisk.toml to count them."
            unlisted = f"coalesce({self.state}, '') not in ({some})"
            found.append(LeftOut("status", "has a state that status does not list", unlisted, fix))
        if not self.counts_trials and (has_state or "trial_ends_at" in self.native):
            # A trial that is never paid is no customer at any date, so that today's state reveals nothing too early.
            trial = self._in("trial") if has_state and self.listed is None else "false"
            fix = f"Such rows are no customers and are left out. {line}"
            where = f"({trial} or {self._ended_in_trial()})"
            column = "trial_ends_at" if "trial_ends_at" in self.native else "status"
            found.append(LeftOut(column, "is a trial that was never paid", where, fix))
        if has_state and self.listed is None:
            fix = f"Such rows are no customers yet and are left out. {line}"
            found.append(LeftOut("status", "was never paid or has not begun", self._in("never"), fix))
            found += self._without_end(line)
        return found

    def _ended_in_trial(self) -> str:
        if "trial_ends_at" not in self.native or "ended_at" not in self.native:
            return "false"
        end, trial = self._value("ended_at"), self._value("trial_ends_at")
        # the last day of a trial belongs to it, whatever the time of the end
        same_day = f"{self.on_day('trial_ends_at')} and not {self.on_day('ended_at')}"
        return f"coalesce({end} <= {trial} or ({same_day} and {end} < {trial} + interval 1 day), false)"

    def _without_end(self, line: str) -> Iterator[LeftOut]:
        """Yield rows that are said to be over or paused now without a date.

        Since when is not known, and to take them for customers until today would be wrong too: their outcome is
        unknown, so that they are left out at all dates, which drops labels and invents none.
        """
        no_end = f"{self._value('ended_at')} is null"
        since = f'Map the date: [tables.subscriptions.columns] ended_at = ["ended_at", "…"]. {line}'
        fix = f"They are left out, as nothing says since when they are no customers. {since}"
        yield LeftOut("status", "is paused without a date", f"({self._in('paused')} and {no_end})", fix)
        level: Literal["warn"] | None = None if "ended_at" in self.native else "warn"
        over = f"({self._in('over', 'completed')} and {no_end})"
        yield LeftOut("ended_at", "is over without an end", over, fix, level)

    def select(self, values: Mapping[str, str], *, source: str, complete: str) -> str:
        """Return the query of the terms: the typed columns, ``completed`` and ``term_id``.

        ``values`` are the typed values of the raw columns in ``source``, ``complete`` says which typed rows are. A
        date-only end covers its day, and a trial that was paid begins when it was.
        """
        if self.reading.status is not None and ("status" not in self.native or not self.reading.status):
            found = (
                "an empty list"
                if "status" in self.native
                else f"no such column; it has {', '.join(self.native)}"
            )
            raise UsageError(
                "[tables.subscriptions] status: expected the states that make a customer and a column status, found "
                f"{found}. Correct it, or map status under [tables.subscriptions.columns]."
            )
        read = _ReadTerms(self.native, self.reading)
        left_out = " or ".join(rule.where for rule in read.rules()) or "false"
        covers = self.on_day("ended_at")
        typed = {column: identifier(column) for column in values}
        if "trial_ends_at" in self.native and not self.counts_trials:
            typed["started_at"] = (
                "case when trial_ends_at > started_at then trial_ends_at else started_at end as started_at"
            )
        named = self.id_column
        term_id = tidy(identifier(named)) if named else "null::varchar"
        parts = {
            **{identifier(column): value for column, value in values.items()},
            "term_id": term_id,
            **({"churnrisk_state": self.state} if "status" in self.native else {}),
            **{
                read.on_day(one): self.on_day(one)
                for one in ("ended_at", "trial_ends_at")
                if one in self.native
            },
        }
        rows = f"select {', '.join(f'{value} as {name}' for name, value in parts.items())} from {source}"
        terms = (
            f"select {', '.join(typed.values())}, {read.completed} as completed, term_id, "
            f"{read.on_day('ended_at')} as covers from ({rows}) r where {complete} and not ({left_out})"
        )
        columns = {column: f"t.{identifier(column)}" for column in (*typed, "completed", "term_id")}
        if covers == "false":
            return f"select {', '.join(columns.values())} from ({terms}) t"
        known = "started_at"
        if "recorded_at" in self.native:
            known = "greatest(started_at, coalesce(recorded_at, started_at))"
        # Where the next term begins on the day of an end, that day is the next term's. Only a term that is known by
        # the end of the day says so: each later snapshot then sees what all others see.
        followed = (
            "select account_id as follower, cast(started_at as date) as begins_on, "
            f"max(coalesce(ended_at, {LATEST})) as runs_until from terms "
            f"where {known} < cast(started_at as date) + interval 1 day group by 1, 2"
        )
        day = f"least(t.ended_at + interval 1 day, {LATEST})"
        whole = "t.covers and t.ended_at is not null and coalesce(f.runs_until <= t.ended_at, true)"
        columns["ended_at"] = f"case when {whole} then {day} else t.ended_at end as ended_at"
        return (
            f"with terms as materialized ({terms}) select {', '.join(columns.values())} "
            f"from terms t left join ({followed}) f "
            "on f.follower = t.account_id and f.begins_on = cast(t.ended_at as date)"
        )


class _ReadTerms(TermRows):
    """The same of rows whose values are read already."""

    def _value(self, column: str, type_: ColumnType = "timestamp") -> str:
        return identifier(column) if column in self.native else super()._value(column, type_)

    def on_day(self, column: str) -> str:
        return f"{column}_on_day" if column in self.native else "false"

    @property
    def state(self) -> str:
        return "churnrisk_state"


def row_violations(rows: Rows, table: str, native: Mapping[str, str], reading: Reading) -> list[Violation]:
    """Count the rows of a table that are left out, and name those of which the count is doubtful."""
    own = {column: type_ for column, type_ in native.items() if TABLES[table].column(column) is None}
    found = [*_marked_rows(rows, table, own, reading)]
    if table == "subscriptions":
        found += _TermCheck(rows, native, own, reading).violations()
    return found


def _marked_rows(rows: Rows, table: str, own: Mapping[str, str], reading: Reading) -> Iterator[Violation]:
    for column, where in markers(table, own, reading).items():
        chosen = f"({reading.where}\n) and " if reading.where else ""
        total, count = rows(f"select count(*), count(*) filter (where {chosen}{where}) from source_{table}")[
            0
        ]
        if not count:
            continue
        gone = _MARKERS[column.strip().lower()].startswith("deleted")
        # accounts that are deleted when they leave would take all churn with them
        level: Literal["error", "warn"] = "error" if table == "accounts" and count > _MOST * total else "warn"
        problem = "row was deleted" if gone else "row is a superseded version"
        who = (
            "If they are customers who left, keep them"
            if table == "accounts" and gone
            else "To choose yourself"
        )
        fix = (
            f"Such rows are left out. {who}: name the column in a condition, "
            f"[tables.{table}] where = {_toml(f'{identifier(column)} is not null or true')} counts all."
        )
        yield Violation(table, column, problem, level, int(count), (), fix)


def _toml(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'


class _TermCheck:
    """What the rows of subscriptions say that is not counted, or not understood."""

    def __init__(
        self, rows: Rows, native: Mapping[str, str], own: Mapping[str, str], reading: Reading
    ) -> None:
        self.rows, self.native, self.own, self.reading = rows, native, own, reading
        self.terms = TermRows(native, reading)

    def violations(self) -> list[Violation]:
        unmapped = [*self._unmapped_trials(), *self._flagged_trials(), *self._unmapped_notice()]
        return [*self._left_out(), *self._states(), *unmapped, *self._versions()]

    def _found(self, one: LeftOut, count: int, level: Literal["error", "warn"]) -> Violation:
        shown = self.rows(
            'select distinct cast("account_id" as varchar) as example from raw_subscriptions '
            f"where {one.where} and account_id is not null order by example limit 3"
        )
        examples = tuple(str(example) for (example,) in shown)
        return Violation("subscriptions", one.column, one.problem, level, count, examples, one.fix)

    def _left_out(self) -> Iterator[Violation]:
        rules, done = self._each_once(), self._completed()
        if not rules:
            return
        counts = ", ".join(f"count(*) filter (where {one.where})" for one in (*rules, done))
        total, *found, ended = self.rows(f"select count(*), {counts} from raw_subscriptions")[0]
        if ended:
            yield self._found(done, int(ended), "warn")
        for one, count in zip(rules, found, strict=True):
            if count:
                level = one.level or ("error" if count > _MOST * total else "warn")
                yield self._found(one, int(count), level)
        if total and sum(found) >= total:
            fix = "Correct status under [tables.subscriptions] in churnrisk.toml, or the mapping."
            yield Violation("subscriptions", "", "no row makes a customer", "error", int(total), (), fix)

    def _each_once(self) -> list[LeftOut]:
        """Return the rules so that a row counts for the first that leaves it out."""
        rules = self.terms.rules()
        former = [" or ".join(rule.where for rule in rules[:place]) or "false" for place in range(len(rules))]
        return [
            replace(rule, where=f"({rule.where}) and not ({seen})")
            for rule, seen in zip(rules, former, strict=True)
        ]

    def _completed(self) -> LeftOut:
        return LeftOut(
            "status",
            "ended as completed, which is no churn",
            f"{self.terms.completed} and {self.terms.ended}",
            "Nothing to do if that is right; if they are losses, set completed = [] under [tables.subscriptions].",
        )

    def _states(self) -> Iterator[Violation]:
        if "status" not in self.native or self.terms.listed is not None:
            return
        words = self.rows(
            f"select {self.terms.state} as state, any_value(trim(cast(status as varchar))), count(*) as n "
            "from raw_subscriptions group by 1 order by n desc, state limit 200"
        )
        sense = {word: self.terms.sense(word) for word, _, _ in words if word is not None}
        unknown = {str(text): int(n) for word, text, n in words if word is not None and sense[word] is None}
        if unknown:
            kept = ("customer", "over", "completed")
            known = [str(text) for word, text, _ in words if sense.get(word) in kept]
            line = f"status = {json.dumps([*known, *list(unknown)][:12], ensure_ascii=False)}"
            seen = ", ".join(f"{text} ({n:,})" for text, n in list(unknown.items())[:12])
            fix = (
                f"Say which states make a customer, now or in the past, under [tables.subscriptions]: {line} "
                f"if {seen} {'does' if len(unknown) == 1 else 'do'}; rows of other states are left out. Where the end "
                f"of a state is no churn, completed = {json.dumps(list(unknown)[:1], ensure_ascii=False)}."
            )
            yield Violation(
                "subscriptions", "status", "is no known state", "error", sum(unknown.values()),
                tuple(list(unknown)[:3]), fix,
            )  # fmt: skip
        blank = sum(int(n) for word, _, n in words if word is None)
        if blank and len(words) > 1:
            fix = "Such rows count as terms of customers; fill it in, or leave them out by where in churnrisk.toml."
            yield Violation("subscriptions", "status", "state is missing", "warn", blank, (), fix)

    def _unmapped_trials(self) -> Iterator[Violation]:
        """Yield ends of trials that the table holds under a name that is not mapped."""
        named = next((column for column in self.own if column.strip().lower() in _TRIAL_END_NAMES), None)
        if "trial_ends_at" in self.native or named is None or self.terms.counts_trials:
            return
        mapped = TermRows({**self.native, "trial_ends_at": self.own[named]}, self.reading)
        rule = next(one for one in mapped.rules() if one.problem.startswith("is a trial"))
        where = rule.where.replace('"trial_ends_at"', identifier(named))
        problem = "is a trial that was never paid, whose end is not mapped"
        fix = f'Map it: [tables.subscriptions.columns] trial_ends_at = "{named}".'
        one = LeftOut(named, problem, f"{where} and not ({self._any_left_out()})", fix)
        (count,) = self.rows(f"select count(*) from raw_subscriptions where {one.where}")[0]
        if count:
            yield self._found(one, int(count), "error")

    def _flagged_trials(self) -> Iterator[Violation]:
        named = next((column for column in self.own if column.strip().lower() in _TRIAL_FLAGS), None)
        if named is None or _names(self.reading.where, named):
            return
        quoted = identifier(named)
        no_trial = f"coalesce(lower(cast({quoted} as varchar)), '') not in ('true', 't', 'yes', 'y', '1')"
        fix = (
            "They count as terms of customers. To leave them out, set "
            f"where = {json.dumps(no_trial, ensure_ascii=False)} under [tables.subscriptions]."
        )
        one = LeftOut(named, "is marked as a trial", f"not ({no_trial})", fix)
        (count,) = self.rows(f"select count(*) from raw_subscriptions where {one.where}")[0]
        if count:
            yield self._found(one, int(count), "warn")

    def _unmapped_notice(self) -> Iterator[Violation]:
        named = next((column for column in self.own if column.strip().lower() in _NOTICE_NAMES), None)
        if named is not None and "cancelled_at" not in self.native:
            fix = f'Map it if it is: [tables.subscriptions.columns] cancelled_at = "{named}".'
            problem = "looks like the day on which notice was given, and is not mapped"
            given = f"not {missing(identifier(named), self.own[named])}"
            (count,) = self.rows(f"select count(*) from raw_subscriptions where {given}")[0]
            if count:
                yield Violation("subscriptions", named, problem, "warn", int(count), (), fix)

    def _any_left_out(self) -> str:
        return " or ".join(rule.where for rule in self.terms.rules()) or "false"

    def _own_name(self, column: str) -> str:
        """Return the quoted name of a raw column in the source."""
        own = getattr(self.reading, "columns", {}).get(column, column)
        return identifier(own if isinstance(own, str) else own[0])

    def _versions(self) -> Iterator[Violation]:
        """Yield subscriptions with rows that run at the same time: versions, of which one counts."""
        named = self.terms.id_column
        if named is None:
            return
        # less than a day is no version but a day that two terms share
        order = "partition by account_id, term_id order by started_at, ended_at"
        end = f"max(coalesce(ended_at, {LATEST}))"
        earlier = f"{end} over ({order} rows between unbounded preceding and 1 preceding)"
        overlapping = (
            f"select distinct account_id, term_id from (select account_id, term_id, started_at, {earlier} as earlier "
            "from subscriptions where term_id is not null) where earlier > started_at + interval 1 day"
        )
        some = "term_id || ' of ' || account_id"
        count, first, last = self.rows(f"select count(*), min({some}), max({some}) from ({overlapping})")[0]
        # what is shared by many accounts names a plan, not a subscription
        shared = "select 2 * count(distinct term_id) <= count(distinct account_id) from subscriptions"
        if not count or self.rows(shared)[0][0]:
            return
        latest = next((one for one in self.native if one.strip().lower() in _VERSION_NAMES), "started_at")
        path = getattr(self.reading, "path", None) or "subscriptions.csv"
        query = (
            f"select * from '{path}' qualify row_number() over "
            f"(partition by {self._own_name(named)} order by {self._own_name(latest)} desc) = 1"
        )
        fix = (
            "Count one version of each: [tables.subscriptions] where = a condition that the current one meets, or "
            f"sql = {json.dumps(query, ensure_ascii=False)}. If they are parts of one subscription, map "
            "subscription_id to the part's own id."
        )
        yield Violation(
            "subscriptions", named, "several rows of one subscription run at the same time", "error", int(count),
            tuple(dict.fromkeys((str(first), str(last)))), fix,
        )  # fmt: skip
