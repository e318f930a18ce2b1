"""Who is limited to the accounts of one owner learns nothing of the others, on no page, in no file, by no form."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from openpyxl import load_workbook

from churnrisk.auth import NewUser, add_user, change_user
from churnrisk.records import Role

from .conftest import PASSWORD, World, token_of


@pytest.fixture(scope="module")
def accounts(world: World):
    """The accounts of the latest run: id, name, owner and colour."""
    store = world.app.state.store
    frame = store.scores(store.latest_run().run_id, columns=["account_id", "name", "owner", "colour"])
    return frame.dropna()


@pytest.fixture(scope="module")
def owner(accounts) -> str:
    return str(accounts[accounts["colour"] == "red"]["owner"].mode()[0])


@pytest.fixture(scope="module")
def others(accounts, owner):
    """Accounts of other owners whose names stand in no name of this one's."""
    mine = "\n".join(accounts[accounts["owner"] == owner]["name"])
    rest = accounts[(accounts["owner"] != owner) & accounts["colour"].isin(["red", "amber"])]
    return rest[[name not in mine for name in rest["name"]]]


@pytest.fixture(scope="module")
def limited(world, owner):
    """The browser of a reviewer who is limited to one owner, after an administrator has looked at every page."""
    for path in ("/", "/monday", "/redlist.csv", "/?colour=red"):
        assert world.browser("admin").get(path).status_code == 200
    person = NewUser("limited", Role.REVIEWER, owner=owner, own_only=True)
    add_user(world.app.state.store, person, password=PASSWORD, now=datetime.now(UTC))
    return world.browser("limited")


def shown(answered) -> str:
    if "spreadsheet" in answered.headers["content-type"]:
        book = load_workbook(io.BytesIO(answered.content))
        return " ".join(str(cell.value) for sheet in book for row in sheet for cell in row)
    return str(answered.text)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/?snoozed=all", "/?colour=red,amber,green,grey", "/?sort=name&page=2", "/monday", "/promises", "/help",
        "/redlist.csv", "/redlist.xlsx", "/redlist.csv?colour=green",
    ],
)  # fmt: skip
def test_no_page_and_no_file_names_an_account_or_owner_of_others(limited, others, owner, path):
    answered = limited.get(path, follow_redirects=True)
    assert answered.status_code == (403 if path == "/promises" else 200)
    text = shown(answered)
    for what in ("account_id", "name", "owner"):
        assert [word for word in others[what].unique() if word in text] == [], what


def test_the_own_accounts_are_there(limited, accounts, owner):
    mine = accounts[(accounts["owner"] == owner) & (accounts["colour"] == "red")]["account_id"]
    text = shown(limited.get("/redlist.csv?colour=red"))
    assert all(account in text for account in mine)


@pytest.mark.parametrize("name", ["owner", "assignee", "q"])
def test_a_filter_does_not_widen_the_view(limited, others, name):
    value = others["account_id"].iloc[0] if name == "q" else others["owner"].iloc[0]
    text = shown(limited.get("/redlist.csv", params={name: value}))
    assert others["account_id"].iloc[0] not in text


def test_an_account_of_others_looks_like_one_that_is_not_there(limited, others):
    account = others["account_id"].iloc[0]
    for path in ("/accounts/{}", "/accounts/{}/timeline", "/reviews/new?account={}"):
        hidden, missing = (limited.get(path.format(name)) for name in (account, "no-such-account"))
        assert (hidden.status_code, missing.status_code) == (404, 404), path
        shown = [
            answered.text.replace(name, "ID")
            for answered, name in ((hidden, account), (missing, "no-such-account"))
        ]
        assert shown[0].split("csrf_token")[0] == shown[1].split("csrf_token")[0]


def test_nothing_of_others_can_be_changed(limited, world, others):
    account = others["account_id"].iloc[0]
    token = token_of(limited.get("/"))
    form = {"csrf_token": token, "kind": "note", "note": "mine", "version": "0"}
    assert limited.post(f"/accounts/{quote(account)}/reviews", data=form).status_code == 404
    several = form | {"account": account, "versions": f'{{"{account}": 0}}'}
    assert limited.post("/reviews", data=several).status_code == 404
    admin = world.browser("admin")
    done = admin.post(
        f"/accounts/{quote(account)}/reviews", data=form | {"csrf_token": token_of(admin.get("/"))}
    )
    assert done.status_code == 303
    page = admin.get(done.headers["location"]).text
    assert "/changes/" in page
    review = page.split("/changes/")[1].split("/")[0]
    limited.post(f"/changes/{review}/undo", data={"csrf_token": token})
    assert "mine" in admin.get(f"/accounts/{quote(account)}").text


def test_a_limit_that_is_set_holds_from_the_next_click_on(world, others):
    store = world.app.state.store
    add_user(store, NewUser("free", Role.VIEWER, owner="Nobody"), password=PASSWORD, now=datetime.now(UTC))
    browser, account = world.browser("free"), others["account_id"].iloc[0]
    assert browser.get(f"/accounts/{quote(account)}").status_code == 200
    change_user(store, "free", own_only=True, now=datetime.now(UTC))
    assert browser.get(f"/accounts/{quote(account)}").status_code == 404
    assert account not in shown(browser.get("/redlist.csv"))
