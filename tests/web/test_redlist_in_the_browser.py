import csv
import re
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from openpyxl import load_workbook
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def names(page):
    return page.locator("[data-row] [data-open]").all_inner_texts()


def accounts(page):
    """Two accounts may have one name; the addresses of their pages differ."""
    opened = page.locator("[data-row] [data-open]")
    return [urlsplit(row.get_attribute("href")).path for row in opened.all()]


def test_without_a_session_every_page_leads_to_the_sign_in_and_back(browser, site):
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/monday?x=1")
    expect(page).to_have_url(re.compile(r"/sign-in\?next="))
    page.get_by_label("Name").fill("vic")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{site.url}/monday?x=1")
    context.close()


def test_the_first_page_shows_totals_charts_and_the_worst_account_first(signed_in):
    page = signed_in("vic")
    expect(page.get_by_role("heading", name="Red list", exact=True)).to_be_visible()
    for total in ("Accounts", "Red", "Amber", "Red and renewing in 90 days", "Revenue at risk"):
        expect(page.locator(".totals dt").get_by_text(total, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="By segment")).to_be_visible()
    expect(page.get_by_role("heading", name="By renewal quarter")).to_be_visible()
    first = page.locator("[data-row]").first
    expect(first.locator(".badge")).to_contain_text("red")
    assert len(names(page)) == 50


def test_the_list_runs_out_of_no_window(signed_in):
    page = signed_in("rex")
    for width in (320, 768, 993, 1024, 1121, 1280, 1409, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        hidden = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(hidden) <= 0, width


def test_work_and_watch_are_numbered_filtered_and_counted_alike_on_both_pages(signed_in):
    page = signed_in("vic")
    ways = page.get_by_role("navigation", name="Work and watch")
    counts = {
        words: int(number.replace(",", ""))
        for number, words in re.findall(
            r"([\d,]+) (work|on watch)", " ".join(ways.locator("a").all_inner_texts())
        )
    }
    assert 0 < counts["work"] <= 50
    ways.get_by_role("link", name=re.compile("work$")).click()
    page.wait_for_url("**/?place=work*")
    expect(page.get_by_role("heading", name=f"{counts['work']} accounts")).to_be_visible()
    tags = page.locator("[data-row] .light .tag").all_inner_texts()
    assert tags == [f"work {rank}" for rank in range(1, counts["work"] + 1)]
    # another filter keeps this one
    page.get_by_label("Owner").select_option(index=1)
    page.wait_for_url(re.compile("owner=.*place=work|place=work.*owner="))
    page.goto("/monday")
    tiles = page.locator(".totals > div")
    expect(tiles.filter(has_text="Work of this run").locator(".value")).to_have_text(f"{counts['work']:,}")
    expect(tiles.filter(has_text="On watch").locator(".value")).to_have_text(f"{counts['on watch']:,}")


def test_figures_of_a_chart_stay_in_sight_while_it_scrolls(signed_in):
    page = signed_in("vic", viewport={"width": 390, "height": 800})
    page.goto("/monday")
    chart = page.locator(".scroll").first
    chart.evaluate("frame => { frame.scrollLeft = frame.scrollWidth; }")
    assert chart.evaluate("frame => frame.scrollLeft") > 0
    left = chart.bounding_box()["x"]
    for figure in chart.locator(".figures text").all():
        assert figure.bounding_box()["x"] >= left


def test_a_filter_stands_in_the_address_and_the_address_brings_the_view_back(signed_in):
    page = signed_in("vic")
    owner = page.locator("#owner option").nth(1).inner_text()
    page.get_by_label("Owner").select_option(owner)
    page.wait_for_url("**/?owner=*")
    assert set(page.locator("[data-row] .owner").all_inner_texts()) == {owner}
    heading = page.locator("#list").inner_text()
    other = signed_in("rex")
    other.goto(page.url)
    assert other.locator("#list").inner_text() == heading
    page.get_by_role("link", name=re.compile(f"Owner: {owner}")).click()
    expect(page).to_have_url(re.compile(r"/$"))


def test_a_bar_of_the_chart_filters_by_its_segment(signed_in):
    page = signed_in("vic")
    bar = page.locator("a.bar-row").first
    segment = bar.locator(".label").inner_text()
    bar.click()
    page.wait_for_url("**/?segment=*")
    assert all(segment in text for text in page.locator("[data-row] .name").all_inner_texts())


def test_search_finds_by_part_of_the_name_and_says_so_when_nothing_fits(signed_in):
    page = signed_in("vic")
    name = names(page)[3]
    page.get_by_label("Account name or id").fill(name[2:9].upper())
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**/?q=*")
    assert name in names(page)
    page.goto("/?q=nobody-is-called-so")
    expect(page.get_by_text("No account fits this view.")).to_be_visible()
    page.get_by_role("link", name="All filters off").click()
    expect(page.locator("[data-row]")).to_have_count(50)


def test_the_next_page_goes_on_where_the_first_one_ends(signed_in):
    page = signed_in("vic")
    first = accounts(page)
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url(re.compile("page=2"))
    assert not set(first) & set(accounts(page))
    page.get_by_role("link", name="Previous page").click()
    page.wait_for_url(re.compile(r"^(?!.*page=2)"))
    assert accounts(page) == first


def test_a_heading_sorts_by_its_column(signed_in):
    page = signed_in("vic")
    page.get_by_role("columnheader", name="Probability").get_by_role("link").click()
    page.wait_for_url("**/?sort=probability")
    shown = page.locator("[data-row] [data-label^=Probability] > span").all_inner_texts()
    shares = [float(text.split("%")[0]) for text in shown]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "colour=blue", "sort=up", "renews_within=soon", "snoozed=maybe", "reason=magic"],
)
def test_an_address_that_says_nonsense_gets_a_page_with_the_way_back(signed_in, query):
    page = signed_in("vic")
    answer = page.goto(f"/?{query}")
    assert answer.status == 400
    expect(page.get_by_role("heading", name="This cannot be read")).to_be_visible()
    page.get_by_role("link", name="To the red list").click()
    expect(page.get_by_role("heading", name="Red list", exact=True)).to_be_visible()


