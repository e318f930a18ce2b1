"""What somebody typed while their session ran out, kept until they have signed in again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from starlette.datastructures import FormData

from churnrisk.web.security.keys import Keys
from churnrisk.web.security.origin import safe_path

_PURPOSE = "kept"
_SECONDS = 3600
_NEVER = ("csrf_token", "kept")
_HIDDEN = ("back", "up", "kind", "version", "versions", "account")


@dataclass(frozen=True, slots=True)
class Kept:
    """A form that was not sent: its address and its text fields, without any password or token."""

    path: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, path: str, fields: FormData) -> Self | None:
        """Return a form to be kept; None when there is nothing in it."""
        texts = tuple(
            (name, value)
            for name, value in fields.multi_items()
            if isinstance(value, str) and name not in _NEVER and "password" not in name
        )
        return cls(path, texts) if texts else None

    @classmethod
    def unseal(cls, keys: Keys, text: str | None) -> Self | None:
        """Return what :meth:`seal` had sealed; None when it is forged or older than an hour."""
        found = keys.open(_PURPOSE, text, seconds=_SECONDS)
        if found is None:
            return None
        path, fields = found
        return cls(safe_path(path), tuple((name, value) for name, value in fields))

    def seal(self, keys: Keys) -> str:
        """Return it as signed text for a hidden field."""
        return keys.seal(_PURPOSE, [self.path, list(self.fields)])

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """What the person chose or typed, with its name in words; what was to be done where there is no more."""
        said = tuple((name, value) for name, value in self.fields if value and name not in _HIDDEN)
        kinds = tuple(("change", value) for name, value in self.fields if value and name == "kind")
        return tuple((name.replace("_", " "), value) for name, value in said or kinds)
