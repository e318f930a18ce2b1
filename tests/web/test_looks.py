"""Every page in the browser, light and dark, narrow and wide: nothing overflows, axe finds nothing; with pictures."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_SCRIPT

PICTURES = Path("build/screenshots")
WIDTHS = (360, 1600)
TALLEST = 3000
#: What axe looks at: everything, and then what another scheme of the same page can change.
SCHEMES = {"light": None, "dark": ["color-contrast", "link-in-text-block"]}
#: Name to address; {account} is a red account, {others} two more.
PAGES = {
    "redlist": "/",
    "redlist-filtered": "/?colour=red&snoozed=all&sort=name",
    "redlist-empty": "/?q=nobody-is-called-so",
    "account": "/accounts/{account}",
    "timeline": "/accounts/{account}/timeline",
    "several": "/reviews/new?account={account}&account={other}",
    "promises": "/promises",
    "monday": "/monday",
    "audit": "/audit",
    "help": "/help",
    "password": "/password",
    "not-found": "/accounts/no-such-account",
    "bad-address": "/?page=none",
}


def violations(page, rules=None):
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE_SCRIPT)
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = page.evaluate("options => axe.run(options).then(said => said.violations)", options)
    return [f"{one['id']}: {one['help']} ({one['nodes'][0]['html'][:160]})" for one in found]


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def look(page, name):
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        tall = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
        part = {"x": 0, "y": 0, "width": width, "height": tall}
        for scheme, rules in SCHEMES.items():
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True, clip=part)
            assert violations(page, rules) == [], f"{name} at {width} pixels, {scheme}"
        assert overflow(page) <= 0, f"{name} is wider than {width} pixels"


@pytest.fixture
def accounts(signed_in):
    page = signed_in("vic")
    links = page.locator("[data-open]")
    return [links.nth(place).get_attribute("href").rpartition("/")[2] for place in (0, 1)]


def test_no_page_has_a_barrier(signed_in, accounts):
    page = signed_in("ana")
    complaints = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for name, address in PAGES.items():
        page.goto(address.format(account=accounts[0], other=accounts[1]))
        page.wait_for_load_state("networkidle")
        look(page, name)
    # a page that says 404 or 400 is no news to us; a blocked script or style would be
    expected = re.compile(r"status of 40[04]")
    assert [said for said in complaints if not expected.search(said)] == []


def test_the_sign_in_page_has_no_barrier(browser, site):
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/sign-in")
    look(page, "sign-in")
    context.close()


def test_what_opens_and_what_is_said_has_no_barrier(signed_in, accounts):
    page = signed_in("rex")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    for scheme, rules in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert violations(page, rules) == [], scheme
    page.goto(f"/accounts/{accounts[1]}")
    page.get_by_role("heading", name="Use by week").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    look(page, "account-open")
    page.get_by_label("Contacted", exact=True).check()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Undo").wait_for()
    page.get_by_role("heading", name="Use by week").wait_for()
    look(page, "account-saved")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("status").filter(has_text="Undone").wait_for()


def test_a_conflict_has_no_barrier(signed_in, accounts):
    rex, rita = signed_in("rex"), signed_in("rita")
    for page in (rex, rita):
        page.goto(f"/accounts/{accounts[0]}")
    for page, answer in ((rex, "status"), (rita, "alert")):
        page.get_by_label("Contacted", exact=True).check()
        page.get_by_role("textbox", name="Note").first.fill("Talked to them.\nThey want an offer.")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role(answer).wait_for()
    page.wait_for_load_state()
    look(rita, "conflict")


def test_charts_say_everything_in_words_too(signed_in, accounts):
    page = signed_in("vic")
    page.goto(f"/accounts/{accounts[0]}")
    page.get_by_role("heading", name="Use by week").wait_for()  # its chart has more marks
    page.get_by_text("The same as a table").first.click()
    rows = page.get_by_role("region", name="Score history", exact=True).get_by_role("row")
    assert rows.count() == 1 + page.locator("#history-chart .dot").count()
    for badge in page.locator(".badge").all():
        assert re.search(r"[▲◆●○]\s*(red|amber|green|grey)", badge.text_content())


def test_the_list_can_be_printed(signed_in):
    page = signed_in("vic")
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert page.locator("[data-row]").first.is_visible()
