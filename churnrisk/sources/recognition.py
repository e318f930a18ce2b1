"""Recognise exports in a folder by the columns of their files, and fill in what their connectors say about them."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from churnrisk.contract import TABLES, identifier
from churnrisk.errors import ChurnRiskError
from churnrisk.sources.config import EngineConfig, TableConfig
from churnrisk.sources.connectors import PLACE, Connector, ConnectorFile, connectors, files_of, hops_of
from churnrisk.sources.convert import detect_encoding, sheet_names
from churnrisk.sources.engine import Engine
from churnrisk.sources.files import file_kind, file_list, find_files, scan

#: A file resembles one of a connector from this share of the needed columns on, and at least so many of them.
_RESEMBLES, _AT_LEAST = 0.6, 4


@dataclass(frozen=True)
class Recognition:
    """What connectors make of a folder; ``tables`` is empty where none fits.

    ``tables`` holds the settings of ``[tables.*]``, ``files`` the used data files with their names in the connector,
    and ``notes`` what was not used or is missing, one sentence each.
    """

    connector: str = ""
    title: str = ""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def recognise(folder: Path) -> Recognition:
    """Find the connectors whose files lie in a folder, by the columns of the files.

    The one that explains most comes first; others add the tables that it lacks. A connector that fits halfway gives no
    table but a note that says what is missing.
    """
    known = connectors(folder)
    with Engine(EngineConfig(), base=folder) as engine:
        there = _data_files(engine, folder)
        matches = [_Match(connector, there) for connector in known.values()]
        whole = sorted(
            (one for one in matches if one.is_whole),
            key=lambda one: ("subscriptions" in one.tables, one.weight),
            reverse=True,
        )
        if whole:
            found = _together(whole)
            dated = {name: _dated(engine, name, one) for name, one in found.tables.items()}
            halfway = tuple(
                one.halfway for one in matches if one.halfway and not one.resembling & set(found.files)
            )
            return replace(found, tables=dated, notes=found.notes + halfway)
    best = max((one for one in matches if one.halfway), key=lambda one: one.weight, default=None)
    return Recognition(notes=(best.halfway,) if best else ())


def _dated(engine: Engine, table: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a table's settings with the epochs that its dates are in, which exports of one product differ in."""
    with suppress(ChurnRiskError):  # what cannot be read is for the check to say
        dated = settings | _date_formats(engine, table, settings)
        return {key: value for key, value in dated.items() if value is not None}
    return settings


