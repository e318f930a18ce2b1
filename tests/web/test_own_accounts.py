"""A person limited to own accounts, in the browser: no page shows another owner's, not even that they exist."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import churnrisk

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def owners(site):
    """Two owners of the latest run, and a person limited to the first one's accounts."""
    listed = churnrisk(site.project, "redlist", "--format", "json").stdout
    named = dict.fromkeys(re.findall(r'"owner": "([^"]+)"', listed))
    mine, other = list(named)[:2]
    options = ("--role", "reviewer", "--owner", mine, "--own-only", "--password-stdin")
    churnrisk(site.project, "user", "add", "olga", *options, stdin=PASSWORD + "\n")
    return mine, other


def test_the_list_holds_own_accounts_only_whatever_the_address_says(signed_in, owners):
    mine, other = owners
    page = signed_in("olga")
    expect(page.get_by_text(f"only accounts of {mine}")).to_be_visible()
    assert set(page.locator("[data-row] .owner").all_inner_texts()) == {mine}
    assert other not in page.content()
    page.goto(f"/?owner={other}")
    expect(page.get_by_text("No account fits this view.")).to_be_visible()
    expect(page.locator("[data-row]")).to_have_count(0)


def test_the_totals_are_those_of_the_own_accounts(signed_in, owners):
    mine, _ = owners
    own = signed_in("olga").locator(".totals .value").all_inner_texts()
    everyone = signed_in("rex")
    all_of_them = everyone.locator(".totals .value").all_inner_texts()
    everyone.goto(f"/?owner={mine}")
    assert own == everyone.locator(".totals .value").all_inner_texts()
    assert own != all_of_them


def test_another_owners_account_is_not_there(signed_in, owners):
    _, other = owners
    everyone = signed_in("rex")
    everyone.goto(f"/?owner={other}")
    path = everyone.locator("[data-open]").first.get_attribute("href").split("?")[0]
    page = signed_in("olga")
    for address in (path, f"{path}/timeline", f"/reviews/new?account={path.rpartition('/')[2]}"):
        assert page.goto(address).status == 404
    unknown = page.goto("/accounts/nobody")
    assert unknown.status == 404


def test_monday_and_the_exports_hold_own_accounts_only(signed_in, owners):
    mine, other = owners
    page = signed_in("olga")
    page.goto("/monday")
    assert other not in page.content()
    expect(page.get_by_role("row").filter(has_text=mine)).to_have_count(1)
    exported = page.request.get("/redlist.csv").text()
    assert mine in exported
    assert other not in exported


def test_what_counts_the_whole_team_is_not_shown_and_says_why(signed_in, owners):
    page = signed_in("olga")
    for start in ("/", "/monday", "/help"):
        page.goto(start)
        expect(page.locator("a[href='/promises']")).to_have_count(0)
    assert page.goto("/promises").status == 403
    expect(page.get_by_text("you are limited to your own")).to_be_visible()


def test_own_accounts_can_be_reviewed(signed_in, owners):
    page = signed_in("olga")
    page.locator("[data-open]").first.click()
    page.get_by_label("Contacted", exact=True).check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Saved: contacted")).to_be_visible()
