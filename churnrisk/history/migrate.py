"""Bring a database to the schema this version of churnrisk knows."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, select, table

from churnrisk.errors import UsageError

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"
_VERSION = table("alembic_version", column("version_num"))


def is_current(connection: Connection) -> bool:
    """Tell whether the database has the newest schema, without Alembic, which takes longer to import than to ask.

    Raises
    ------
    UsageError
        If it has a schema that this version does not know.
    """
    there = connection.dialect.has_table(connection, _VERSION.name)
    found = connection.execute(select(_VERSION.c.version_num)).scalar() if there else None
    known = _revisions()
    if found is not None and found not in known:
        raise UsageError(
            f"the history has schema version '{found}', this churnrisk knows up to '{known[-1]}'. "
            "Update churnrisk, or name another history database."
        )
    return found == known[-1]


@cache
def _revisions() -> tuple[str, ...]:
    """Return the revisions by the names of their files: ``m0004_….py`` is revision 0004."""
    return tuple(sorted(path.name[1:5] for path in (_FOLDER / "versions").glob("m[0-9][0-9][0-9][0-9]_*.py")))


def upgrade(connection: Connection) -> None:
    """Run the missing migrations inside the caller's transaction."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # Alembic reads % in the folder's name as interpolation.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
