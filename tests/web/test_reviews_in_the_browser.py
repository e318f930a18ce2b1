import re
from datetime import date, timedelta

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

NEXT_MONTH = (date.today() + timedelta(days=30)).isoformat()


def account(page, place):
    """The address of an account that no other test of this module uses."""
    page.goto("/?sort=name")
    return page.locator("[data-open]").nth(place).get_attribute("href").split("?")[0]


def save(page, label, note=""):
    """Save a review; what comes next comes after it, also for others."""
    page.get_by_label(label, exact=True).check()
    page.get_by_role("textbox", name="Note").first.fill(note)
    with page.expect_event("load"):
        page.get_by_role("button", name="Save", exact=True).click()


def test_a_review_is_recorded_shown_and_undone(signed_in):
    page = signed_in("rex")
    path = account(page, 0)
    page.goto(path)
    save(page, "Contacted", "Call on Friday <b>again</b>")
    flash = page.get_by_role("status").filter(has_text="Saved: contacted")
    expect(flash).to_be_visible()
    reviews = page.get_by_role("region", name="Reviews")
    expect(reviews).to_contain_text("Record is now Contacted")
    expect(reviews).to_contain_text("Call on Friday <b>again</b>")
    expect(page.get_by_role("region", name="Do first")).to_contain_text("Contacted.")
    flash.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="Undone: contacted")).to_be_visible()
    expect(page).to_have_url(re.compile(re.escape(path)))
    expect(page.get_by_role("region", name="Reviews")).to_contain_text("taken back")
    expect(page.get_by_role("region", name="Do first")).not_to_contain_text("Contacted.")


def test_a_snoozed_account_leaves_the_list_and_can_be_found_under_snoozed(signed_in):
    page = signed_in("rex")
    path = account(page, 1)
    name = page.locator("[data-open]").nth(1).inner_text()
    page.goto(path)
    page.locator("summary", has_text="Snooze").click()
    page.get_by_label(re.compile("^Until .the account is back")).fill(NEXT_MONTH)
    page.get_by_label("Reason", exact=True).fill("on holiday")
    page.get_by_role("button", name="Snooze", exact=True).click()
    expect(page.get_by_role("region", name="Do first")).to_contain_text(
        f"Snoozed until {NEXT_MONTH}: on holiday."
    )
    page.goto("/?sort=name")
    expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    page.get_by_role("link", name=re.compile("1 snoozed")).click()
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


def test_a_snooze_into_the_past_comes_back_with_what_was_typed(signed_in):
    page = signed_in("rex", java_script_enabled=False)
    page.goto(account(page, 2))
    page.locator("summary", has_text="Snooze").click()
    until = page.get_by_label(re.compile("^Until .the account is back"))
    until.evaluate("field => field.removeAttribute('min')")
    until.fill("2020-01-01")
    page.get_by_label("Reason", exact=True).fill("a long story")
    page.get_by_role("button", name="Snooze", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Not saved: the end date 2020-01-01 has passed")
    expect(page.get_by_label("Reason", exact=True)).to_have_value("a long story")
    expect(until).to_have_value("2020-01-01")


def test_assigning_and_a_note_stand_on_record(signed_in):
    page = signed_in("rex")
    page.goto(account(page, 3))
    page.locator("summary", has_text="Assign").click()
    page.get_by_label("Assign to").fill("Ada Lovelace")
    page.get_by_role("button", name="Assign", exact=True).click()
    expect(page.get_by_role("region", name="Do first")).to_contain_text("Assigned to Ada Lovelace.")
    page.locator("summary", has_text="Add a note").click()
    page.locator("details[open] textarea").fill("Prefers mail")
    page.get_by_role("button", name="Add the note").click()
    expect(page.get_by_role("region", name="Reviews")).to_contain_text("Note: Prefers mail")
    page.goto("/?assignee=Ada+Lovelace")
    expect(page.locator("[data-row]")).to_have_count(1)


def test_a_colour_set_by_hand_is_shown_and_can_be_ended(signed_in):
    page = signed_in("rex")
    page.goto(account(page, 4))
    page.locator("summary", has_text="Set the colour by hand").click()
    form = page.locator("details[open] form")
    form.get_by_role("radio", name="green").check()
    form.get_by_label("Why you know better").fill("renewed by phone")
    form.get_by_label(re.compile("^Until")).fill(NEXT_MONTH)
    form.get_by_role("button", name="Set the colour").click()
    shown = page.get_by_text(f"set by rex until {NEXT_MONTH}: renewed by phone")
    expect(shown).to_be_visible()
    page.get_by_role("button", name="End it now").click()
    expect(page.get_by_role("status").filter(has_text="override ended")).to_be_visible()
    page.wait_for_load_state()
    expect(shown).to_have_count(0)


def test_several_accounts_are_reviewed_and_undone_at_once(signed_in):
    page = signed_in("rita")
    page.goto("/?sort=name")
    picked = [page.locator("[data-open]").nth(place).inner_text() for place in (6, 7, 8)]
    for place in (6, 7, 8):
        page.locator("[data-row] input[name=account]").nth(place).check()
    page.get_by_role("button", name="Review selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Review 3 accounts")
    page.get_by_role("checkbox", name=picked[2]).uncheck()
    page.get_by_label("False alarm").check()
    page.get_by_label("Note or reason").fill("test accounts")
    page.get_by_role("button", name="Save for all").click()
    expect(page).to_have_url(re.compile(r"\?sort=name"))
    flash = page.get_by_role("status").filter(has_text="Saved for 2 accounts: false alarm")
    expect(flash).to_be_visible()
    expect(page.locator("[data-row] .touch .tag")).to_have_text(["False alarm"] * 2)
    flash.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="Undone")).to_be_visible()
    page.wait_for_load_state()
    expect(page.locator("[data-row] .touch .tag")).to_have_count(0)


