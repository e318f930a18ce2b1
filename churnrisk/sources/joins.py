"""How rows meet their accounts: ids in a normal form, and ways by other tables, such as users, from a key (``via``).

Columns that are not given are found by their values: of all ways from a column of the source through one or more tables
to ids of accounts, the one counts that leads the most keys to the most accounts. What is not clear is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from churnrisk.contract import ID_RULES, TABLES, identifier, literal, normal_id, tidy
from churnrisk.errors import ContractError, UsageError
from churnrisk.sources.config import TableConfig, Via
from churnrisk.sources.engine import Engine
from churnrisk.sources.mapping import RawRows, SourceColumns, own_columns, rows_left_out, where_clause

#: So many different keys of the source are followed to find the columns.
_FOLLOWED = 10_000
#: A column that holds fewer of the keys than this share is no match.
_LEAST_SHARE = 0.5
#: A way is clearly the best if all others lead to less than this share of its keys times accounts.
_RIVAL_SHARE = 0.5
_USERS = re.compile(
    "user|person|people|contact|member|visitor|login|mail|distinct_?id|anonymous", re.IGNORECASE
)

#: What was found, by project, settings and the tables on the way: looking at one account repeats no search.
_FOUND: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {}

#: Creates ``source_<name>`` of a table's files and returns their fingerprint.
OpenSource = Callable[[str, TableConfig], object]


def raw_rows(
    engine: Engine,
    name: str,
    configs: Mapping[str, TableConfig],
    *,
    whole: bool,
    source: OpenSource,
    accounts: Callable[[], str],
) -> RawRows:
    """Return how ``raw_<name>`` reads ``source_<name>``; unless ``whole``, nothing is counted or looked for.

    ``source`` opens the tables on the way to the account, ``accounts`` the relation of their ids.
    """
    config = configs[name]
    where = where_clause(engine, name, config)
    left_out = rows_left_out(engine, name, where) if where and whole else 0
    columns = own_columns(engine, name, config, trusted=not whole)
    normalised = config.ids not in (None, "exact", ("exact",))
    # where accounts have the same normal form, they are in it already
    of_accounts = configs.get("accounts", config)
    alike = (config.ids, config.nulls) == (of_accounts.ids, of_accounts.nulls)
    if normalised and whole and not alike:
        _require_apart(engine, name, config, accounts())
    join, mark = "", None
    if config.via:
        joiner = _Joiner(engine, name, config, source)
        rows = f"(select * from source_{name}{where})"
        key, of_users = joiner.join(_starts(name, config, columns), rows, accounts, whole=whole)
        if name == "events" and of_users:
            columns.setdefault("user_id", key)
        columns["account_id"], join, mark = joiner.account(key), joiner.clause(key), joiner.mark
    # ids that are vouched for stay in the source's type, which is quicker to group by
    elif "account_id" in columns and normalised:
        columns["account_id"] = _normal_form(config)(columns["account_id"])
    listed = ", ".join(f"{value} as {identifier(new)}" for new, value in columns.items())
    return RawRows(listed, where, join, left_out, mark)


def account_column(config: TableConfig) -> str | None:
    """Return the source's column that holds ``account_id`` as it is; None if the id is made from it or from several."""
    own = config.columns.get("account_id", "account_id")
    as_it_is = isinstance(own, str) and config.ids in (None, "exact") and not config.via
    return str(own) if as_it_is else None


def _normal_form(config: TableConfig, rule: str | None = None) -> Callable[[str], str]:
    """Return what brings the expression of an id to the form of ``ids``, or of one rule; unknown ones become null."""
    how = rule or ("exact" if config.ids is None else config.ids)
    unknown = ", ".join(map(literal, config.nulls))
    return lambda value: normal_id(
        f"case when {tidy(value)} not in ({unknown}) then {value} end" if unknown else value, how
    )