def _date_formats(engine: Engine, table: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    times = {column.name for column in TABLES[table].columns if column.type == "timestamp"}
    if "sql" in settings:
        relation = f"({settings['sql']})"
        own = {name: identifier(name) for name in engine.columns(relation) if name in times}
    else:
        files = find_files(settings["path"], base=engine.base, table=table)
        config = TableConfig(path=settings["path"], encoding=settings.get("encoding"))
        relation = scan(files, config, engine=engine)
        there = engine.columns(relation)
        own = {
            name: identifier(column) if column in there else ".".join(map(identifier, column.split(".")))
            for name, column in settings.get("columns", {}).items()
            if name in times and isinstance(column, str)
        }
    given = settings.get("date_format")
    formats = {}
    for name, column in own.items():
        form = given.get(name) if isinstance(given, Mapping) else given
        if (form := _date_format(engine, relation, column, form)) is not None:
            formats[name] = form
    same = len(set(formats.values())) == 1 and len(formats) == len(own)
    return {"date_format": next(iter(formats.values())) if same else formats or None}


def _date_format(engine: Engine, relation: str, column: str, given: str | None) -> str | None:
    """Return the epoch that a column's values are in, else the given format unless that is an epoch."""
    ((filled, seconds, milliseconds),) = engine.rows(
        r"select count(*), bool_and(regexp_full_match(v, '\d{9,10}(\.0+)?')), "
        r"bool_and(regexp_full_match(v, '\d{12,13}(\.0+)?')) from (select cast(v as varchar) as v from "
        f"(select {column} as v from {relation}) where v is not null limit 1000)"
    )
    if not filled:
        return given
    if seconds or milliseconds:
        return "epoch_s" if seconds else "epoch_ms"
    return None if given in ("epoch_s", "epoch_ms") else given


def _together(whole: Sequence[_Match]) -> Recognition:
    names: list[_Match] = []
    tables: dict[str, dict[str, Any]] = {}
    files: dict[str, str] = {}
    notes: list[str] = []
    for one in whole:
        new = {table: settings for table, settings in one.tables.items() if table not in tables}
        used = one.used(new)
        # a weaker reading of files that are taken, or nothing new
        if set(one.used(one.tables)) & set(files) or not set(new) - {"accounts"}:
            continue
        if names and "accounts" in one.tables:
            notes.append(
                f"accounts are those of {names[0].connector.title}; the ids in {one.connector.title} must be the same"
            )
        names.append(one)
        tables |= new
        files |= used
        notes += one.notes
    return Recognition(
        " + ".join(one.connector.name for one in names),
        " and ".join(one.connector.title for one in names),
        {table: tables[table] for table in TABLES if table in tables},
        files,
        tuple(notes),
    )


@dataclass(frozen=True)
class _Columns:
    """The columns of one data file, as spelled, by their lower-case names; nested ones by their paths."""

    path: str
    spelled: Mapping[str, str]
    #: SQL of each column as spelled.
    sql: Mapping[str, str]
    encoding: str | None = None

    @property
    def is_sheet(self) -> bool:
        return file_kind(self.path) == "workbook"

    @property
    def is_readable_by_sql(self) -> bool:
        """Say whether SQL can read it: neither a sheet nor text that must be converted first."""
        return not self.is_sheet and self.encoding is None

    def find(self, column: str) -> str | None:
        """Return how the file spells a column, by any of its names."""
        for name in column.split("|"):
            if (own := self.spelled.get(name.strip().lower())) is not None:
                return own
        return None

    def fits(self, file: ConnectorFile) -> bool:
        return all(self.find(column) is not None for column in file.needs) and (
            not file.sheet or self.is_sheet
        )

    def weight(self, name: str, file: ConnectorFile) -> tuple[int, int, bool]:
        """Return what decides between two files of a connector: columns first, the file's name last."""
        helped = sum(self.find(column) is not None for column in file.helps)
        return len(file.needs), helped, name.rstrip("s") in self.path.lower()


def _data_files(engine: Engine, folder: Path) -> list[_Columns]:
    """Return the data files of a folder and the sheets of its workbooks; without columns where they cannot be read."""
    found = []
    for path in sorted(path for path in folder.iterdir() if path.is_file() and file_kind(path)):
        names, encoding = [path.name], None
        with suppress(ChurnRiskError):
            if file_kind(path) == "workbook":
                names = [f"{path.name}#{sheet}" for sheet in sheet_names(path)]
            elif file_kind(path) == "csv":
                encoding = detect_encoding(path)
        for name in names:
            sql = _columns(engine, path, name, encoding)
            found.append(_Columns(name, {own.strip().lower(): own for own in sql}, sql, encoding))
    return found


def _columns(engine: Engine, path: Path, name: str, encoding: str | None) -> dict[str, str]:
    """Return the SQL of a file's columns, those inside of structures by dotted paths; none if it is unreadable."""
    import duckdb

    try:
        columns = engine.columns(scan([path], TableConfig(path=name, encoding=encoding), engine=engine))
    except ChurnRiskError:
        return {}
    return dict(
        one for own, type_ in columns.items() for one in _paths(own, identifier(own), duckdb.type(type_))
    )


def _paths(name: str, sql: str, type_: Any) -> Iterable[tuple[str, str]]:
    yield name, sql
    if type_.id == "struct":
        for child, inner in type_.children:
            yield from _paths(f"{name}.{child}", f"{sql}.{identifier(child)}", inner)


class _Match:
    """How a connector fits the files of a folder."""

    def __init__(self, connector: Connector, there: Sequence[_Columns]) -> None:
        self.connector = connector
        self._there = there
        self._found: dict[str, list[_Columns]] = {}
        #: Files that fit, but less well than others do.
        self._weaker: list[tuple[_Columns, str]] = []
        for one in there:
            fitting = [name for name, file in connector.files.items() if one.fits(file)]
            if fitting:
                best = max(fitting, key=lambda name: one.weight(name, connector.files[name]))
                self._found.setdefault(best, []).append(one)
        for name, found in self._found.items():
            weights = {one.path: one.weight(name, connector.files[name]) for one in found}
            self._found[name] = [one for one in found if weights[one.path] == max(weights.values())]
            self._weaker += [(one, name) for one in found if weights[one.path] < max(weights.values())]

    @cached_property
    def weight(self) -> int:
        """How many columns speak for the connector."""
        return sum(
            sum(found[0].find(column) is not None for column in (*file.needs, *file.helps))
            for name, file in self.connector.files.items()
            if (found := self._found.get(name))
        )

    @property
    def is_whole(self) -> bool:
        return not self._missing and not self._ambiguous and bool(set(self.tables) - {"accounts"})

    @property
    def _missing(self) -> list[str]:
        return [
            name
            for name, file in self.connector.files.items()
            if not file.optional and name not in self._found
        ]

    @property
    def _ambiguous(self) -> list[str]:
        """Names of files for which several of different shape stand."""
        return [
            name
            for name, found in self._found.items()
            if len({(frozenset(one.spelled), one.encoding) for one in found}) > 1
            or (len(found) > 1 and any(one.is_sheet for one in found))
            or len(fnmatch.filter([one.path for one in self._there], self._pattern(name))) > len(found)
        ]

    @cached_property
    def halfway(self) -> str:
        """Say what is missing if the folder holds a part of the export, else nothing."""
        distinct = [name for name in self._found if len(self.connector.files[name].needs) >= _AT_LEAST]
        close = self._close()
        if not (distinct or close):
            return ""
        reasons = [
            f"{one.path} lacks {', '.join(lacking)} of {name}" for name, (one, lacking) in close.items()
        ]
        reasons += [
            f"no file has the columns of {name}: {', '.join(self.connector.files[name].needs)}"
            for name in self._missing
            if name not in close
        ]
        reasons += [
            f"{' and '.join(one.path for one in self._found[name])} are both {name}, and cannot be read as one"
            for name in self._ambiguous
        ]
        if not reasons:
            unreadable = (
                one for found in self._found.values() for one in found if not one.is_readable_by_sql
            )
            reasons = [f"{one.path} must be saved as UTF-8 CSV first" for one in unreadable]
        if not reasons:
            return ""
        seen = ", ".join(one.path for name in distinct for one in self._found[name])
        return (
            f"the folder looks like an export of {self.connector.title}{f' ({seen})' if seen else ''}, but "
            f"{'; '.join(reasons)}. Export it again with them, or map the tables by hand."
        )

    @property
    def resembling(self) -> set[str]:
        """Files that are a part of the export, or nearly."""
        return {one.path for found in self._found.values() for one in found} | {
            one.path for one, _ in self._close().values()
        }

    def _close(self) -> dict[str, tuple[_Columns, list[str]]]:
        """Return missing files that one in the folder resembles, and the columns that it lacks."""
        taken = {one.path for found in self._found.values() for one in found}
        close = {}
        for name in self._missing:
            needs = self.connector.files[name].needs
            for one in (one for one in self._there if one.path not in taken):
                lacking = [column for column in needs if one.find(column) is None]
                if lacking and len(needs) - len(lacking) >= max(_RESEMBLES * len(needs), _AT_LEAST):
                    close[name] = (one, lacking)
        return close

    @cached_property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The settings of each table whose files are there."""
        return {table: settings for table, (settings, _) in self._chosen.items()}

    @cached_property
    def _chosen(self) -> dict[str, tuple[dict[str, Any], set[str]]]:
        """Per table its settings and its files, of the first variant that the folder's files allow."""
        chosen: dict[str, tuple[dict[str, Any], set[str]]] = {}
        for table, variants in self.connector.tables.items():
            for variant in (one for one in variants if files_of(one) <= set(self._found)):
                if "sql" in variant and self._unreadable(variant):
                    continue
                settings = self._filled(variant)
                if "sql" in settings or self._is_complete(table, variant, settings):
                    chosen[table] = (settings, files_of(variant))
                    break
        return chosen

    def _unreadable(self, variant: Mapping[str, Any]) -> list[str]:
        """Return the files that the SQL of a variant cannot read."""
        files = (one for name in files_of(variant) for one in self._found[name])
        return [one.path for one in files if not one.is_readable_by_sql]

    def _is_complete(self, table: str, variant: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
        """Say whether the files have all columns that the contract requires, and the keys on the way to the account."""
        one = self._found[PLACE.findall(variant["path"])[0]][0]
        return all(key is not None for hop in hops_of(settings) for key in hop.values()) and all(
            column in settings.get("columns", {}) or (one.find(column) and column not in variant["columns"])
            for column in TABLES[table].required
        )

    def used(self, tables: Collection[str]) -> dict[str, str]:
        """Return the data files of some tables, with their names in the connector."""
        names = {name for table, (_, files) in self._chosen.items() if table in tables for name in files}
        return {one.path: name for name, found in self._found.items() if name in names for one in found}

    @property
    def notes(self) -> list[str]:
        notes = [
            f"{self.connector.title}: no file for {table}"
            for table in self.connector.tables
            if table not in self.tables
        ]
        notes += [
            f"{path} must be saved as UTF-8 CSV first to be read for {table}"
            for table, variants in self.connector.tables.items()
            for variant in variants
            if table not in self.tables and "sql" in variant and files_of(variant) <= set(self._found)
            for path in self._unreadable(variant)
        ]
        notes += [
            f"{one.path} was not taken for {name}: {self._found[name][0].path} fits better"
            for one, name in self._weaker
        ]
        for name, found in self._found.items():
            file = self.connector.files[name]
            if name not in self.used(self.tables).values():
                continue
            read = json.dumps(list(self.connector.tables.values()))
            lacking = [
                first
                for column in file.helps
                if found[0].find(column) is None and (first := column.split("|")[0]) in read
            ]
            if lacking:
                notes.append(f"{found[0].path} has no {', '.join(lacking)}")
        return notes

    def _filled(self, variant: Mapping[str, Any]) -> dict[str, Any]:
        """Put the folder's files and the spelling of their columns into a table's settings."""
        settings = dict(variant)
        if "sql" in settings:
            settings["sql"] = PLACE.sub(self._reader, settings["sql"]).strip()
        if "path" not in settings:
            return settings
        name = PLACE.findall(settings["path"])[0]
        file, one = self.connector.files[name], self._found[name][0]
        settings["path"] = PLACE.sub(lambda _: self._pattern(name), settings["path"])
        if columns := _spelled_columns(settings.get("columns", {}), file, one):
            settings["columns"] = columns
        if one.encoding:
            settings["encoding"] = one.encoding
        if "where" in settings:
            settings["where"] = _condition(settings["where"], file, one)
        if "via" in settings:
            settings["via"] = [self._hop(hop) for hop in hops_of(settings)]
        return {key: value for key, value in settings.items() if value}

    def _hop(self, hop: Mapping[str, str]) -> dict[str, str | None]:
        name = PLACE.findall(hop["path"])[0]
        file, one = self.connector.files[name], self._found[name][0]
        keys = {key: _own_name(hop[key], file, one) for key in ("key", "account") if key in hop}
        return {"path": self._pattern(name), **keys}

    def _pattern(self, name: str) -> str:
        """Return the path of a file, or a glob of several."""
        paths = [one.path for one in self._found[name]]
        if len(paths) == 1:
            return paths[0]
        start = _common(paths)
        end = _common([path[len(start) :][::-1] for path in paths])[::-1]
        return f"{start}*{end}"

    def _reader(self, match: re.Match[str]) -> str:
        """Return SQL that reads a file of the connector, with the first spelling of each of its columns."""
        name = match[1]
        if name not in self._found:
            return match[0]
        file, one = self.connector.files[name], self._found[name][0]
        paths = file_list(Path(found.path) for found in self._found[name])
        options = (
            ", all_varchar = true, null_padding = false" if (kind := file_kind(one.path)) == "csv" else ""
        )
        reader = f"read_{kind}({paths}, union_by_name = true{options})"
        renamed = []
        for column in (*file.needs, *file.helps):
            first, own = column.split("|")[0], one.find(column)
            if own is None:
                renamed.append(f"null as {identifier(first)}")
            elif own.strip().lower() != first.lower() or own != own.strip():
                renamed.append(f"{one.sql[own]} as {identifier(first)}")
        return f"(select *, {', '.join(renamed)} from {reader})" if renamed else reader


def _own_name(column: str, file: ConnectorFile, one: _Columns) -> str | None:
    """Return how a file spells a column that the connector names by its first spelling."""
    spellings = {entry.split("|")[0].lower(): entry for entry in (*file.needs, *file.helps)}
    return one.find(spellings.get(column.lower(), column))


def _spelled_columns(
    columns: Mapping[str, str | Sequence[str]], file: ConnectorFile, one: _Columns
) -> dict[str, str | list[str]]:
    """Return a mapping with the file's spellings, without what it lacks."""
    spelled: dict[str, str | list[str]] = {}
    for name, own in columns.items():
        wanted = [own] if isinstance(own, str) else own
        found = [there for column in wanted if (there := _own_name(column, file, one)) is not None]
        if found:
            spelled[name] = found[0] if len(found) == 1 else found
    return spelled


def _condition(where: str, file: ConnectorFile, one: _Columns) -> str:
    """Return a condition with the file's spellings; parts of it over columns that the file lacks are left out."""
    parts = []
    for part in re.split(r"\s+and\s+", where):
        named = re.findall(r'"([^"]+)"', part)
        own = {column: _own_name(column, file, one) for column in named}
        if all(own.values()):
            parts.append(re.sub(r'"([^"]+)"', lambda match: identifier(str(own[match[1]])), part))  # noqa: B023
    return " and ".join(parts)


def _common(texts: Sequence[str]) -> str:
    """Return the longest common start."""
    shortest, longest = min(texts), max(texts)
    same = next(
        (at for at, (a, b) in enumerate(zip(shortest, longest, strict=False)) if a != b), len(shortest)
    )
    return shortest[:same]
