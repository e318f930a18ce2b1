"""The versions of a registry as it last listed them, kept beside its SQLite file; reading them needs no MLflow."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from churnrisk.errors import ChurnRiskError, NoChampionError, UsageError
from churnrisk.files import digest_of, read_sealed, write_sealed
from churnrisk.tracking.stored import CANDIDATE, CHAMPION

#: Format of the file. Raise it when older files would be read wrongly.
_FORM = 1
_FIXES = {
    CHAMPION: "run `churnrisk train`, then `churnrisk promote`",
    CANDIDATE: "run `churnrisk train`",
}


@dataclass(frozen=True)
class ModelVersionInfo:
    """One registered version; ``created`` is in UTC, ``metrics`` are those of its run, ``tags`` the version's own."""

    version: int
    created: datetime
    aliases: tuple[str, ...]
    metrics: dict[str, float]
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Mirror:
    """All versions of a model, newest first, and where the files of each are; ``digest`` is that of the SQLite file.

    It holds as long as the content of that file does, so the registry always has the last word.
    """

    model_name: str
    versions: tuple[ModelVersionInfo, ...]
    locations: dict[int, str]
    digest: str | None = None

    @classmethod
    def read(cls, database: Path, model_name: str) -> Self | None:
        """Return the mirror of a registry; None where there is none, or the registry has changed since."""
        try:
            found = read_sealed(_file_of(database), cls, form=_FORM)
        except (OSError, ValueError):
            return None
        current = found.model_name == model_name and found.digest == settled_digest(database)
        return found if current else None

    def write(self, database: Path) -> None:
        """Write the mirror, unless the registry has changed since ``digest`` was taken, or the folder is read-only."""
        if self.digest is None or self.digest != settled_digest(database):
            return
        with suppress(UsageError):
            write_sealed(_file_of(database), self, form=_FORM)

    def find(self, name: str | int) -> ModelVersionInfo:
        """Return a version by its alias, its number or the id of its run."""
        number = int(name) if str(name).isdecimal() else None
        for info in self.versions:
            if number == info.version or name in info.aliases or (name and name == info.run_id):
                return info
        raise absent(name, sorted(info.version for info in self.versions))

    @property
    def champion(self) -> int | None:
        """The number of the champion; None before the first promotion."""
        return next((info.version for info in self.versions if CHAMPION in info.aliases), None)


def settled_digest(database: Path) -> str | None:
    """Return the digest of a SQLite file; None while a journal beside it says that it is not the whole state."""
    beside = (database.with_name(f"{database.name}{end}") for end in ("-journal", "-wal"))
    try:
        if any(path.exists() and path.stat().st_size for path in beside):
            return None
        return digest_of(database)
    except OSError:
        return None


def absent(name: str | int, known: list[int]) -> ChurnRiskError:
    """Return the error for a version that is not there, with those that are."""
    if known and str(name) not in _FIXES:
        listed = ", ".join(map(str, known))
        return UsageError(f"there is no model version {name}; there are {listed}")
    what = "model" if str(name).isdecimal() else name
    return NoChampionError(f"there is no {what} yet; {_FIXES.get(str(name), _FIXES[CANDIDATE])}")


def _file_of(database: Path) -> Path:
    return database.with_name(f"{database.name}.versions")