def test_keys_move_open_search_and_help(signed_in):
    page = signed_in("rex")
    shown = names(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    expect(page.locator("[data-open]").nth(1)).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("[data-row] input[name=account]").nth(1)).to_be_checked()
    expect(page.get_by_text("1 account selected")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Account name or id")).to_be_focused()
    page.keyboard.press("j")
    assert page.get_by_label("Account name or id").input_value() == "j"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(shown[2])
    page.wait_for_load_state()  # a heading is there before the script that listens to the keys
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Red list", exact=True)).to_be_visible()


def test_csv_holds_exactly_the_view(signed_in):
    page = signed_in("vic")
    page.goto("/?colour=red&sort=name")
    count = int(re.sub(r"\D.*", "", page.locator("#list").inner_text().replace(",", "")))
    shown = names(page)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    download = waiting.value
    assert re.fullmatch(r"redlist-\d{4}-\d\d-\d\d\.csv", download.suggested_filename)
    rows = list(csv.DictReader(download.path().read_text("utf-8-sig").splitlines()))
    assert len(rows) == count
    assert {row["colour"] for row in rows} == {"red"}
    # a browser shows several blanks as one
    listed = [" ".join((row["name"] or row["account_id"]).split()) for row in rows]
    assert listed[: len(shown)] == shown


def test_the_workbook_holds_exactly_the_view(signed_in):
    page = signed_in("vic")
    segment = page.locator("#segment option").nth(1).inner_text()
    page.goto(f"/?segment={segment}&colour=red")
    count = int(re.sub(r"\D.*", "", page.locator("#list").inner_text().replace(",", "")))
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Excel").click()
    book = load_workbook(BytesIO(waiting.value.path().read_bytes()))
    sheet = book["Red list"]
    heads = [cell.value for cell in sheet[1]]
    rows = [dict(zip(heads, row, strict=True)) for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert len(rows) == count
    assert {row["Segment"] for row in rows} == {segment}


def test_it_all_works_without_javascript(signed_in):
    page = signed_in("rex", java_script_enabled=False)
    page.get_by_label("Account name or id").fill("C1")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(re.compile("q=C1"))
    page.locator("[data-open]").first.click()
    page.get_by_role("link", name="Show use, complaints, surveys and contract dates").click()
    expect(page.get_by_role("heading", name="Use by week")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Back to")).click()
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(re.compile(r"/\?q=C1"))


def test_after_signing_out_the_pages_are_closed_again(signed_in):
    page = signed_in("vic")
    page.get_by_role("button", name="Sign out").click()
    for way_back in (page.go_back, lambda: page.goto("/")):
        page.wait_for_url(re.compile("/sign-in"))
        way_back()
        expect(page.get_by_label("Password")).to_be_visible()
        expect(page.locator("[data-row]")).to_have_count(0)


def test_the_timeline_loads_into_the_account_page(signed_in):
    page = signed_in("vic")
    page.locator("[data-open]").first.click()
    expect(page.get_by_role("heading", name="Use by week")).to_be_visible()
    expect(page.locator("#history-chart .history")).to_have_count(1)