def test_two_people_on_one_account_never_overwrite_each_other_in_silence(signed_in):
    rex, rita = signed_in("rex"), signed_in("rita")
    path = account(rex, 10)
    rex.goto(path)
    rita.goto(path)
    save(rita, "Saved", "They renewed")
    save(rex, "Churned", "They wrote that they leave")
    conflict = rex.get_by_role("alert")
    expect(conflict).to_contain_text("rita was faster")
    expect(conflict).to_contain_text("Record is now Saved")
    expect(conflict).to_contain_text("They renewed")
    expect(conflict).to_contain_text("They wrote that they leave")
    expect(rex.get_by_role("region", name="Do first")).to_contain_text("Saved.")
    conflict.get_by_role("button", name="Apply mine on top").click()
    expect(rex.get_by_role("status").filter(has_text="Saved: churned")).to_be_visible()
    reviews = rex.get_by_role("region", name="Reviews")
    expect(reviews).to_contain_text("Record is now Churned (was Saved)")
    expect(reviews).to_contain_text("They renewed")


def test_two_people_on_several_accounts_see_it_as_well(signed_in):
    rex, rita = signed_in("rex"), signed_in("rita")
    path = account(rex, 11)
    for place in (11, 12):
        rex.locator("[data-row] input[name=account]").nth(place).check()
    rex.get_by_role("button", name="Review selected").click()
    expect(rex.get_by_role("heading", level=1)).to_have_text("Review 2 accounts")
    rita.goto(path)
    save(rita, "Contacted")
    rex.get_by_label("Saved", exact=True).check()
    rex.get_by_label("Note or reason").fill("on the fair")
    rex.get_by_role("button", name="Save for all").click()
    expect(rex.get_by_role("alert")).to_contain_text("rita")
    expect(rex.get_by_label("Note or reason")).to_have_value("on the fair")
    rex.get_by_role("button", name="Save on top").click()
    expect(rex.get_by_role("status").filter(has_text="Saved for 2 accounts")).to_be_visible()


def test_a_change_that_somebody_built_upon_is_not_undone_alone(signed_in):
    rex, rita = signed_in("rex"), signed_in("rita")
    path = account(rex, 13)
    rex.goto(path)
    save(rex, "Contacted")
    rita.goto(path)
    save(rita, "Saved")
    rex.get_by_role("button", name="Undo").click()
    expect(rex.get_by_role("heading", name="Somebody was faster")).to_be_visible()
    expect(rex.locator("main")).to_contain_text("rita")
    rex.get_by_role("link", name="Back").click()
    expect(rex.get_by_role("region", name="Do first")).to_contain_text("Saved.")


def test_a_viewer_looks_and_changes_nothing(signed_in):
    page = signed_in("vic")
    expect(page.locator("input[name=account]")).to_have_count(0)
    page.locator("[data-open]").first.click()
    expect(page.get_by_text("You may look, not change.")).to_be_visible()
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    assert page.goto("/reviews/new?account=C1").status == 403
    assert page.goto("/audit").status == 403
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()


def test_a_reviewer_does_not_see_the_audit_trail_and_an_admin_undoes_from_it(signed_in):
    rex, ana = signed_in("rex"), signed_in("ana")
    path = account(rex, 15)
    rex.goto(path)
    save(rex, "Contacted", "for the trail")
    assert rex.goto("/audit").status == 403
    ana.goto("/audit")
    line = ana.get_by_role("row").filter(has_text="for the trail")
    expect(line).to_contain_text("rex")
    line.get_by_role("button", name=re.compile("^Undo")).click()
    expect(ana.get_by_role("status").filter(has_text="Undone")).to_be_visible()
    expect(ana.get_by_role("row").filter(has_text="for the trail").last).to_contain_text("taken back")


def test_what_is_written_survives_the_end_of_the_session(signed_in):
    page = signed_in("rita")
    page.goto(account(page, 16))
    page.context.clear_cookies()
    save(page, "Contacted", "a note of much work")
    expect(page.locator("main")).to_contain_text("a note of much work")
    page.get_by_label("Name").fill("rita")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("region", name="Reviews")).to_contain_text("a note of much work")


def test_an_account_that_is_not_there_gets_a_page_with_the_way_back(signed_in):
    page = signed_in("rex")
    assert page.goto("/accounts/no-such-account").status == 404
    expect(page.get_by_role("heading", name="There is no such account")).to_be_visible()
    page.get_by_role("link", name="To the red list").click()
    expect(page.get_by_role("heading", name="Red list", exact=True)).to_be_visible()
