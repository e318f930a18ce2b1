"""The folder of the kept roll-up: Parquet files that never change once they have their name."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from churnrisk.features.blocks.kept.manifest import FORMAT, NAME, KeptError, KeptFile, Manifest
from churnrisk.files import digest_of, read_sealed, write_sealed
from churnrisk.sources import Engine, file_list, literal

#: A run that began with the manifest before may still read what is not in the new one; after a day none does.
_GRACE_SECONDS = 86_400.0


class KeptFiles:
    """Writes and reads the folder.

    Runs do not lock each other out: a file is named after its content, and the manifest is replaced in one step, so
    each run sees what one run has left.

    Parameters
    ----------
    engine : Engine
        Writes the rows.
    folder : Path
        Is made where it is missing.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self.folder = engine, folder
        self._verified: set[KeptFile] = set()
        folder.mkdir(parents=True, exist_ok=True)
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n")

    def read(self) -> Manifest | None:
        """Return what is kept; None where nothing has been kept yet.

        Raises
        ------
        KeptError
            If it is damaged.
        """
        try:
            return read_sealed(self.folder / NAME, Manifest, form=FORMAT)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise KeptError(str(error)) from None

    def write(self, sql: str, *, by: str) -> dict[str, tuple[KeptFile, ...]]:
        """Write rows as files apart by a column, and return the files by its values."""
        written: dict[str, tuple[KeptFile, ...]] = defaultdict(tuple)
        with TemporaryDirectory(prefix=".new-", dir=self.folder) as new:
            self._engine.run(
                f"copy ({sql}) to {literal(new)} (format parquet, compression zstd, "
                f"partition_by ({by}), write_partition_columns true)"
            )
            for path in sorted(Path(new).glob(f"{by}=*/*.parquet")):
                digest = digest_of(path)
                file = KeptFile(f"{path.parent.name}.{digest[:16]}.parquet", path.stat().st_size, digest)
                os.replace(path, self.folder / file.name)
                written[path.parent.name.removeprefix(f"{by}=")] += (file,)
                self._verified.add(file)
        return written

    def rows(self, files: Iterable[KeptFile]) -> str:
        """Return the relation of files that all have the same columns.

        Raises
        ------
        KeptError
            If one is missing or is not as it was written.
        """
        return f"read_parquet({file_list([self._check(file) for file in files])}, hive_partitioning = false)"

    def _check(self, file: KeptFile) -> Path:
        path = self.folder / file.name
        if file not in self._verified:
            try:
                intact = path.stat().st_size == file.size and digest_of(path) == file.digest
            except OSError:
                intact = False
            if not intact:
                raise KeptError(f"{file.name.partition('.')[0]} is missing or damaged")
            self._verified.add(file)
        return path

    def keep(self, manifest: Manifest, former: Manifest | None) -> None:
        """Make a manifest the one that the next run finds, and remove what nobody needs any more."""
        write_sealed(self.folder / NAME, manifest, form=FORMAT)
        needed = {file.name for file in manifest.files()}
        for file in () if former is None else former.files():
            if file.name not in needed:
                with suppress(OSError):  # it may be somebody else's
                    os.utime(self.folder / file.name)  # its last day begins
        self._remove_all_but(needed)

    def _remove_all_but(self, needed: set[str]) -> None:
        for path in (*self.folder.glob("*.parquet"), *self.folder.glob(".new-*")):
            # another run may be faster, or the file somebody else's
            with suppress(OSError):
                if path.name not in needed and path.stat().st_mtime < time.time() - _GRACE_SECONDS:
                    rmtree(path) if path.is_dir() else path.unlink()
