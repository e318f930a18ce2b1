"""Script in every text is shown and not run; SQL in every filter finds nothing and breaks nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from sqlalchemy import inspect, select, update

from churnrisk.records import Role
from churnrisk.store import audit, metadata, users
from churnrisk.store.schema import scores

from .conftest import PASSWORD, World, token_of

SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
SQL = [
    "' or '1'='1",
    "x'; drop table users; --",
    '" or 1=1 --',
    "%' union select password_hash from users --",
    "\\'; --",
]
PAGES = ["/", "/?snoozed=all", "/monday", "/promises", "/audit", "/help", "/password", "/nowhere"]
#: Where a text belongs into the address of a link, and not into a script.
LINKS = ("href", "action")


class Seen(HTMLParser):
    """What a browser would make of a page: elements, handlers and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.images = 0
        self.handlers: list[str] = []
        self.links: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.methods: list[tuple[str, str]] = []
        self.texts = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on") or name == "style"]
        self.links += [given[name] or "" for name in LINKS if name in given]
        if tag == "script":
            self.scripts.append(given)
        elif tag == "img":
            self.images += 1
        elif tag == "form":
            self.methods.append((given.get("method", "get"), given.get("action", "")))
            self.forms.append({})
        elif tag in ("input", "textarea", "select") and self.forms and given.get("name"):
            self.forms[-1][given["name"]] = f"{tag} {given.get('type', '')}|{given.get('value') or ''}"

    def handle_data(self, data):
        self.texts += data


def assert_harmless(answered):
    seen = Seen(answered.text)
    assert all((script.get("src") or "").startswith("/static/") for script in seen.scripts), answered.url
    assert (seen.images, seen.handlers) == (0, []), answered.url
    assert not [link for link in seen.links if re.match(r"\s*(javascript|data|vbscript):", link, re.I)]
    assert "{{7*7}}" in seen.texts or "49" not in re.findall(r"onerror=alert\(2\)>(\d+)", seen.texts)
    return seen


@pytest.fixture(scope="module")
def hostile(world: World) -> str:
    """Put the script into every text that comes from tables, people and reviews; return an account's id."""
    store = world.app.state.store
    reasons = [{"feature": SCRIPT, "family": SCRIPT, "text": SCRIPT, "value": SCRIPT, "contribution": 1.0}]
    with store.database.writing() as connection:
        account = connection.execute(select(scores.c.account_id).where(scores.c.colour == "red")).scalar()
        texts = dict.fromkeys(("name", "owner", "segment", "rule", "next_step", "play", "stage"), SCRIPT)
        connection.execute(update(scores).values(**texts, reasons=json.dumps(reasons)))
        connection.execute(update(users).values(display_name=SCRIPT, owner=SCRIPT))
    browser = world.browser("reviewer")
    for path in (f"/accounts/{quote(account, safe='')}", f"/reviews/new?account={quote(account)}"):
        fill_every_form(browser, path)
    with store.database.reading() as connection:
        noted = (
            connection.execute(select(audit.c.after).where(audit.c.after.contains("<script>")))
            .scalars()
            .all()
        )
    assert len(noted) >= 3, "the forms have not taken the texts, so nothing would be proven"
    return account


def fill_every_form(browser, path):
    """Send every form of a page that changes something, with the script in each of its texts."""
    for number in range(len(Seen(browser.get(path).text).forms)):
        seen = Seen(browser.get(path).text)
        (method, action), fields = seen.methods[number], seen.forms[number]
        if method != "post" or action == "/sign-out" or action.endswith("/undo"):
            continue
        filled = {name: filling(name, what) for name, what in fields.items()}
        assert browser.post(action, data=filled).status_code in (303, 400)


def filling(name, what):
    kind, _, value = what.partition("|")
    if kind == "input date":
        return "2099-01-01"
    if kind in ("textarea ", "input text", "input "):
        return SCRIPT
    choices = {"kind": "disposition", "disposition": "contacted", "colour": "red"}
    return value if kind == "input hidden" else value or choices.get(name, "")


@pytest.mark.parametrize("path", PAGES)
def test_script_in_every_text_is_shown_and_not_run(world, hostile, path):
    assert_harmless(world.browser("admin").get(path))


def test_script_on_the_page_of_an_account_is_shown_and_not_run(world, hostile):
    browser = world.browser("admin")
    for path in (f"/accounts/{quote(hostile, safe='')}", f"/accounts/{quote(hostile, safe='')}/timeline"):
        seen = assert_harmless(browser.get(path))
        assert "<script>alert(1)</script>" in seen.texts or path.endswith("timeline")


