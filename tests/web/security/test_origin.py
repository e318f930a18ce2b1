"""Where requests come from, and where answers may lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from churnrisk.auth import WebConfig
from churnrisk.web import address_of, comes_from_here, page_before, safe_path


def request(client=("127.0.0.1", 1), **headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": named, "client": client})


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("x:y", "x:y"),
        ("x" * 100, "x" * 64),
    ],
)
def test_attempts_count_by_address_and_for_ipv6_by_network(host, address):
    assert address_of(request(client=(host, 1))) == address


def test_a_connection_without_an_address_has_a_name_too():
    assert address_of(request(client=None)) == "unknown"


def test_behind_a_proxy_forms_of_the_public_address_are_ours():
    config = WebConfig(public_url="https://churn.example.com")
    assert comes_from_here(request(host="localhost:8765", origin="https://churn.example.com"), config)
    assert not comes_from_here(request(host="localhost:8765", origin="https://example.com"), config)
    assert comes_from_here(request(host="localhost:8765"), config) is None


@given(st.text())
def test_a_safe_path_always_begins_with_one_slash_and_holds_no_line_break(text):
    path = safe_path(text)
    assert path.startswith("/")
    assert path[1:2] not in ("/", "\\")
    assert not set(path) & {"\r", "\n", "\t", "\0"}


def test_the_page_before_is_one_of_ours():
    assert page_before(request(host="localhost", referer="http://localhost/monday?x=1#top")) == "/monday?x=1"
    for foreign in ("http://evil.example/monday", "http://[bad", "", "http://localhost:1/monday"):
        assert page_before(request(host="localhost", referer=foreign)) == "/"
