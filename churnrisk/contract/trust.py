"""The trust gate: tables that can be read but whose list would be wrong, each with the setting that resolves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise

from churnrisk.contract.check import UNKNOWN, ids_of
from churnrisk.contract.tables import (
    AS_IT_IS,
    EARLIEST,
    ID_RULES,
    TABLES,
    Available,
    Reading,
    Rows,
    literal,
    normal_id,
    timestamp_literal,
)
from churnrisk.records import Violation

#: Days with how many rows each has, oldest first.
Days = Sequence[tuple[date, int]]
#: Rows that lie this much further from all others than any two of those lie apart are strays, if they are so few.
_STRAY_SHARE, _STRAY_ROWS, _STRAY_DAYS = 0.001, 2, 14
#: A table needs so many gaps between its days before its rhythm is known; with this many the longest is the limit.
_KNOWN_GAPS, _DENSE_GAPS = 8, 100
#: The rhythm is that of so many days before the last one.
_RHYTHM_DAYS = 180
#: A silence of the whole table of at least so many days is a hole in the export if it is far longer than others.
_HOLE_DAYS, _HOLE_TIMES = 28, 5
#: So few answers say little about their scale.
_FEW_ANSWERS = 5


@dataclass(frozen=True, slots=True)
class Reach:
    """What one table covers: its first and last day, and how far apart its days with rows lie.

    Days with rows far before or after all others (``strays`` rows) do not count. ``holes`` are spans without any row,
    ``[from, until)``, that are far longer than its usual gap.
    """

    table: str
    first: date
    last: date
    longest_gap: int = 0
    gaps: int = 0
    strays: int = 0
    stray: date | None = None
    holes: tuple[tuple[date, date], ...] = ()

    @property
    def patience(self) -> int | None:
        """How many days the table may be behind the others; None while its rhythm is not known."""
        # a company may sign nobody and change nothing for a year, unless it used to do so every other day
        rare = self.table in ("subscriptions", "attributes")
        if self.gaps < (_DENSE_GAPS if rare else _KNOWN_GAPS):
            return None
        return self.longest_gap * (1 if self.gaps >= _DENSE_GAPS else 2) + 2

    def sees(self, start: date, end: date) -> bool:
        """Say whether the days ``[start, end)`` touch none of the holes."""
        return not any(hole < end and start < until for hole, until in self.holes)


def reaches(
    rows: Rows, available: Available, *, now: datetime, known: Mapping[str, Days] | None = None
) -> dict[str, Reach]:
    """Return which days each log covers up to ``now``, by table; a planned end does not count as one.

    Attributes, which come at most once a day, count beside the logs. ``known`` holds the days of tables that need not
    be read again.
    """
    timed = [name for name in available.tables if TABLES[name].is_log]
    timed += ["attributes"] if timed and available.has("attributes") else []
    days = {
        name: known[name] if known and name in known else days_with_rows(rows, available, name, now=now)
        for name in timed
    }
    found = {name: _reach(name, counts) for name, counts in days.items() if counts}
    if not found:
        return {}
    # what lies beyond all other rows of its table is real where other tables reach as far
    latest = max(one.last for one in found.values())
    for name, one in found.items():
        later = [day for day, _ in days[name] if one.last < day <= latest]
        if later:
            whole = _reach(
                name, [(day, n) for day, n in days[name] if one.first <= day <= latest], trim=False
            )
            beyond = [(day, n) for day, n in days[name] if day > latest]
            found[name] = replace(
                whole, strays=sum(n for _, n in beyond), stray=max(beyond)[0] if beyond else None
            )
    return found


def distrust(
    rows: Rows,
    available: Available,
    *,
    readings: Mapping[str, Reading],
    reach: Mapping[str, Reach],
    found: Sequence[Violation],
    now: datetime,
    data_until: date | None = None,
) -> list[Violation]:
    """Return what would make a wrong list of tables that can be read; ``found`` is what the check found."""
    sign_up = _last_sign_up(rows, now) if available.has("accounts.signed_up_at") else None
    doubts = _doubts_of_reach(reach, sign_up, data_until)
    if set(reach) == {"subscriptions"} and available.has("subscriptions.ended_at") and not data_until:
        doubts += _ends_without_witness(rows, reach["subscriptions"], now)
    for violation in found:
        if violation.rule == UNKNOWN and readings.get(violation.table, AS_IT_IS).ids != "exact":
            doubts += _spelt_differently(rows, violation.table) or _lost_accounts(rows, violation.table)
    if available.has("surveys"):
        doubts += _scale(rows, available, readings.get("surveys", AS_IT_IS))
    if available.has("complaints.severity") and readings.get("complaints", AS_IT_IS).severity_order is None:
        doubts += _severity_order(rows)
    return doubts


def days_with_rows(rows: Rows, available: Available, name: str, *, now: datetime, relation: str = "") -> Days:
    """Return the days on which something happened in a table or a part of it, oldest first, and the rows of each."""
    spec = TABLES[name]
    columns = available.tables[name]
    # for speed, events are read without trimming their ids
    relation = relation or ("bare_events" if name == "events" else name)
    account = " and cast(account_id as varchar) <> ''" if name == "events" else ""
    happened = [spec.time, *(one for one in (*spec.later, "recorded_at") if one not in spec.planned)]
    union = " union all ".join(
        f"select cast({column} as date) as day, count(*) as n from {relation} "
        f"where {column} between {EARLIEST} and {timestamp_literal(now)}{account} group by 1"
        for column in happened
        if column in columns
    )
    return [(day, int(n)) for day, n in rows(f"select day, sum(n) from ({union}) group by day order by day")]


def _reach(name: str, days: Days, *, trim: bool = True) -> Reach:
    kept, strays = _trimmed(days) if trim else (list(days), [])
    dates = [day for day, _ in kept]
    gaps = [(later - earlier).days for earlier, later in pairwise(dates)]
    recent = [
        gap
        for gap, day in zip(gaps, dates[1:], strict=True)
        if day > dates[-1] - timedelta(days=_RHYTHM_DAYS)
    ]
    usual = sorted(gaps)[int(len(gaps) * 0.95) - 1] if gaps else 0
    limit = max(_HOLE_DAYS, _HOLE_TIMES * usual)
    holes = [
        (earlier + timedelta(days=1), later)
        for earlier, later in pairwise(dates)
        if len(gaps) >= _KNOWN_GAPS and (later - earlier).days > limit
    ]
    rhythm = [gap for gap in recent if gap <= limit]
    return Reach(
        name,
        dates[0],
        dates[-1],
        max(rhythm, default=0),
        len(rhythm),
        sum(n for _, n in strays),
        max((day for day, _ in strays), default=None),
        tuple(holes),
    )


def _trimmed(days: Days) -> tuple[list[tuple[date, int]], list[tuple[date, int]]]:
    """Split off the few rows that lie far before or after all others."""
    kept, strays = list(days), []
    most = max(_STRAY_ROWS, _STRAY_SHARE * sum(n for _, n in days))
    for end in (-1, 0):
        tail: list[tuple[date, int]] = []
        while len(kept) > _KNOWN_GAPS and sum(n for _, n in tail) + kept[end][1] <= most:
            tail.append(kept.pop(end))
            dates = sorted(day for day, _ in kept)
            longest = max((later - earlier).days for earlier, later in pairwise(dates))
            distance = abs((tail[-1][0] - kept[end][0]).days)
            if distance > max(_STRAY_DAYS, 3 * longest):
                strays += tail
                tail = []
                continue
        kept = sorted([*kept, *tail])
    return kept, strays


def _last_sign_up(rows: Rows, now: datetime) -> date | None:
    """Return the day that the last three accounts reach: a few may be dated ahead."""
    signed = f"signed_up_at <= {timestamp_literal(now)} order by signed_up_at desc limit 3"
    days = rows(f"select cast(signed_up_at as date) from accounts where {signed}")
    return min(day for (day,) in days) if len(days) == 3 else None


def _doubts_of_reach(
    reach: Mapping[str, Reach], sign_up: date | None, data_until: date | None
) -> list[Violation]:
    if not reach:
        return []
    ends = {one.table: one.last for one in reach.values()} | ({"accounts": sign_up} if sign_up else {})
    furthest = max(ends, key=lambda name: ends[name])
    latest = min(ends[furthest], data_until - timedelta(days=1)) if data_until else ends[furthest]
    doubts = []
    for one in reach.values():
        time = str(TABLES[one.table].time)
        behind = (latest - one.last).days
        if one.patience is not None and behind > one.patience:
            until = one.last + timedelta(days=1)
            doubts.append(
                Violation(
                    one.table,
                    time,
                    f"{one.table} end on {one.last}, {behind} days before {furthest} ({latest}), "
                    f"though their longest gap is {one.longest_gap} days",
                    # surveys may end on purpose, and an old answer stays one
                    "warn" if one.table == "surveys" else "error",
                    0,
                    (),
                    "Export the table again; or set data_until = "
                    f"{until} under [snapshots], the last date that all tables reach.",
                )
            )
        if one.stray is not None:
            doubts.append(
                Violation(
                    one.table,
                    time,
                    "lies far from all other dates of the table",
                    "warn",
                    one.strays,
                    (str(one.stray),),
                    f"Correct the dates; {one.table} count as covering {one.first} to {one.last} until then.",
                )
            )
        doubts += [
            Violation(
                one.table,
                time,
                f"no row between {start} and {end}, far longer than the usual gap",
                "warn",
                0,
                (),
                "Export that time again; snapshots that would see the hole are left out.",
            )
            for start, end in one.holes
            if one.table in ("events", "complaints")
        ]
    return doubts


def _ends_without_witness(rows: Rows, starts: Reach, now: datetime) -> list[Violation]:
    """Say that past ends after the last start count as planned where no other table shows how far the data reach."""
    after = timestamp_literal(datetime.combine(starts.last, datetime.min.time()) + timedelta(days=1))
    count, last = rows(
        # an end at 00:00 closes the day before
        "select count(*), max(cast(ended_at - interval 1 microsecond as date)) from subscriptions "
        f"where ended_at >= {after} and ended_at <= {timestamp_literal(now)}"
    )[0]
    if not count:
        return []
    rule = f"lies after the last start ({starts.last}), so it may be planned; the data are taken to end there"
    fix = f"If those ends have happened, set data_until = {last + timedelta(days=1)} under [snapshots]."
    return [Violation("subscriptions", "ended_at", rule, "warn", count, (str(last),), fix)]


def _spelt_differently(rows: Rows, table: str) -> list[Violation]:
    """Name accounts whose rows in a table are lost by another spelling of their id, and the form that fits."""
    theirs = " union all ".join(
        f"select {literal(form)} as rule, {normal_id('theirs', form)} as form, theirs from unknown"
        for form in ID_RULES
    )
    ours = " union all ".join(
        f"select {literal(form)} as rule, {both} as both_tables, {known} as form, account_id from accounts"
        for form in ID_RULES
        for both, known in (("false", "account_id"), ("true", normal_id("account_id", form)))
    )
    found = rows(
        f"with unknown as materialized {_unknown_ids(table)} select rule, both_tables, count(*), "
        f"count(*) filter (where account_id not in {_seen_ids(table)}), min(theirs || ' is ' || account_id) "
        f"from (select rule, form, min(theirs) as theirs from ({theirs}) group by rule, form) u "
        # a form that two accounts share says nothing about which of them is meant
        f"join (select rule, both_tables, form, min(account_id) as account_id from ({ours}) "
        "group by rule, both_tables, form having count(distinct account_id) = 1) a using (rule, form) "
        "group by rule, both_tables"
    )
    if not found:
        return []
    order = tuple(ID_RULES)
    form, both, count, without, example = min(found, key=lambda one: (-one[2], one[1], order.index(one[0])))
    setting = f'ids = "{form}" under [tables.{table}]' + (" and [tables.accounts]" if both else "")
    rule = f"ids of {count:,} accounts are spelt differently than in accounts"
    if without:
        rule += f"; {without:,} of them lose all their {table}"
    fix = f'Set {setting}, or ids = "exact" under [tables.{table}] if they are different accounts.'
    return [Violation(table, "account_id", rule, "error", count, (example,), fix)]


def _seen_ids(table: str) -> str:
    return f"(select distinct account_id from {ids_of(table)} where account_id is not null)"


def _unknown_ids(table: str) -> str:
    known = "(select account_id from accounts)"
    return f"(select account_id as theirs from {_seen_ids(table)} where account_id not in {known})"


def _lost_accounts(rows: Rows, table: str) -> list[Violation]:
    """Refuse where many accounts have no row and as many ids are unknown: the two may be the same."""
    if table not in ("events", "subscriptions"):
        return []
    absent = f"from accounts where account_id not in {_seen_ids(table)}"
    known, unknown, without, example = rows(
        f"select (select count(distinct account_id) from accounts), (select count(*) from {_unknown_ids(table)}), "
        f"(select count(distinct account_id) {absent}), (select min(account_id) {absent})"
    )[0]
    if min(unknown, without) < max(2, 0.05 * known):
        return []
    rule = f"{without:,} of {known:,} accounts have no row, and {unknown:,} ids are of no account"
    fix = (
        f"Bring both tables to the same ids, by via or ids under [tables.{table}]; or set ids = "
        f'"exact" there if those accounts really have no {table}.'
    )
    return [Violation(table, "account_id", rule, "error", without, (str(example),), fix)]


def _scale(rows: Rows, available: Available, reading: Reading) -> list[Violation]:
    """Ask for the scale of scores that never come near ten."""
    if isinstance(reading.scale, str):
        return []
    kind = "kind" if available.has("surveys.kind") else "''"
    known = reading.scale or {}
    groups = rows(
        f"select coalesce({kind}, ''), count(*), min(score), max(score) from surveys "
        "where score is not null group by 1 order by 1"
    )
    doubts = []
    for name, count, low, high in groups:
        if name in known or high > 10 or low < 0:
            continue
        narrow = "1-5" if low >= 1 else "0-5"
        scale = narrow if high <= 5 else "1-7" if 1 <= low <= high <= 7 else None
        if scale is None or (high > 5 and count < 4 * _FEW_ANSWERS):
            continue
        of = f" of {name!r}" if name else ""
        setting = f'{{{literal(name)[1:-1]} = "{scale}"}}' if name and len(groups) > 1 else f'"{scale}"'
        vouched = f'{{{literal(name)[1:-1]} = "0-10"}}' if name and len(groups) > 1 else '"0-10"'
        doubts.append(
            Violation(
                "surveys",
                "score",
                f"no score{of} is above {high:g}, so the scale may not be 0-10",
                "error" if count >= _FEW_ANSWERS else "warn",
                count,
                (f"{low:g} to {high:g}",),
                f"Set scale = {setting} under [tables.surveys], or scale = {vouched} if ten is the best answer.",
            )
        )
    return doubts


def _severity_order(rows: Rows) -> list[Violation]:
    """Ask which end of severities in numbers is the worst."""
    text = "trim(cast(severity as varchar))"
    count, low, high = rows(
        f"select count(*), min({text}), max({text}) from raw_complaints "
        rf"where regexp_matches({text}, '^[0-9]+(\.0*)?$')"
    )[0]
    if not count:
        return []
    fix = 'Set severity_order = "1 is worst" or "1 is least" under [tables.complaints].'
    rule = f"severities are numbers, {low} to {high}: which end is the worst is not known"
    return [Violation("complaints", "severity", rule, "error", count, (low, high), fix)]
