"""Bring a database to the schema this version of churnrisk knows."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from churnrisk.errors import UsageError

_FOLDER = Path(__file__).parent / "migrations"


def is_current(connection: Connection) -> bool:
    """Tell whether the database has the newest schema.

    Raises
    ------
    UsageError
        If it has a schema that this version does not know.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(_config())
    if found is not None and found not in {revision.revision for revision in script.walk_revisions()}:
        raise UsageError(
            f"the history has schema version '{found}', this churnrisk knows up to "
            f"'{script.get_current_head()}'. Update churnrisk, or name another history database."
        )
    return found == script.get_current_head()


def upgrade(connection: Connection) -> None:
    """Run the missing migrations inside the caller's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # Alembic reads % in the folder's name as interpolation.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
