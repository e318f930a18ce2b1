"""Where a request comes from, and which of our own pages a redirect may lead to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import Request

from churnrisk.auth.settings import WebConfig


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
    if ":" not in host:
        return host[:64]
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
