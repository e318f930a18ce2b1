from datetime import datetime

from churnrisk.records import AuditEntry
from churnrisk.web import entry_text
from churnrisk.web.pages.audit import changes


def entry(field, before=None, after=None, **given):
    usual = {"audit_id": 1, "review_id": 1, "at": datetime(2026, 7, 1, 9, 5), "author": "rex", "via": "web"}
    usual |= {"account_id": "A1", "field": field, "before": before, "after": after, "version": 1}
    return AuditEntry(**(usual | given))


def test_each_field_is_expected_in_words():
    expected = {
        ("disposition", None, "false_alarm"): "Record is now False alarm",
        ("disposition", "contacted", "saved"): "Record is now Saved (was Contacted)",
        ("disposition", "saved", None): "Record taken away (was Saved)",
        ("note", None, "call again"): "Note: call again",
        ("note", "call again", None): "Note taken away",
        ("assignee", None, "Ada"): "Assignment to Ada",
        ("assignee", "Ada", None): "Assignment taken away (was Ada)",
        ("snooze_reason", None, "holiday"): "Reason of the snooze: holiday",
        ("snooze_reason", "holiday", None): "Reason of the snooze taken away",
        ("touched", None, None): "Looked at again, nothing new",
    }
    assert {key: entry_text(entry(*key)) for key in expected} == expected


def test_entries_of_one_review_and_account_are_one_change():
    entries = [
        entry("note", after="b", audit_id=4, review_id=2, account_id="A2"),
        entry("note", after="b", audit_id=3, review_id=2),
        entry("disposition", after="saved", audit_id=2, review_id=1),
        entry("note", after="a", audit_id=1, review_id=1),
    ]
    made = changes(entries)
    assert [(change.entry.review_id, change.entry.account_id) for change in made] == [
        (2, "A2"),
        (2, "A1"),
        (1, "A1"),
    ]
    assert made[-1].lines == ("Note: a", "Record is now Saved")


def test_an_undo_says_that_it_is_one():
    (change,) = changes([entry("disposition", "saved", None, undoes=7)])
    assert change.lines == ("Undone:", "Record taken away (was Saved)")
