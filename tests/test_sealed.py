"""A sealed document is read as it was written, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from churnrisk.files import read_sealed, write_sealed


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class Other:
    number: int


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "note"
    write_sealed(path, Note("ä\n"), form=1)
    assert read_sealed(path, Note, form=1) == Note("ä\n")


@pytest.mark.parametrize(("kind", "form"), [(Note, 2), (Other, 1)])
def test_one_of_another_kind_or_form_is_of_another_version(tmp_path: Path, kind: type, form: int) -> None:
    path = tmp_path / "note"
    write_sealed(path, Note("a"), form=1)
    with pytest.raises(ValueError, match="note is of another version"):
        read_sealed(path, kind, form=form)


def test_every_changed_byte_of_seal_and_body_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "note"
    write_sealed(path, Note("a"), form=1)
    whole = path.read_bytes()
    for place in range(1, len(whole)):  # the first says of which form it is
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="note is damaged"):
            read_sealed(path, Note, form=1)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="note is damaged"):
        read_sealed(path, Note, form=1)
