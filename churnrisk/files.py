"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from churnrisk.errors import UsageError


def write_whole(path: str | Path, content: bytes | Callable[[IO[bytes]], object]) -> Path:
    """Replace the file at ``path`` by ``content``, or by what it writes, in one step; folders above it are made.

    Raises
    ------
    UsageError
        When ``path`` is a folder or cannot be written; what was there stays.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"expected a file name, found the folder {target}; add a file name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"expected to write {target}, found: {reason}; choose another place") from error
    return target


def _replace(target: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as temporary:
        try:
            if callable(content):
                content(temporary)
            else:
                temporary.write(content)
            temporary.close()
            # Temporary files are private; the report is for the team, as the umask allows.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary.name, 0o666 & ~umask)
            os.replace(temporary.name, target)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise
