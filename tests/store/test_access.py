"""People, sessions, tokens and attempts to sign in, on both databases."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from churnrisk.auth import (
    TOKEN_MARK,
    Limit,
    NewUser,
    add_token,
    add_user,
    admit_attempt,
    all_tokens,
    all_users,
    assignees,
    change_user,
    digest,
    end_session,
    find_token,
    find_user,
    mark_success,
    password_of,
    revoke_token,
    session_user,
    start_session,
    store_hash,
    user_of_identity,
)
from churnrisk.errors import UsageError
from churnrisk.records import Role
from churnrisk.store import HistoryStore, sessions, sign_in_attempts, users

NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAIR = Limit(3, timedelta(minutes=15), same=("name", "address"))
BY_NAME = Limit(4, timedelta(minutes=1), same=("name",), spares_known=True)


def person(name="ana", **changes):
    return NewUser(**({"name": name, "display_name": name.title(), "role": Role.REVIEWER} | changes))


@pytest.fixture
def ana(store):
    return add_user(store, person(owner="Ana Castillo", own_only=True, email="ana@x.org"), now=NOW)


def rows(store, table):
    with store.database.reading() as connection:
        return connection.execute(select(table)).mappings().all()


def test_a_person_is_found_by_name_as_they_were_added(store, ana):
    assert find_user(store, "ana") == ana
    assert (ana.role, ana.scope, ana.email, ana.disabled) == (
        Role.REVIEWER,
        "Ana Castillo",
        "ana@x.org",
        False,
    )
    assert find_user(store, "an_") is None


@pytest.mark.parametrize("again", [person("ana"), person("ana2", email="ana@x.org")], ids=["name", "e-mail"])
def test_a_name_and_an_address_belong_to_one_person_only(store, ana, again):
    with pytest.raises(UsageError, match="taken"):
        add_user(store, again, now=NOW)
    assert all_users(store) == (ana,)


def test_one_who_sees_everything_has_no_scope_although_they_own_accounts(store):
    assert add_user(store, person(owner="Ana Castillo"), now=NOW).scope is None


def test_accounts_can_be_assigned_to_everybody_who_is_not_disabled(store, ana):
    add_user(store, person("rex", display_name="Rex"), now=NOW)
    gone = add_user(store, person("vic"), now=NOW)
    change_user(store, gone.name, now=NOW, disabled=True)
    assert assignees(store) == ("Ana Castillo", "Rex")


def test_a_session_belongs_to_its_person_until_it_ends(store, ana):
    session_id = start_session(store, ana, now=NOW, lifetime=3 * HOUR)
    assert session_user(store, session_id, now=NOW + HOUR, idle=2 * HOUR) == ana
    assert session_user(store, session_id[:-1], now=NOW + HOUR, idle=2 * HOUR) is None
    end_session(store, session_id)
    assert session_user(store, session_id, now=NOW + HOUR, idle=2 * HOUR) is None


def test_a_session_ends_by_itself_after_its_time_however_busy(store, ana):
    session_id = start_session(store, ana, now=NOW, lifetime=3 * HOUR)
    for minutes in range(0, 180, 30):
        assert session_user(store, session_id, now=NOW + timedelta(minutes=minutes), idle=HOUR) == ana
    assert session_user(store, session_id, now=NOW + 3 * HOUR, idle=HOUR) is None


def test_a_session_ends_by_itself_when_it_is_not_used(store, ana):
    session_id = start_session(store, ana, now=NOW, lifetime=30 * HOUR)
    assert session_user(store, session_id, now=NOW + HOUR - timedelta(seconds=1), idle=HOUR) == ana
    assert session_user(store, session_id, now=NOW + 2 * HOUR - timedelta(seconds=2), idle=HOUR) == ana
    assert session_user(store, session_id, now=NOW + 3 * HOUR, idle=HOUR) is None


def test_a_click_soon_after_another_writes_nothing(store, ana):
    session_id = start_session(store, ana, now=NOW, lifetime=30 * HOUR)
    before = rows(store, sessions)
    session_user(store, session_id, now=NOW + timedelta(minutes=4), idle=HOUR)
    assert rows(store, sessions) == before
    session_user(store, session_id, now=NOW + timedelta(minutes=6), idle=HOUR)
    assert rows(store, sessions) != before


def test_while_a_run_is_being_published_nobody_waits_and_nobody_is_signed_out(url):
    with HistoryStore(url, pooled=True) as store:
        ana = add_user(store, person(), now=NOW)
        session_id = start_session(store, ana, now=NOW, lifetime=30 * HOUR)
        _, text = make_token(store)
        started = time.monotonic()
        with store.database.writing() as publishing:
            publishing.execute(update(users).values(display_name="Ana"))
            assert session_user(store, session_id, now=NOW + HOUR, idle=2 * HOUR) == ana
            assert find_token(store, text, now=NOW + HOUR) is not None
        assert time.monotonic() - started < 5
        assert session_user(store, session_id, now=NOW + HOUR, idle=2 * HOUR) == ana
        assert rows(store, sessions)[0]["seen_at"] == (NOW + HOUR).replace(tzinfo=None)


def test_after_a_note_other_writers_are_waited_for_again(sqlite_url):
    with HistoryStore(sqlite_url, pooled=True) as store:
        store.database.note(update(users).values(display_name="Ana"))
        with store.database.reading() as connection:
            assert connection.exec_driver_sql("pragma busy_timeout").scalar() > 0
        store.database.note(text("update nowhere set a = 1"))


def test_sessions_that_are_over_are_swept_out(store, ana):
    start_session(store, ana, now=NOW, lifetime=HOUR)
    second = start_session(store, ana, now=NOW + 2 * HOUR, lifetime=HOUR)
    assert [row["digest"] for row in rows(store, sessions)] == [digest(second)]


@pytest.mark.parametrize("how", ["password", "disabled"])
def test_every_session_of_a_person_and_of_nobody_else_ends_with(store, ana, how):
    rex = add_user(store, person("rex"), now=NOW)
    _, _, of_rex = (start_session(store, user, now=NOW, lifetime=HOUR) for user in (ana, ana, rex))
    if how == "password":
        store_hash(store, ana.user_id, "new hash", end_sessions=True)
    else:
        assert change_user(store, ana.name, now=NOW, disabled=True).disabled
    assert [row["digest"] for row in rows(store, sessions)] == [digest(of_rex)]


def test_a_disabled_person_has_no_session_even_if_one_were_left(store, ana):
    change_user(store, ana.name, now=NOW, disabled=True)
    session_id = start_session(store, ana, now=NOW, lifetime=HOUR)
    assert session_user(store, session_id, now=NOW, idle=HOUR) is None
    change_user(store, ana.name, now=NOW, disabled=False)
    assert session_user(store, session_id, now=NOW, idle=HOUR) == ana


def test_a_changed_role_holds_from_the_next_look_on(store, ana):
    session_id = start_session(store, ana, now=NOW, lifetime=HOUR)
    change_user(store, ana.name, now=NOW, role=Role.VIEWER, own_only=False)
    found = session_user(store, session_id, now=NOW, idle=HOUR)
    assert (found.role, found.scope) == (Role.VIEWER, None)


def test_a_rehash_leaves_the_sessions_alone(store, ana):
    session_id = start_session(store, ana, now=NOW, lifetime=HOUR)
    store_hash(store, ana.user_id, "stronger", end_sessions=False)
    assert session_user(store, session_id, now=NOW, idle=HOUR) == ana
    assert password_of(store, "ana") == (ana, "stronger")
    assert password_of(store, "nobody") is None


def test_somebody_unknown_cannot_be_changed(store):
    with pytest.raises(UsageError, match="user list"):
        change_user(store, "nobody", now=NOW, role=Role.ADMIN)


def test_a_provider_means_a_person_by_address_once_and_by_subject_from_then_on(store, ana):
    assert user_of_identity(store, "i", "s", email="other@x.org") is None
    assert user_of_identity(store, "i", "s", email=None) is None
    assert user_of_identity(store, "i", "s", email="ana@x.org") == ana
    with store.database.writing() as connection:
        connection.execute(update(users).values(email="new@x.org"))
    assert user_of_identity(store, "i", "s", email="ana@x.org").user_id == ana.user_id


def test_an_address_given_to_somebody_else_does_not_open_the_first_ones_access(store, ana):
    user_of_identity(store, "i", "s", email="ana@x.org")
    assert user_of_identity(store, "i", "another", email="ana@x.org") is None
    assert user_of_identity(store, "another", "s", email="ana@x.org") is None


def make_token(store, name="crm", **changes):
    usual = {"role": Role.VIEWER, "created_by": "ana", "now": NOW}
    return add_token(store, name, **(usual | changes))


def test_a_token_is_found_by_its_text_until_it_is_revoked(store):
    token_id, text = make_token(store)
    found = find_token(store, text, now=NOW)
    assert (found.token_id, found.name, found.role) == (token_id, "crm", Role.VIEWER)
    for wrong in (
        found.prefix,
        TOKEN_MARK + found.prefix,
        text[:-1],
        text.removeprefix(TOKEN_MARK),
        digest(text),
    ):
        assert find_token(store, wrong, now=NOW) is None
    revoke_token(store, token_id, now=NOW)
    assert find_token(store, text, now=NOW) is None
    assert all_tokens(store)[0].state(NOW) == "revoked"
    with pytest.raises(UsageError, match="token in force"):
        revoke_token(store, token_id, now=NOW)


def test_a_token_ends_at_its_end(store):
    _, text = make_token(store, expires_at=NOW + HOUR)
    assert find_token(store, text, now=NOW + HOUR - timedelta(seconds=1)) is not None
    assert find_token(store, text, now=NOW + HOUR) is None
    (kept,) = all_tokens(store)
    assert kept.state(NOW + HOUR) == "expired"
    assert kept.state(NOW) == "active"


def test_a_token_notes_when_it_was_used(store):
    _, text = make_token(store)
    find_token(store, text, now=NOW + HOUR)
    find_token(store, text, now=NOW + HOUR + timedelta(seconds=9))
    assert all_tokens(store)[0].used_at == (NOW + HOUR).replace(tzinfo=None)


def test_two_tokens_do_not_share_a_name(store):
    make_token(store)
    with pytest.raises(UsageError, match="token list"):
        make_token(store)


def attempt(store, name="ana", address="10.0.0.1", seconds=0, limits=(PAIR,)):
    return admit_attempt(store, name, address, now=NOW + timedelta(seconds=seconds), limits=limits)


def test_after_too_many_attempts_one_has_to_wait_for_the_oldest_to_lapse(store):
    for seconds in (0, 10, 20):
        assert attempt(store, seconds=seconds)[1] == timedelta()
    assert attempt(store, seconds=30) == (0, timedelta(minutes=15) - timedelta(seconds=30))
    assert attempt(store, seconds=900)[1] == timedelta()


def test_trying_while_one_has_to_wait_does_not_make_it_longer(store):
    for seconds in (0, 10, 20, *range(30, 890, 20)):
        attempt(store, seconds=seconds)
    assert attempt(store, seconds=900)[1] == timedelta()


def test_other_names_and_other_addresses_are_not_held_up(store):
    for _ in range(3):
        attempt(store)
    assert attempt(store, name="rex")[1] == timedelta()
    assert attempt(store, address="10.0.0.2")[1] == timedelta()


def test_a_success_forgets_the_failures_before_it(store):
    for _ in range(2):
        attempt(store)
    found, _ = attempt(store)
    mark_success(store, found, "ana", "10.0.0.1")
    for _ in range(3):
        assert attempt(store)[1] == timedelta()
    assert attempt(store)[1] > timedelta()


def test_an_attack_from_many_addresses_does_not_lock_out_an_address_that_is_known(store):
    found, _ = attempt(store, address="home", limits=(PAIR, BY_NAME))
    mark_success(store, found, "ana", "home")
    for number in range(10):
        attempt(store, address=f"bad{number}", seconds=number, limits=(PAIR, BY_NAME))
    assert attempt(store, address="new", seconds=11, limits=(PAIR, BY_NAME))[1] > timedelta()
    assert attempt(store, address="home", seconds=11, limits=(PAIR, BY_NAME))[1] == timedelta()


def test_many_attempts_at_once_do_not_outrun_the_limit(store):
    admitted = []
    line_up = threading.Barrier(8)

    def try_once():
        line_up.wait()
        admitted.append(attempt(store)[1] == timedelta())

    threads = [threading.Thread(target=try_once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(admitted) == [False] * 5 + [True] * 3


def test_old_attempts_are_swept_out(store):
    attempt(store)
    attempt(store, seconds=31 * 24 * 3600)
    assert len(rows(store, sign_in_attempts)) == 1


def test_quotes_in_names_are_nothing_but_letters(store, ana):
    hostile = "x' or '1'='1'; drop table users; --"
    assert find_user(store, hostile) is None
    assert password_of(store, hostile) is None
    assert session_user(store, hostile, now=NOW, idle=HOUR) is None
    assert find_token(store, TOKEN_MARK + hostile, now=NOW) is None
    attempt(store, name=hostile[:64], address=hostile[:64])
    assert len(rows(store, users)) == 1
