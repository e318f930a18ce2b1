"""Signing of what a browser stores for us, and where a request comes from."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request

from churnrisk.auth import WebConfig
from churnrisk.errors import UsageError

_FILE_NAME = "secret.key"
_VARIABLE = "CHURNRISK_SECRET_KEY"
_MIN_LENGTH = 32
_SALT_LENGTH = 16


class Signer:
    """Signs and verifies with one secret, under a derived key for each purpose.

    Anyone who knows the secret can sign in as anyone.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, purpose: str, value: Any) -> str:
        """Return a value as signed text for a cookie or a hidden field; it can be read, but not changed."""
        return self._serializer(purpose).dumps(value)

    def open(self, purpose: str, text: str | None, *, seconds: int) -> Any:
        """Return the value of a signed text; None if it is forged, of another purpose, or too old."""
        if not text:
            return None
        try:
            return self._serializer(purpose).loads(text, max_age=seconds)
        except BadData:
            return None

    def form_token(self, key: str) -> str:
        """Return a token for one form of a session; each is salted, so that compression reveals nothing of it."""
        salt = secrets.token_urlsafe(12)[:_SALT_LENGTH]
        return salt + self._form_digest(key, salt)

    def is_form_token(self, key: str, token: str) -> bool:
        """Whether a form's token was made for this session."""
        expected = self._form_digest(key, token[:_SALT_LENGTH])
        return hmac.compare_digest(token[_SALT_LENGTH:].encode(), expected.encode())

    def _form_digest(self, key: str, salt: str) -> str:
        text = f"{len(salt)}:{salt}:{key}".encode("utf-8", errors="replace")
        return hmac.new(self._derived("form"), text, hashlib.sha256).hexdigest()

    def _derived(self, purpose: str) -> bytes:
        return hmac.new(self._secret, purpose.encode(), hashlib.sha256).digest()

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._derived("seal"), salt=f"churnrisk.{purpose}")


def load_secret(directory: Path) -> bytes:
    """Return the server's secret: from the environment, or from a private file that is made once."""
    given = os.environ.get(_VARIABLE)
    if given is not None:
        return _checked(given.encode(), origin=_VARIABLE)
    path = directory / _FILE_NAME
    try:
        if not path.exists():
            _make(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise UsageError(
                f"expected {path} to be private, but others may read it. Delete it (everybody has to sign in again), "
                "or run `chmod 600` on it if nobody has."
            )
        return _checked(path.read_bytes().strip(), origin=str(path))
    except OSError as error:
        raise UsageError(
            f"expected a secret in {path}, found: {error.strerror}. Set {_VARIABLE}, or fix the folder."
        ) from error


def _make(path: Path) -> None:
    """Write a secret atomically; of two servers that start at once, the second uses the file of the first."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as temporary:
        temporary.write(secrets.token_hex(32))
        temporary.flush()
        os.fsync(temporary.fileno())
        try:
            os.link(temporary.name, path)
        except FileExistsError:
            return


def _checked(secret: bytes, *, origin: str) -> bytes:
    if len(secret) < _MIN_LENGTH:
        raise UsageError(
            f"{origin} expects a secret of at least {_MIN_LENGTH} characters, found {len(secret)}. "
            'Make one: python -c "import secrets; print(secrets.token_hex(32))"'
        )
    return secret


def comes_from_here(request: Request, config: WebConfig) -> bool | None:
    """Whether a page of ours sent the request; None if the browser does not say."""
    origin = request.headers.get("origin") or request.headers.get("referer")
    if origin is not None:
        ours = {request.headers.get("host", ""), urlsplit(config.public_url).netloc}
        try:
            return urlsplit(origin).netloc in ours - {""}
        except ValueError:
            return False
    site = request.headers.get("sec-fetch-site")
    return None if site is None else site in ("same-origin", "none")


def page_before(request: Request) -> str:
    """Return the path of our page that the request was sent from, "/" if unknown."""
    try:
        parts = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/"
    if parts.netloc != request.headers.get("host"):
        return "/"
    return safe_path(parts.path + (f"?{parts.query}" if parts.query else ""))


def safe_path(path: str | None) -> str:
    """Return a path of our own pages, "/" in place of anything else."""
    if not path or len(path) > 2000 or not path.startswith("/"):
        return "/"
    # Browsers take // and /\ for another host, and drop control characters on the way.
    if path[1:2] in ("/", "\\") or any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return "/"
    parts = urlsplit(path)
    return "/" if parts.scheme or parts.netloc or "\\" in parts.path else path


def address_of(request: Request) -> str:
    """Return the client's address for counting attempts; of IPv6 the network, since one person has many addresses."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
