"""A folder for what need not outlive the process: it goes with it, also if that was killed."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from socket import gethostname
from typing import IO

try:
    import fcntl
except ModuleNotFoundError:  # no such locks here: folders of killed runs stay
    fcntl = None  # type: ignore[assignment]

_PREFIX = "churnrisk-run-"
_LOCK = ".lock"


class ScratchFolder:
    """A new folder, locked while this process lives; what killed processes have left beside it is removed.

    The system lets go of a lock however a process ends, so that a folder whose lock is free is nobody's any more. Only
    folders of this host are looked at: on a disk of several, one may not see the other's locks.

    Parameters
    ----------
    parent : str, optional
        Where to make it; by default where the system keeps temporary files.
    """

    def __init__(self, parent: str | None = None) -> None:
        base = Path(parent or tempfile.gettempdir())
        for left in base.glob(f"{_PREFIX}*"):
            _remove_if_left(left)
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent)
        self.path = Path(self._folder.name)
        self._lock: IO[bytes] | None = None
        with suppress(
            OSError
        ):  # on a full disk: without the file, the folder merely stays if this process is killed
            new = self.path / f"{_LOCK}-new"
            new.write_bytes(_host())
            self._lock = _locked(new)
            new.rename(self.path / _LOCK)  # when it is locked: nobody finds it free in between

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        self._folder.cleanup()
        if self._lock is not None:
            self._lock.close()


def _locked(path: Path) -> IO[bytes] | None:
    """Return a file under a lock; None where another process has it."""
    file = path.open("rb")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
    return file


def _remove_if_left(folder: Path) -> None:
    lock = folder / _LOCK
    with suppress(OSError):
        # other people's folders are not ours to look into
        if fcntl is None or folder.is_symlink() or folder.stat().st_uid != os.getuid() or not lock.is_file():
            return
        held = _locked(lock) if lock.read_bytes() == _host() else None
        if held is not None:
            rmtree(folder, ignore_errors=True)
            held.close()


def _host() -> bytes:
    return gethostname().encode()
