"""Connectors: how the exports of known products become the tables of the contract, declared in one TOML file each.

A connector names the files of an export by columns that they must have, and says for each contract table what stands
under ``[tables.*]`` in churnrisk.toml, with ``{name}`` in place of a file. The built-in ones are the TOML files of the
folder ``connectors``; those in ``connectors/`` beside churnrisk.toml are the user's own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from churnrisk.contract import TABLES
from churnrisk.errors import UsageError
from churnrisk.sources.config import TableConfig

#: Folder beside churnrisk.toml with the connectors of a user.
OWN_CONNECTORS = "connectors"
_BUILT_IN = Path(__file__).parent / "connectors"
#: Where a connector names one of its files.
PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class ConnectorFile:
    """One file of an export, known by its columns: those it ``needs``, and those that ``help`` where they are there.

    A column may have several spellings, "Record ID|hs_object_id": mappings and SQL use the first one. An ``optional``
    file may be missing; ``sheet`` asks for a sheet of a workbook.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    needs: tuple[str, ...]
    helps: tuple[str, ...] = ()
    optional: bool = False
    sheet: bool = False


@dataclass(frozen=True)
class Connector:
    """A product's export: its files, and the settings of the contract tables that they yield.

    ``tables`` holds the variants of each table, best first: that one counts whose files are all there.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic reads it as a class attribute

    path: Path
    title: str
    export: str
    files: dict[str, ConnectorFile]
    tables: dict[str, tuple[dict[str, Any], ...]]
    #: How ids meet, what money means, who is a customer, notice against end, which rows do not count.
    says: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name is that of its file."""
        return self.path.stem

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.tables) - set(TABLES)):
            raise UsageError(f"tables: expected {', '.join(TABLES)}, found {', '.join(unknown)}")
        if not any(not one.optional for one in self.files.values()):
            raise UsageError("files: expected one at least that is not optional, found none")
        for table, variants in self.tables.items():
            for variant in variants:
                if not (used := files_of(variant)):
                    raise UsageError(
                        f"tables.{table}: expected a file like {{name}} in path or sql, found none"
                    )
                if unknown := sorted(used - set(self.files)):
                    raise UsageError(
                        f"tables.{table}: names the file {', '.join(unknown)}; there is {', '.join(self.files)}"
                    )


def connectors(folder: Path | None = None) -> dict[str, Connector]:
    """Return the built-in connectors and those of a project folder, which replace built-in ones of the same name."""
    own = sorted((folder / OWN_CONNECTORS).glob("*.toml")) if folder else []
    found = [read_connector(path) for path in (*sorted(_BUILT_IN.glob("*.toml")), *own)]
    return {connector.name: connector for connector in found}


def read_connector(path: Path) -> Connector:
    """Read one connector; a UsageError names what is wrong with it."""
    from pydantic import ValidationError

    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        variants = {
            table: [given] if isinstance(given, Mapping) else given
            for table, given in raw.get("tables", {}).items()
        }
        connector: Connector = _validator(Connector)({**raw, "path": path, "tables": variants})
        _validator(dict[str, tuple[TableConfig, ...]])(connector.tables)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise UsageError(f"{path} is not valid TOML for a connector: {error}. Correct it.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{path} is no valid connector: {place}: {first['msg']}; found {first['input']!r:.80}. "
            "`churnrisk connectors stripe_dashboard` shows one that is."
        ) from None
    except UsageError as error:
        raise UsageError(f"{path} is no valid connector: {error}.") from error
    return connector


@cache
def _validator(kind: Any) -> Callable[[Any], Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python


def files_of(settings: Mapping[str, Any]) -> set[str]:
    """Return the names of the files that a table's settings mention."""
    hops = [hop["path"] for hop in hops_of(settings)]
    return {
        name
        for text in (settings.get("path"), settings.get("sql"), *hops)
        if text
        for name in PLACE.findall(text)
    }


def hops_of(settings: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return what ``via`` says as a list of tables, in whichever form it stands."""
    via = settings.get("via", ())
    hops = [via] if isinstance(via, str | Mapping) else via
    return [{"path": hop} if isinstance(hop, str) else hop for hop in hops]