def _require_apart(engine: Engine, name: str, config: TableConfig, accounts: str) -> None:
    """Refuse a normal form that makes one account of two: all rows would count for one of them."""
    ids = f"select {tidy('account_id')} as own from {accounts}"
    forms = f"select own, {_normal_form(config)('own')} as form from ({ids}) where own is not null"
    met = f"select form, min(own) as one, max(own) as other from ({forms}) group by form having min(own) < max(own)"
    # two spellings of which neither is the form meet no row at all, which the check of ids sees
    lost = f"select * from ({met}) where form in ({ids}) order by form limit 1"
    for form, one, other in engine.rows(lost):
        how = repr(config.ids) if isinstance(config.ids, str) else list(config.ids or ())
        raise ContractError(
            f"[tables.{name}] ids = {how} makes one account of two: {one!r} and {other!r} both become {form!r}. "
            'Choose another rule, or set ids = "exact" if they are different accounts.'
        )


def _starts(name: str, config: TableConfig, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that may hold the key, by name: what ``account_id`` is, or else all ids and own columns."""
    if "account_id" in columns:
        own = config.columns.get("account_id", "account_id")
        return {own if isinstance(own, str) else "account_id": columns["account_id"]}
    return {
        new: value
        for new, value in columns.items()
        if (declared := TABLES[name].column(new)) is None or declared.type == "id"
    }


@dataclass(frozen=True)
class _Hop:
    """One table on the way: its relation, path, columns, and what the settings say about them."""

    relation: str
    path: str
    columns: Mapping[str, str]
    key: str | None
    account: str | None

    @property
    def file(self) -> str:
        """Name of the file."""
        return Path(self.path).name

    @property
    def keys(self) -> list[str]:
        """Columns that may hold the key."""
        return [self.key] if self.key else list(self.columns)


@dataclass(frozen=True)
class _Way:
    """A way from a column of the source: the key and account column of each hop, and where a sample of keys ends.

    ``state`` is a relation (key, value); ``worth`` is 0 until accounts are reached; ``shared`` keys have several.
    """

    start: str
    columns: tuple[tuple[str, str], ...]
    state: str
    worth: int = 0
    shared: int = 0


class _Joiner:
    """Finds and makes the joins of one table."""

    def __init__(self, engine: Engine, name: str, config: TableConfig, open_source: OpenSource) -> None:
        if name == "accounts":
            raise UsageError(
                "[tables.accounts] via: other tables lead to accounts, accounts to nothing. Leave via out."
            )
        if engine.opens(config):
            raise UsageError(
                f"[tables.{name}] via: Spark joins no files to the tables that it reads. "
                'Join them by sql, or set engine = "duckdb" in churnrisk.toml.'
            )
        self._engine, self._name, self._config = engine, name, config
        self._normal = _normal_form(config)
        given = (config.via,) if isinstance(config.via, str | Via) else config.via
        hops = [Via(one) if isinstance(one, str) else one for one in given]
        opened = [self._open(number, via, open_source) for number, via in enumerate(hops, 1)]
        self._hops = [hop for hop, _ in opened]
        #: Changes with the tables on the way.
        self.mark = [mark for _, mark in opened]
        self._states: list[str] = []

    @property
    def _setting(self) -> str:
        return f"[tables.{self._name}] via {', '.join(hop.file for hop in self._hops)}"

    def _open(self, number: int, via: Via, open_source: OpenSource) -> tuple[_Hop, object]:
        engine, alias, file = self._engine, f"{self._name}_via_{number}", Path(via.path).name
        if self._config.path and (engine.base / via.path) == (engine.base / self._config.path):
            raise UsageError(
                f"[tables.{self._name}] via {via.path!r} is the table itself. Name the file that leads from its keys "
                "to accounts, or leave via out."
            )
        config = TableConfig(path=via.path, encoding=via.encoding, delimiter=via.delimiter)
        place = f"[tables.{self._name}] via"
        try:
            mark = open_source(alias, config)
        except (UsageError, ContractError) as error:
            text = str(error).replace(f"[tables.{alias}] ", "")
            text = re.sub(
                'Set (encoding = "[^"]+")', lambda it: f'Set via = {{path = "{via.path}", {it[1]}}}', text
            )
            raise type(error)(f"{place}: {text}") from error
        source = SourceColumns(engine, alias, config, setting=place, label=file)
        columns = {own: source.column(own).sql for own in source.there}
        for role, own in (("key", via.key), ("account", via.account)):
            if own is not None:
                columns[own] = source.value(role, own).sql
        return _Hop(f"source_{alias}", via.path, columns, via.key, via.account), mark

    def join(
        self, starts: Mapping[str, str], rows: str, accounts: Callable[[], str], *, whole: bool
    ) -> tuple[str, bool]:
        """Create ``via_<table>``; return the expression of the key, and whether it is that of a user.

        ``starts`` are the columns of ``rows`` that may hold it, by name; ``accounts`` opens the relation of ids.
        """
        place = f"{self._engine.base} {self._name} {self._config!r} {self.mark}"
        if len(starts) == 1 and all(hop.key and hop.account for hop in self._hops):
            (start,) = starts
            columns = tuple((str(hop.key), str(hop.account)) for hop in self._hops)
        elif not whole and place in _FOUND:
            start, columns = _FOUND[place]
        else:
            way = self._find(starts, rows, accounts())
            _FOUND[place] = start, columns = way.start, way.columns
        led = "select k as churnrisk_key, min(a) as churnrisk_account, count(*) as churnrisk_accounts"
        self._engine.create(f"via_{self._name}", f"{led} from ({self._pairs(columns)}) group by k")
        if whole:
            self._require_one_account(self._normal(starts[start]), rows, columns)
        names = " ".join((start, columns[0][0], self._hops[0].file))
        return starts[start], bool(_USERS.search(names))

    def clause(self, key: str) -> str:
        """Return the join with ``via_<table>``."""
        return f" left join via_{self._name} on churnrisk_key = {self._normal(key)}"

    def account(self, key: str) -> str:
        """Return the account's id; of a key that leads to none the key itself, marked."""
        # unmarked, it might equal some account's id
        lost = literal(f" (no account by {', '.join(hop.file for hop in self._hops)})")
        return f"coalesce(churnrisk_account, {self._normal(key)} || {lost})"

    def _pairs(self, columns: Sequence[tuple[str, str]]) -> str:
        """Return the query of all keys with each account that they lead to."""
        tables = []
        for number, (hop, (key, account)) in enumerate(zip(self._hops, columns, strict=True)):
            cells = f"{self._normal(hop.columns[key])} as k, {self._normal(hop.columns[account])} as a"
            met = f" on h{number}.k = h{number - 1}.a" if number else ""
            tables.append(f"(select distinct {cells} from {hop.relation}) h{number}{met}")
        ends = f"select distinct h0.k, h{len(tables) - 1}.a as a from {' join '.join(tables)}"
        return f"select k, a from ({ends}) where k is not null and a is not null"

    def _require_one_account(self, key: str, rows: str, columns: Sequence[tuple[str, str]]) -> None:
        shared = f"from via_{self._name} where churnrisk_accounts > 1 and churnrisk_key in (select {key} from {rows})"
        ((example, count),) = self._engine.rows(f"select min(churnrisk_key), count(*) {shared}")
        if not count:
            return
        found = self._engine.rows(
            f"select a from ({self._pairs(columns)}) where k = {literal(example)} order by a"
        )
        accounts = [account for (account,) in found]
        more = f", and {count - 1:,} more keys lead to several" if count > 1 else ""
        raise ContractError(
            f"{self._setting} ({_shown(columns)}): {example} leads to {len(accounts)} accounts "
            f"({', '.join(accounts[:3])}{' …' if len(accounts) > 3 else ''}){more}. "
            "Keep one account per key in the file, or join by sql."
        )

    def _find(self, starts: Mapping[str, str], rows: str, accounts: str) -> _Way:
        """Return the clearly best way to accounts; UsageError if there is none, or more than one."""
        ways, before, hop = self._ways(starts, rows, accounts)
        if not ways:
            raise self._no_way(
                before, hop, None if self._config.ids else self._fitting(starts, rows, accounts)
            )
        chosen = self._clearest(ways)
        self._require_no_namesake(chosen)
        self._engine.drop("way_accounts", *self._states)
        return chosen

    def _ways(
        self, starts: Mapping[str, str], rows: str, accounts: str
    ) -> tuple[list[_Way], list[_Way], _Hop]:
        """Return all ways to accounts, and where they end: those so far, and the next table."""
        # Spark may have read the accounts, but the way there is DuckDB's
        ids = self._engine.arrow(f"select distinct {self._normal('account_id')} as value from {accounts}")
        self._engine.table_from("way_accounts", ids)
        ways = [way for start, value in starts.items() if (way := self._start(start, value, rows))]
        before, hop = ways, self._hops[0]
        for hop in self._hops:
            last = hop is self._hops[-1]
            before, ways = ways, [way for one in ways for way in self._follow(one, hop, last=last)]
            if not ways:
                break
        return ways, before, hop

    def _start(self, start: str, value: str, rows: str) -> _Way | None:
        keys = f"select distinct {self._normal(value)} as key from {rows}"
        some = f"where key is not null order by hash(key), key limit {_FOLLOWED}"
        state = self._state(f"select key, key as value from ({keys}) {some}")
        return _Way(start, (), state) if self._engine.value(f"select count(*) from {state}") else None

    def _state(self, query: str) -> str:
        self._states.append(f"way_{len(self._states)}")
        return self._engine.create(self._states[-1], query)

    def _held(self, way: _Way, hop: _Hop) -> dict[str, float]:
        """Return which share of the way's values each column that may be the key holds."""
        values = f"(select value from {way.state})"
        columns = {name: self._normal(hop.columns[name]) for name in hop.keys}
        counts = ", ".join(
            f"count(distinct case when {one} in {values} then {one} end)" for one in columns.values()
        )
        total = self._engine.value(f"select count(distinct value) from {way.state}")
        found = self._engine.rows(f"select {counts} from {hop.relation}")[0]
        return {name: held / total for name, held in zip(columns, found, strict=True)} if total else {}

    def _follow(self, way: _Way, hop: _Hop, *, last: bool) -> Iterator[_Way]:
        """Yield the ways on through a table; at the last one those that reach accounts."""
        least = 0 if hop.key or way.columns else _LEAST_SHARE
        keys = [name for name, share in self._held(way, hop).items() if share > 0 and share >= least]
        for key in keys:
            for account in [hop.account] if hop.account else [name for name in hop.columns if name != key]:
                value = self._normal(hop.columns[account])
                state = self._state(
                    f"select distinct w.key, h.value from {way.state} w join (select distinct "
                    f"{self._normal(hop.columns[key])} as key, {value} as value from {hop.relation}) h "
                    "on h.key = w.value where h.value is not null"
                )
                longer = replace(way, columns=(*way.columns, (key, account)), state=state)
                if not last:
                    yield longer
                elif (ended := self._ended(longer)).worth:
                    yield ended

    def _ended(self, way: _Way) -> _Way:
        led = f"(select key, value, value in (select value from way_accounts) as met from {way.state})"
        worth = "count(distinct key) filter (where met) * count(distinct value) filter (where met)"
        shared = f"(select count(*) from (select key from {way.state} group by key having count(*) > 1))"
        ((found, several),) = self._engine.rows(f"select {worth}, {shared} from {led}")
        return replace(way, worth=int(found), shared=int(several))

    def _clearest(self, ways: Sequence[_Way]) -> _Way:
        best = max(way.worth for way in ways)
        rivals = [way for way in ways if way.worth >= _RIVAL_SHARE * best]
        # a key leads to one account
        rivals = [way for way in rivals if not way.shared] or rivals
        first, *others = rivals
        if all(self._same(first, other) for other in others):
            return first
        named = {way: self._names_met(way) for way in rivals}
        leaders = [way for way in rivals if named[way] == max(named.values())]
        if len(leaders) == 1:
            return leaders[0]
        raise self._asked(leaders)

    def _same(self, one: _Way, other: _Way) -> bool:
        if one.start != other.start:
            return False
        a, b = f"(select key, value from {one.state})", f"(select key, value from {other.state})"
        return not self._engine.rows(f"({a} except {b}) union all ({b} except {a}) limit 1")

    def _names_met(self, way: _Way) -> int:
        """Return at how many places the names agree with what the values say."""
        keys = [name for name, _ in way.columns]
        before = [way.start, *(account for _, account in way.columns)]
        met = sum(
            bool(_names(hop.file, key) & _names(file, name))
            for hop, key, file, name in zip(
                self._hops, keys, ["", *(hop.file for hop in self._hops)], before, strict=False
            )
        )
        return met + _is_account(way.columns[-1][1])

    def _require_no_namesake(self, way: _Way) -> None:
        """Ask where another column bears the name of the account's id."""
        key, account = way.columns[-1]
        hop = self._hops[-1]
        named = [name for name in hop.columns if _is_account(name) and name not in (key, account)]
        if hop.account is None and not _is_account(account) and named:
            raise self._asked([way, replace(way, columns=(*way.columns[:-1], (key, named[0])))])

    def _asked(self, ways: Sequence[_Way]) -> UsageError:
        shown = "; ".join(f"{way.start} → {_shown(way.columns)}" for way in ways[:4])
        example = ", ".join(
            f'{{path = "{hop.path}", key = "{key}", account = "{account}"}}'
            for hop, (key, account) in zip(self._hops, ways[0].columns, strict=True)
        )
        asked = example if len(self._hops) == 1 else f"[{example}]"
        return UsageError(
            f"{self._setting}: more than one way leads to accounts: {shown}. "
            f"Say which columns count, such as via = {asked}."
        )

    def _no_way(self, ways: Sequence[_Way], hop: _Hop, fitting: str | None) -> UsageError:
        """Return the error that says at which table the ways end, and which normal form would lead on."""
        if not ways:
            return UsageError(
                f"{self._setting}: {self._name} has no filled column to join by. "
                f"Map account_id to its key under [tables.{self._name}.columns]."
            )
        held = {way: max(self._held(way, hop).values(), default=0) for way in ways}
        way, share = max(held.items(), key=lambda item: item[1])
        source = way.columns[-1][1] if way.columns else way.start
        ((example,),) = self._engine.rows(f"select min(value) from {way.state}")
        if share < _LEAST_SHARE and not way.columns:
            problem = f"no column of {hop.file} holds most values of {source}, such as {example!r}"
        else:
            problem = f"no column of {hop.file} leads from {source}, such as {example!r}, to ids of accounts"
        fix = (
            f'set ids = "{fitting}", by which they match'
            if fitting
            else (f"correct via, or the mapping of account_id under [tables.{self._name}.columns]")
        )
        return UsageError(
            f"{self._setting}: {problem}; it has {', '.join(hop.columns)}. {fix[0].upper()}{fix[1:]}."
        )

    def _fitting(self, starts: Mapping[str, str], rows: str, accounts: str) -> str | None:
        """Return the rule for ids by which there is a way."""
        as_it_is = self._normal
        try:
            for rule in ID_RULES:
                self._normal = _normal_form(self._config, rule)
                if self._ways(starts, rows, accounts)[0]:
                    return rule
        finally:
            self._normal = as_it_is
        return None


def _shown(columns: Iterable[tuple[str, str]]) -> str:
    return " → ".join(f"{key} → {account}" for key, account in columns)


def _names(file: str, column: str) -> set[str]:
    """Return what a column may be called elsewhere: ``id`` of users.csv is also ``user_id``."""
    stem = Path(file).name.partition(".")[0]
    return {_bare(column), _bare(stem + column), _bare(stem.removesuffix("s") + column)}


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_account(column: str) -> bool:
    return _bare(column) in ("accountid", "account")