def test_script_in_the_list_is_shown(world, hostile):
    shown = assert_harmless(world.browser("viewer").get("/"))
    assert shown.texts.count("<script>alert(1)</script>") >= 10


@pytest.mark.parametrize(
    "name", ["q", "owner", "segment", "assignee", "reason", "quarter", "page", "sort", "other"]
)
def test_script_in_an_address_is_shown_and_not_run(world, name):
    answered = world.browser("viewer").get("/", params={name: SCRIPT})
    assert answered.status_code in (200, 303, 400)
    assert_harmless(answered)


def test_script_in_the_sign_in_form_is_shown_and_not_run(world):
    browser = world.stranger()
    form = {
        "csrf_token": token_of(browser.get("/sign-in")),
        "name": SCRIPT,
        "password": SCRIPT,
        "next": SCRIPT,
    }
    answered = browser.post("/sign-in", data=form)
    assert answered.status_code == 401
    assert_harmless(answered)


def test_the_api_gives_json_and_never_a_page(world, hostile):
    headers = {"authorization": f"Bearer {world.tokens[Role.VIEWER]}", "accept": "text/html"}
    for path in (
        "/redlist",
        f"/accounts/{quote(hostile, safe='')}",
        f"/redlist?q={quote(SCRIPT)}",
        "/<script>",
    ):
        answered = world.stranger().get(f"/api/v1{path}", headers=headers)
        assert answered.headers["content-type"] in ("application/json", "application/problem+json")
        assert answered.headers["x-content-type-options"] == "nosniff"


def tables_of(world):
    with world.app.state.store.database.reading() as connection:
        return set(inspect(connection).get_table_names())


@pytest.mark.parametrize("sql", SQL)
@pytest.mark.parametrize("name", ["q", "owner", "segment", "assignee"])
def test_sql_in_a_filter_finds_nothing_and_breaks_nothing(world, name, sql):
    page = world.browser("viewer").get("/", params={name: sql})
    assert page.status_code == 200
    assert "$argon2id$" not in page.text
    headers = {"authorization": f"Bearer {world.tokens[Role.VIEWER]}"}
    found = world.stranger().get("/api/v1/redlist", params={name: sql}, headers=headers).json()
    assert (found["matching"], found["accounts"]) == (0, [])
    assert tables_of(world) >= set(metadata.tables)


@pytest.mark.parametrize("sql", SQL)
@pytest.mark.parametrize(
    "name",
    [
        "colour",
        "renews_within",
        "quarter",
        "reason",
        "newly_red",
        "snoozed",
        "disposition",
        "sort",
        "page",
        "as_of",
    ],
)
def test_sql_where_a_choice_is_expected_is_refused_or_passed_over(world, name, sql):
    assert world.browser("viewer").get("/", params={name: sql}).status_code in (200, 303, 400)
    headers = {"authorization": f"Bearer {world.tokens[Role.VIEWER]}"}
    assert world.stranger().get("/api/v1/redlist", params={name: sql}, headers=headers).status_code == 422
    assert tables_of(world) >= set(metadata.tables)


@pytest.mark.parametrize("sql", SQL)
def test_sql_in_ids_and_names_finds_nothing(world, sql):
    browser = world.browser("viewer")
    assert browser.get(f"/accounts/{quote(sql, safe='')}").status_code == 404
    fresh = world.stranger()
    form = {"csrf_token": token_of(fresh.get("/sign-in")), "name": f"viewer{sql}", "password": PASSWORD}
    # one attempt too many is refused before the database is asked at all
    assert fresh.post("/sign-in", data=form).status_code in (401, 429)
    assert tables_of(world) >= set(metadata.tables)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\x00b", "\u202e", "x" * 5000], ids=ascii)
@pytest.mark.parametrize("name", ["q", "owner", "segment", "assignee"])
def test_letters_that_no_database_takes_are_no_fault_of_ours(world, name, text):
    address = f"/?{name}=" + quote(text, errors="surrogatepass")
    assert world.browser("viewer").get(address).status_code in (200, 303, 400)
    headers = {"authorization": f"Bearer {world.tokens[Role.VIEWER]}"}
    answered = world.stranger().get(f"/api/v1/redlist{address[1:]}", headers=headers)
    assert answered.status_code in (200, 422)
