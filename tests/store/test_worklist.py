"""The red list read by SQL, held against the same list worked out in plain Python."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from churnrisk.errors import UsageError
from churnrisk.records import FAMILIES, NONE, RedListQuery
from churnrisk.store import HistoryStore, NewRun
from churnrisk.team import Change, export, read_red_list, review

AS_OF = datetime(2026, 7, 6)
BEFORE = datetime(2026, 6, 1)
NOW = datetime(2026, 7, 7, 9)
COLOURS = ("red", "amber", "green", "grey")
OWNERS = ("Kim", "Ewa Żak", None)
SEGMENTS = ("Small", "Enterprise", None)
NAMES = ("Acme 100%", "Müller & Söhne", "o'Brien_Ltd", None)
SAID = (
    None,
    Change("contacted"),
    Change("churned"),
    Change("snoozed", until=date(2026, 8, 1), reason="x"),
    Change(assignee="Lee"),
)


def account(number, colour, earlier, owner, segment, family, value, days, said, name):
    """One account as the oracle keeps it."""
    return {
        "account_id": f"a{number:02d}",
        "name": name,
        "owner": owner,
        "segment": segment,
        "colour": colour,
        "earlier": earlier,
        "family": family if colour in ("red", "amber") else None,
        "probability": None if colour == "grey" else (number * 7 % 10) / 10,
        "annual_value": value,
        "renewal_at": None if days is None else AS_OF + timedelta(days=days),
        "said": said,
    }


ACCOUNTS = st.lists(
    st.tuples(
        st.sampled_from(COLOURS),
        st.sampled_from((*COLOURS, None)),
        st.sampled_from(OWNERS),
        st.sampled_from(SEGMENTS),
        st.sampled_from(FAMILIES[:3]),
        st.sampled_from((None, 100.0, 100.0, 5_000.0)),
        st.sampled_from((None, -1, 0, 30, 90, 91, 200)),
        st.sampled_from(range(len(SAID))),
        st.sampled_from(NAMES),
    ),
    min_size=1,
    max_size=14,
)
FILTERS = st.builds(
    RedListQuery,
    colours=st.sampled_from([("red", "amber"), ("red",), ("amber", "green"), COLOURS]),
    owner=st.sampled_from([None, None, "kim", "EWA ŻAK", NONE, "nobody"]),
    segment=st.sampled_from([None, None, "small", NONE]),
    newly_red=st.sampled_from([False, False, False, True]),
    scope=st.sampled_from([None, None, None, "kim", "nobody"]),
    assignee=st.sampled_from([None, None, None, "LEE", NONE]),
    renews_within_days=st.sampled_from([None, None, 0, 30, 90]),
    quarter=st.sampled_from([None, None, None, "2026-Q3", NONE]),
    family=st.sampled_from([None, None, FAMILIES[0]]),
    snoozed=st.sampled_from(["hide", "only", "all"]),
    disposition=st.sampled_from([None, None, "contacted", "churned", "snoozed", NONE]),
    search=st.sampled_from([None, None, "a0", "MÜLLER", "100%", "_", "'"]),
    sort=st.sampled_from(["loss", "probability", "renewal", "days", "name"]),
)


def publish(store, accounts):
    def frame(colours):
        return pd.DataFrame(
            {
                **{key: [one[key] for one in accounts] for key in ("account_id", "name", "owner", "segment")},
                "colour": colours,
                "decided_by": "model",
                "probability": pd.Series([one["probability"] for one in accounts], dtype=float),
                "annual_value": pd.Series([one["annual_value"] for one in accounts], dtype=float),
                "renewal_at": pd.to_datetime(pd.Series([one["renewal_at"] for one in accounts])),
                "reasons": [reasons(one["family"]) for one in accounts],
                "family": [one["family"] for one in accounts],
            }
        )

    first = frame([one["earlier"] or "grey" for one in accounts])
    first = first[[one["earlier"] is not None for one in accounts]]
    if len(first):
        store.publish(NewRun(BEFORE, BEFORE, "i", "m", "p"), first)
    store.publish(NewRun(AS_OF, AS_OF, "i", "m", "p"), frame([one["colour"] for one in accounts]))
    for one in accounts:
        if SAID[one["said"]] is not None:
            review(store, {one["account_id"]: None}, SAID[one["said"]], author="Ada", via="web", now=NOW)


def reasons(family):
    if family is None:
        return "[]"
    return (
        f'[{{"feature": "f", "family": "{family}", "text": "t", "value": 1.0, "contribution": 0.5}}, '
        '{"feature": "g", "family": "own", "text": "t", "value": 1.0, "contribution": 0.1}]'
    )


def is_listed(one, query):
    """The filter once more, in words of its own."""

    def named(value, name):
        return name is None or (
            value is None if name == NONE else (value or "").casefold() == name.casefold()
        )

    said = SAID[one["said"]]
    disposition = said.disposition if said else None
    assignee = said.assignee if said else None
    days = None if one["renewal_at"] is None else (one["renewal_at"] - AS_OF).days
    quarter = (
        NONE if one["renewal_at"] is None else f"{one['renewal_at']:%Y}-Q{(one['renewal_at'].month + 2) // 3}"
    )
    text = (query.search or "").casefold()
    return all(
        (
            one["colour"] in query.colours,
            named(one["owner"], query.owner),
            query.scope is None or (one["owner"] or "").casefold() == query.scope.casefold(),
            named(one["segment"], query.segment),
            named(assignee, query.assignee),
            not query.newly_red or (one["colour"] == "red" and one["earlier"] != "red"),
            query.renews_within_days is None or (days is not None and 0 <= days <= query.renews_within_days),
            query.quarter in (None, quarter),
            query.family in (None, one["family"]),
            named(disposition, query.disposition),
            query.disposition == "churned" or disposition != "churned",
            query.snoozed != "only" or disposition == "snoozed",
            query.snoozed != "hide" or query.disposition == "snoozed" or disposition != "snoozed",
            text in one["account_id"].casefold() or text in (one["name"] or "").casefold(),
        )
    )


def order(one, query):
    """The order once more."""
    probability = -1 if one["probability"] is None else one["probability"]
    known = one["probability"] is not None and one["annual_value"] is not None
    loss = one["probability"] * one["annual_value"] if known else -1
    renewal = one["renewal_at"]
    keys = {
        "loss": (one["colour"] != "red", -loss, -probability),
        "probability": (-probability,),
        "renewal": (renewal is None, renewal is not None and renewal < AS_OF, renewal or AS_OF),
        "days": (AS_OF if one["colour"] != one["earlier"] else BEFORE,),
        "name": ((one["name"] or one["account_id"]).lower(),),
    }
    return (*keys[query.sort], one["account_id"])


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(drawn=ACCOUNTS, filters=st.lists(FILTERS, min_size=1, max_size=12))
def test_every_view_is_what_plain_python_makes_of_the_accounts(fresh_url, drawn, filters):
    accounts = [account(number, *parts) for number, parts in enumerate(drawn)]
    with HistoryStore(fresh_url()) as store:
        publish(store, accounts)
        for query in filters:
            expected = [one for one in accounts if is_listed(one, query)]
            if query.sort == "name":  # where letters beyond a–z stand is the database's business
                seen = read_red_list(store, as_of=None, query=query, now=NOW, per_page=None)
                assert {row.account_id for row in seen.rows} == {one["account_id"] for one in expected}
                continue
            ids = [one["account_id"] for one in sorted(expected, key=lambda one: order(one, query))]
            whole = read_red_list(store, as_of=None, query=query, now=NOW, per_page=None)
            assert [row.account_id for row in whole.rows] == ids
            pages = [
                read_red_list(store, as_of=None, query=query, now=NOW, page=n, per_page=3) for n in (1, 2)
            ]
            assert [page.matching for page in pages] == [len(ids)] * 2
            assert [row.account_id for page in pages for row in page.rows] == ids[:6]
            assert (pages[0].previous, pages[0].next) == (None, 2 if len(ids) > 3 else None)
            with export(store, as_of=None, query=query, now=NOW) as (_, rows):
                assert tuple(rows) == whole.rows


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(drawn=ACCOUNTS, owner=st.sampled_from([None, "kim", NONE]), scope=st.sampled_from([None, "Kim"]))
def test_the_totals_are_what_plain_python_counts(fresh_url, drawn, owner, scope):
    accounts = [account(number, *parts) for number, parts in enumerate(drawn)]
    query = RedListQuery(owner=owner, scope=scope)
    everyone = query.model_copy(update={"colours": COLOURS, "snoozed": "all"})
    mine = [one for one in accounts if is_listed(one | {"said": 0}, everyone)]
    with HistoryStore(fresh_url()) as store:
        publish(store, accounts)
        found = read_red_list(store, as_of=None, query=query, now=NOW)
    listed = [one for one in mine if one["colour"] in ("red", "amber")]
    totals = {total.label: total.value for total in found.totals}
    assert totals["Accounts"] == sum(one["colour"] != "grey" for one in mine)
    assert (totals["Red"], totals["Amber"]) == tuple(
        sum(one["colour"] == colour for one in mine) for colour in ("red", "amber")
    )
    soon = [one for one in listed if one["renewal_at"] and 0 <= (one["renewal_at"] - AS_OF).days <= 90]
    if any(one["renewal_at"] for one in mine):
        assert totals["Red and renewing in 90 days"] == sum(one["colour"] == "red" for one in soon)
    assert totals.get("Revenue at risk", 0) == pytest.approx(sum(one["annual_value"] or 0 for one in listed))
    for groups in (found.by_segment, found.by_quarter):
        assert sum(group.red + group.amber for group in groups) == len(listed)
        assert sum(group.value for group in groups) == pytest.approx(
            sum(one["annual_value"] or 0 for one in listed)
        )
    for group in found.by_quarter:
        view = query.model_copy(update={"quarter": group.key, "snoozed": "all"})
        assert sum(is_listed(one | {"said": 0}, view) for one in accounts) == group.red + group.amber
    states = [SAID[one["said"]].disposition for one in listed if SAID[one["said"]]]
    assert (found.snoozed, found.churned) == (states.count("snoozed"), states.count("churned"))


@given(query=FILTERS)
def test_a_view_lives_in_its_address(query):
    assert RedListQuery.from_query(query.to_query(), scope=query.scope) == query
    assert RedListQuery.from_query(list(query.to_query().items()), scope=query.scope) == query
    assert "scope" not in query.to_query()


def test_an_address_may_name_a_colour_several_times_and_empty_fields():
    query = [("colour", "red"), ("colour", "green"), ("owner", " "), ("page", "3"), ("newly_red", "on")]
    assert RedListQuery.from_query(query) == RedListQuery(colours=("red", "green"), newly_red=True)
    assert RedListQuery().to_query() == {}


def test_a_scope_does_not_come_from_an_address():
    assert RedListQuery.from_query({"scope": "Kim"}).scope is None


@pytest.mark.parametrize(
    "query",
    [
        {"colour": "pink"},
        {"colour": ","},
        {"sort": "loss; drop table scores"},
        {"snoozed": "maybe"},
        {"reason": "astrology"},
        {"disposition": "gone"},
        {"renews_within": "-1"},
        {"renews_within": "99999"},
        {"renews_within": "³"},
        {"newly_red": "2"},
        {"quarter": "2026-Q5"},
        {"quarter": "9999-Q4"},
        {"q": "%" * 201},
    ],
)
def test_a_value_that_a_field_cannot_have_is_refused(query):
    (key,) = query
    if query[key] == ",":
        assert RedListQuery.from_query(query) == RedListQuery()
        return
    with pytest.raises(UsageError):
        RedListQuery.from_query(query)


def test_text_in_a_filter_is_never_sql(store):
    publish(store, [account(0, "red", None, "Kim", None, "recency", 1.0, 1, 0, "Acme")])
    for evil in ("' or '1'='1", "%", "_", "\\", "a\x00b", '"; drop table scores; --'):
        for field in ("q", "owner", "segment", "assignee"):
            query = {field: evil}
            found = read_red_list(store, as_of=None, query=RedListQuery.from_query(query), now=NOW)
            assert found.rows == ()
    assert read_red_list(store, as_of=None, query=RedListQuery(), now=NOW).matching == 1


@pytest.mark.parametrize("page", [{"page": 0}, {"per_page": 0}, {"per_page": 10_001}])
def test_a_page_that_cannot_be_is_refused(store, page):
    with pytest.raises(UsageError, match="expected a page from 1 on"):
        read_red_list(store, as_of=None, query=RedListQuery(), now=NOW, **page)


def test_before_the_first_run_and_for_other_dates_the_error_says_what_there_is(store):
    with pytest.raises(UsageError, match="nothing has been scored yet"):
        read_red_list(store, as_of=None, query=RedListQuery(), now=NOW)
    publish(store, [account(0, "red", "red", "Kim", None, "recency", 1.0, 1, 0, "Acme")])
    with pytest.raises(UsageError, match="there are 2026-07-06, 2026-06-01"):
        read_red_list(store, as_of=date(2026, 5, 1), query=RedListQuery(), now=NOW)
    assert read_red_list(store, as_of=BEFORE.date(), query=RedListQuery(), now=NOW).run.as_of == BEFORE


def test_a_backfilled_run_changes_what_is_new_and_its_sums(store, new_run, scored):
    store.publish(new_run(month=3), scored("red", "red"))
    newly = RedListQuery(newly_red=True)
    assert read_red_list(store, as_of=None, query=newly, now=NOW).matching == 2
    store.publish(new_run(month=2), scored("red", "green"))
    found = read_red_list(store, as_of=None, query=newly, now=NOW)
    assert [row.account_id for row in found.rows] == ["a1"]
    assert [total.previous for total in found.totals[:2]] == [2, 1]


def test_no_run_before_is_looked_up_and_not_searched_for(sqlite_url):
    with HistoryStore(sqlite_url) as store:
        scores = pd.DataFrame({"account_id": ["a", "b"], "colour": "red", "decided_by": "model"})
        store.publish(NewRun(AS_OF, NOW, "i", "m", "p"), scores)
        plans = []

        def explain(connection, cursor, statement, parameters, context, executemany):
            if "earlier" in statement and statement.startswith("SELECT"):
                cursor = connection.connection.dbapi_connection.cursor()
                plans.extend(row[-1] for row in cursor.execute(f"explain query plan {statement}", parameters))

        event.listen(Engine, "before_cursor_execute", explain)
        try:
            found = read_red_list(store, as_of=None, query=RedListQuery(), now=NOW)
        finally:
            event.remove(Engine, "before_cursor_execute", explain)
    assert len(found.rows) == 2
    assert plans
    assert not [step for step in plans if step.startswith("SCAN earlier")]
