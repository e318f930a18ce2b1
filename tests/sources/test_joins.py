"""From the key of a row to its account by other tables, their columns given or found by their values."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnrisk.errors import ContractError, UsageError
from churnrisk.sources import TableConfig, Tables, Via, open_account, open_tables
from tests.sources.reading import engine, write_parquet

CASES = Path(__file__).parents[3] / "shared" / "cases"

ACCOUNTS = [f"A{n:02}" for n in range(12)]
NUMBERED = [str(n) for n in range(1, 13)]


def write(path: Path, header: str, rows: Sequence[Sequence[object]]) -> None:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def write_folder(base: Path, accounts: Sequence[str] = ACCOUNTS) -> None:
    """Write accounts, two users of each, their mail addresses, and three events of each user."""
    users = [(f"u{n}", accounts[n // 2], "DE", n % 2) for n in range(2 * len(accounts))]
    write(base / "accounts.csv", "account_id,name,size", [(one, f"Firm {one}", 1) for one in accounts])
    write(base / "users.csv", "id,account,country,is_admin", users)
    write(base / "mails.csv", "address,person", [(f"{user}@x.org", user) for user, *_ in users])
    events = [(user, f"2025-03-0{day}") for user, *_ in users for day in (1, 2, 3)]
    write(base / "events.csv", "userId,occurred_at", events)
    write(base / "sent.csv", "mail,occurred_at", [(f"{user}@x.org", at) for user, at in events])


def opened(base: Path, **config: Any) -> tuple[Tables, list[tuple[Any, ...]]]:
    """Open the tables of a folder; return them and the events by account."""
    with engine(base) as one:
        tables = open_tables(one, configs(**config))
        user = "count(distinct user_id)" if tables.available.has("events.user_id") else "null"
        return tables, one.rows(f"select account_id, count(*), {user} from events group by 1 order by 1")


def configs(**config: Any) -> dict[str, TableConfig]:
    # in the order of a file: the accounts come last
    events = TableConfig(**{"path": "events.csv"} | config)
    return {"events": events, "accounts": TableConfig(path="accounts.csv")}


EXPECTED = [(account, 6, 2) for account in ACCOUNTS]


def test_users_lead_from_events_to_accounts_whatever_their_columns_are_called(tmp_path: Path) -> None:
    write_folder(tmp_path)
    _, found = opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")
    assert found == EXPECTED
    # the key itself can be found too
    _, found = opened(tmp_path, via=Via("users.csv"))
    assert found == EXPECTED


def test_two_tables_lead_on_in_turn(tmp_path: Path) -> None:
    write_folder(tmp_path)
    _, found = opened(
        tmp_path, path="sent.csv", columns={"account_id": "mail"}, via=("mails.csv", "users.csv")
    )
    assert found == EXPECTED


def test_given_columns_count(tmp_path: Path) -> None:
    write_folder(tmp_path)
    via = Via("users.csv", key="id", account="account")
    _, found = opened(tmp_path, columns={"account_id": "userId"}, via=via)
    assert found == EXPECTED
    with pytest.raises(
        UsageError, match=r"via maps key to 'uid', but users.csv has no such column; it has id"
    ):
        opened(tmp_path, columns={"account_id": "userId"}, via=Via("users.csv", key="uid"))


def test_given_columns_may_lie_in_nested_values(tmp_path: Path) -> None:
    write_folder(tmp_path)
    lines = [
        f'{{"contact": {{"id": "u{n}"}}, "companies": [{{"id": "{ACCOUNTS[n // 2]}"}}]}}' for n in range(24)
    ]
    (tmp_path / "contacts.jsonl").write_text("\n".join(lines))
    via = Via("contacts.jsonl", key="contact.id", account="companies.0.id")
    _, found = opened(tmp_path, columns={"account_id": "userId"}, via=via)
    assert found == EXPECTED


def test_a_table_on_the_way_has_an_encoding_of_its_own(tmp_path: Path) -> None:
    write_folder(tmp_path)
    path = tmp_path / "users.csv"
    path.write_bytes(path.read_text().replace("DE", "Österreich").encode("cp1252"))
    with pytest.raises(
        ContractError,
        match=r'\[tables.events\] via: users.csv is not UTF-8. Set via = {path = "users.csv", encoding = "cp1252"}',
    ):
        opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")
    _, found = opened(tmp_path, columns={"account_id": "userId"}, via=Via("users.csv", encoding="cp1252"))
    assert found == EXPECTED


def test_an_external_id_leads_to_the_accounts_own(tmp_path: Path) -> None:
    rows = [(account, f"crm-{n}", "x") for n, account in enumerate(ACCOUNTS)]
    write(tmp_path / "accounts.csv", "account_id,external_id,name", rows)
    write(tmp_path / "events.csv", "account_id,occurred_at", [(f"crm-{n}", "2025-03-01") for n in range(12)])
    tables, found = opened(tmp_path, via="accounts.csv")
    assert found == [(account, 1, None) for account in ACCOUNTS]
    assert not tables.available.has("events.user_id")


def test_numbers_that_are_users_and_accounts_at_once_are_told_apart_by_uniqueness(tmp_path: Path) -> None:
    write(tmp_path / "accounts.csv", "account_id,name", [(one, "x") for one in NUMBERED])
    users = [(n, (n - 1) % 6 + 7, 1) for n in range(1, 13)]
    write(tmp_path / "users.csv", "a,b,active", users)
    write(tmp_path / "events.csv", "who,occurred_at", [(n, "2025-03-01") for n in range(1, 13)])
    _, found = opened(tmp_path, columns={"account_id": "who"}, via="users.csv")
    assert [(account, n) for account, n, _ in found] == [(one, 2) for one in sorted(map(str, range(7, 13)))]


def test_names_decide_between_equal_ways_and_without_them_the_way_is_asked(tmp_path: Path) -> None:
    write_folder(tmp_path)
    rows = [(f"u{n}", ACCOUNTS[n // 2], ACCOUNTS[(n // 2 + 1) % 12]) for n in range(24)]
    write(tmp_path / "users.csv", "id,account_id,parent", rows)
    _, found = opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")
    assert found == EXPECTED
    write(tmp_path / "users.csv", "id,company,parent", rows)
    with pytest.raises(
        UsageError,
        match=r"\[tables.events\] via users.csv: more than one way .*userId → id → company; .*id → parent.*via = {path",
    ):
        opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")


def test_a_column_that_bears_the_name_and_leads_nowhere_is_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "accounts.csv", "account_id,name", [(one, "x") for one in NUMBERED])
    write(tmp_path / "users.csv", "id,account_id,seats", [(f"u{n}", 900 + n, n) for n in range(1, 13)])
    write(tmp_path / "events.csv", "userId,occurred_at", [(f"u{n}", "2025-03-01") for n in range(1, 13)])
    with pytest.raises(UsageError, match=r"id → seats; userId → id → account_id"):
        opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")


def test_a_key_with_several_accounts_is_refused_and_an_exact_duplicate_is_not(tmp_path: Path) -> None:
    write_folder(tmp_path)
    path = tmp_path / "users.csv"
    path.write_text(path.read_text() + "u7,A03,DE,1\nunused,A01,DE,1\nunused,A02,DE,1\n")
    _, found = opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")
    assert found == EXPECTED
    path.write_text(path.read_text() + "u7,A05,DE,1\nu7,A06,DE,1\nu8,A05,DE,1\n")
    with pytest.raises(
        ContractError,
        match=r"via users.csv \(id → account\): u7 leads to 3 accounts \(A03, A05, A06\), and 1 more",
    ):
        opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")


def test_keys_without_an_account_stay_visible_and_meet_none(tmp_path: Path) -> None:
    write_folder(tmp_path)
    path = tmp_path / "events.csv"
    path.write_text(path.read_text() + "A05,2025-03-01\n,2025-03-01\n")
    tables, found = opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")
    # an account's own id is no user's
    assert found == sorted([*EXPECTED, ("A05 (no account by users.csv)", 1, 1)])
    assert tables.event_parts is None


def test_ids_are_normal_on_the_whole_way(tmp_path: Path) -> None:
    write_folder(tmp_path)
    path = tmp_path / "users.csv"
    path.write_text(path.read_text().replace("u", "U").replace("A0", "a0"))
    _, found = opened(tmp_path, columns={"account_id": "userId"}, via="users.csv", ids="upper")
    assert found == EXPECTED
    with pytest.raises(
        UsageError, match=r"no column of users.csv holds most values of userId.*Set ids = \"upper\""
    ):
        opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")


def test_a_rule_that_makes_one_account_of_two_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "accounts.csv", "account_id,name", [("a1", "x"), ("A1", "y"), ("A2", "z")])
    write(tmp_path / "events.csv", "account_id,occurred_at", [("a1", "2025-03-01")])
    with pytest.raises(ContractError, match=r"ids = 'upper' makes one account of two: 'A1' and 'a1'"):
        opened(tmp_path, ids="upper")


@pytest.mark.parametrize(
    ("via", "message"),
    [
        ("people.csv", r"\[tables.events\] via: path 'people.csv' matches no file"),
        ("events.csv", r"via 'events.csv' is the table itself"),
        (
            "strangers.csv",
            r"via strangers.csv: no column of strangers.csv holds most values of userId, such as 'u0'",
        ),
        ("lost.csv", r"no column of lost.csv leads from userId, such as 'u0', to ids of accounts"),
    ],
)
def test_a_table_that_leads_nowhere_is_one_clear_error(tmp_path: Path, via: str, message: str) -> None:
    write_folder(tmp_path)
    write(tmp_path / "strangers.csv", "id,account", [("x1", "A01"), ("x2", "A02")])
    write(tmp_path / "lost.csv", "id,account", [(f"u{n}", "Z") for n in range(24)])
    with pytest.raises(UsageError, match=message):
        opened(tmp_path, columns={"account_id": "userId"}, via=via)


def test_the_digest_changes_with_a_table_on_the_way(tmp_path: Path) -> None:
    write_folder(tmp_path)

    def digest() -> str:
        return opened(tmp_path, columns={"account_id": "userId"}, via="users.csv")[0].digest

    first = digest()
    assert digest() == first
    os.utime(tmp_path / "users.csv", ns=(1, 1))
    assert digest() != first


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_one_account_is_found_by_way_of_its_users(tmp_path: Path, ending: str) -> None:
    write_folder(tmp_path)
    if ending == "parquet":
        write_parquet(
            tmp_path / "events.parquet", f"from read_csv('{tmp_path}/events.csv', all_varchar = true)"
        )
    read = configs(path=f"events.{ending}", columns={"account_id": "userId"}, via="users.csv")
    with engine(tmp_path) as one:
        columns = open_account(one, read, "A03", ["events"])
        assert columns["events"] == ("account_id", "occurred_at", "user_id")
        found = one.rows("select account_id, count(*), count(distinct user_id) from events group by 1")
        assert found == [("A03", 6, 2)]


@pytest.mark.skipif(not CASES.is_dir(), reason="the case folders are not beside the project")
def test_tracks_of_users_are_those_of_their_accounts() -> None:
    names = {"occurred_at": "timestamp", "feature": "event"}
    via = TableConfig(path="tracks.jsonl", columns={"account_id": "userId", **names}, via="users.csv")
    joined = (
        "select u.account_id, t.* from read_json('tracks.jsonl') t join 'users.csv' u on u.user_id = t.userId"
    )
    sql = TableConfig(sql=joined, columns={"user_id": "userId", **names})
    rows = []
    for config in (via, sql):
        with engine(CASES / "13-events-keyed-by-user" / "input") as one:
            open_tables(one, {"accounts": TableConfig(path="accounts.csv"), "events": config})
            rows.append(one.rows("select account_id, occurred_at, feature, user_id from events order by all"))
    assert rows[0] == rows[1]
    assert len(rows[0]) == 496


def test_files_of_events_are_read_one_by_one_as_they_are_all_together(tmp_path: Path) -> None:
    for number in (1, 2):
        rows = f"('a{number}', '2025-03-01', 1), ('a{number}', '2025-03-02', 2)"
        write_parquet(tmp_path / f"{number}.parquet", f"from (values {rows}) t(account_id, occurred_at, n)")
    config = TableConfig(path="?.parquet", ids="upper", where="n < 2")
    with engine(tmp_path) as one:
        accounts = TableConfig(sql="select 'A1' as account_id")
        parts = open_tables(one, {"accounts": accounts, "events": config}).event_parts
        assert parts is not None
        found = [one.rows(f"select account_id from {parts.raw([name])}") for name in parts.parts]
        assert found == [[("A1",)], [("A2",)]]
        bare = " union all ".join(f"select account_id from {parts.rows([name])}" for name in parts.parts)
        assert one.rows(f"from ({bare}) order by 1") == one.rows(
            "select account_id from bare_events order by 1"
        )


@pytest.mark.skipif(not CASES.is_dir(), reason="the case folders are not beside the project")
def test_ids_in_small_letters_meet_their_accounts() -> None:
    events = TableConfig(path="events.csv", ids="upper")
    with engine(CASES / "06-ids-differ-in-case-for-some" / "input") as one:
        open_tables(one, {"accounts": TableConfig(path="accounts.csv"), "events": events})
        silent = "select count(*) from accounts where account_id not in (select account_id from events)"
        assert one.value(silent) == 0


@settings(max_examples=8, deadline=None)
@given(
    led=st.dictionaries(st.integers(0, 40), st.integers(0, 9), min_size=8),
    keys=st.lists(st.integers(0, 40), min_size=1),
)
def test_a_row_belongs_to_the_account_that_its_key_leads_to(
    tmp_path_factory: pytest.TempPathFactory, led: dict[int, int], keys: list[int]
) -> None:
    base = tmp_path_factory.mktemp("law")
    write(base / "accounts.csv", "account_id,name", [(one, "x") for one in range(10)])
    write(base / "users.csv", "id,account", list(led.items()))
    write(base / "events.csv", "who,occurred_at", [(key, "2025-03-01") for key in keys])
    _, found = opened(base, columns={"account_id": "who"}, via=Via("users.csv", key="id", account="account"))
    expected = Counter(str(led[key]) if key in led else f"{key} (no account by users.csv)" for key in keys)
    assert {account: n for account, n, _ in found} == expected
