"""People, sessions, tokens and attempts to sign in, on both databases."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from churnrisk.errors import UsageError
from churnrisk.history import HistoryStore
from churnrisk.history.access import (
    Limit,
    NewToken,
    NewUser,
    add_token,
    add_user,
    admit,
    all_tokens,
    all_users,
    change_user,
    end_session,
    find_user,
    forgive,
    password_of,
    read_session,
    read_token,
    revoke_token,
    set_password,
    start_session,
    user_of_identity,
)
from churnrisk.history.schema import sessions, sign_in_attempts, users
from churnrisk.records import Role

NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAIR = Limit(3, timedelta(minutes=15), by_name=True, by_address=True)
BY_NAME = Limit(4, timedelta(minutes=1), by_name=True, by_address=False, spares_known=True)


def person(name="ana", **changes):
    return NewUser(**({"name": name, "display_name": name.title(), "role": Role.REVIEWER} | changes))


@pytest.fixture
def ana(store):
    return add_user(store, person(owner="Ana Castillo", own_only=True, email="ana@x.org"), at=NOW)


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
        add_user(store, again, at=NOW)
    assert all_users(store) == (ana,)


def test_one_who_sees_everything_has_no_scope_although_they_own_accounts(store):
    assert add_user(store, person(owner="Ana Castillo"), at=NOW).scope is None


def test_a_session_belongs_to_its_person_until_it_ends(store, ana):
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + 3 * HOUR)
    assert read_session(store, "d1", at=NOW + HOUR, idle=2 * HOUR) == ana
    assert read_session(store, "d2", at=NOW + HOUR, idle=2 * HOUR) is None
    end_session(store, "d1")
    assert read_session(store, "d1", at=NOW + HOUR, idle=2 * HOUR) is None


def test_a_session_ends_by_itself_after_its_time_however_busy(store, ana):
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + 3 * HOUR)
    for minutes in range(0, 180, 30):
        assert read_session(store, "d1", at=NOW + timedelta(minutes=minutes), idle=HOUR) == ana
    assert read_session(store, "d1", at=NOW + 3 * HOUR, idle=HOUR) is None


def test_a_session_ends_by_itself_when_it_is_not_used(store, ana):
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + 30 * HOUR)
    assert read_session(store, "d1", at=NOW + HOUR - timedelta(seconds=1), idle=HOUR) == ana
    assert read_session(store, "d1", at=NOW + 2 * HOUR - timedelta(seconds=2), idle=HOUR) == ana
    assert read_session(store, "d1", at=NOW + 3 * HOUR, idle=HOUR) is None


def test_a_click_soon_after_another_writes_nothing(store, ana):
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + 30 * HOUR)
    before = rows(store, sessions)
    read_session(store, "d1", at=NOW + timedelta(minutes=4), idle=HOUR)
    assert rows(store, sessions) == before
    read_session(store, "d1", at=NOW + timedelta(minutes=6), idle=HOUR)
    assert rows(store, sessions) != before


def test_while_a_run_is_being_published_nobody_waits_and_nobody_is_signed_out(url):
    with HistoryStore(url, pooled=True) as store:
        ana = add_user(store, person(), at=NOW)
        start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + 30 * HOUR)
        add_token(store, token(), at=NOW)
        started = time.monotonic()
        with store.database.writing() as publishing:
            publishing.execute(update(users).values(display_name="Ana"))
            assert read_session(store, "d1", at=NOW + HOUR, idle=2 * HOUR) == ana
            assert read_token(store, "digest of crm", at=NOW + HOUR) is not None
        assert time.monotonic() - started < 5
        assert read_session(store, "d1", at=NOW + HOUR, idle=2 * HOUR) == ana
        assert rows(store, sessions)[0]["seen_at"] == (NOW + HOUR).replace(tzinfo=None)


def test_after_a_note_other_writers_are_waited_for_again(sqlite_url):
    with HistoryStore(sqlite_url, pooled=True) as store:
        store.database.note(update(users).values(display_name="Ana"))
        with store.database.reading() as connection:
            assert connection.exec_driver_sql("pragma busy_timeout").scalar() > 0
        store.database.note(text("update nowhere set a = 1"))


def test_sessions_that_are_over_are_swept_out(store, ana):
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + HOUR)
    start_session(store, "d2", ana.user_id, at=NOW + 2 * HOUR, expires_at=NOW + 3 * HOUR)
    assert [row["digest"] for row in rows(store, sessions)] == ["d2"]


@pytest.mark.parametrize("how", ["password", "disabled"])
def test_every_session_of_a_person_and_of_nobody_else_ends_with(store, ana, how):
    rex = add_user(store, person("rex"), at=NOW)
    for digest, user in (("d1", ana), ("d2", ana), ("d3", rex)):
        start_session(store, digest, user.user_id, at=NOW, expires_at=NOW + HOUR)
    if how == "password":
        set_password(store, ana.user_id, "new hash", end_sessions=True)
    else:
        assert change_user(store, ana.user_id, at=NOW, disabled=True).disabled
    assert [row["digest"] for row in rows(store, sessions)] == ["d3"]


def test_a_disabled_person_has_no_session_even_if_one_were_left(store, ana):
    change_user(store, ana.user_id, at=NOW, disabled=True)
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + HOUR)
    assert read_session(store, "d1", at=NOW, idle=HOUR) is None
    change_user(store, ana.user_id, at=NOW, disabled=False)
    assert read_session(store, "d1", at=NOW, idle=HOUR) == ana


def test_a_changed_role_holds_from_the_next_look_on(store, ana):
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + HOUR)
    change_user(store, ana.user_id, at=NOW, role=Role.VIEWER, own_only=False)
    found = read_session(store, "d1", at=NOW, idle=HOUR)
    assert (found.role, found.scope) == (Role.VIEWER, None)


def test_a_rehash_leaves_the_sessions_alone(store, ana):
    start_session(store, "d1", ana.user_id, at=NOW, expires_at=NOW + HOUR)
    set_password(store, ana.user_id, "stronger", end_sessions=False)
    assert read_session(store, "d1", at=NOW, idle=HOUR) == ana
    assert password_of(store, "ana") == (ana, "stronger")
    assert password_of(store, "nobody") is None


def test_somebody_unknown_cannot_be_changed(store):
    with pytest.raises(UsageError, match="user list"):
        change_user(store, 99, at=NOW, role=Role.ADMIN)


def test_a_provider_means_a_person_by_address_once_and_by_subject_from_then_on(store, ana):
    assert user_of_identity(store, "i", "s", email="other@x.org") is None
    assert user_of_identity(store, "i", "s", email=None) is None
    assert user_of_identity(store, "i", "s", email="ana@x.org") == (ana, True)
    change_user(store, ana.user_id, at=NOW, email="new@x.org")
    found, is_first = user_of_identity(store, "i", "s", email="ana@x.org")
    assert (found.user_id, is_first) == (ana.user_id, False)


def test_an_address_given_to_somebody_else_does_not_open_the_first_ones_access(store, ana):
    user_of_identity(store, "i", "s", email="ana@x.org")
    assert user_of_identity(store, "i", "another", email="ana@x.org") is None
    assert user_of_identity(store, "another", "s", email="ana@x.org") is None


def token(name="crm", **changes):
    usual = {
        "name": name, "prefix": "abc", "digest": f"digest of {name}", "role": Role.VIEWER, "owner": None,
        "created_by": "ana", "expires_at": None,
    }  # fmt: skip
    return NewToken(**(usual | changes))


def test_a_token_is_found_by_its_digest_until_it_is_revoked(store):
    token_id = add_token(store, token(), at=NOW)
    found = read_token(store, "digest of crm", at=NOW)
    assert (found.token_id, found.name, found.role) == (token_id, "crm", Role.VIEWER)
    assert read_token(store, "abc", at=NOW) is None
    revoke_token(store, token_id, at=NOW)
    assert read_token(store, "digest of crm", at=NOW) is None
    assert all_tokens(store)[0].state(NOW.replace(tzinfo=None)) == "revoked"
    with pytest.raises(UsageError, match="token in force"):
        revoke_token(store, token_id, at=NOW)


def test_a_token_ends_at_its_end(store):
    add_token(store, token(expires_at=NOW + HOUR), at=NOW)
    assert read_token(store, "digest of crm", at=NOW + HOUR - timedelta(seconds=1)) is not None
    assert read_token(store, "digest of crm", at=NOW + HOUR) is None
    (kept,) = all_tokens(store)
    assert kept.state((NOW + HOUR).replace(tzinfo=None)) == "expired"
    assert kept.state(NOW.replace(tzinfo=None)) == "active"


def test_a_token_notes_when_it_was_used(store):
    add_token(store, token(), at=NOW)
    read_token(store, "digest of crm", at=NOW + HOUR)
    read_token(store, "digest of crm", at=NOW + HOUR + timedelta(seconds=9))
    assert all_tokens(store)[0].used_at == (NOW + HOUR).replace(tzinfo=None)


def test_two_tokens_do_not_share_a_name(store):
    add_token(store, token(), at=NOW)
    with pytest.raises(UsageError, match="token list"):
        add_token(store, token(digest="another"), at=NOW)


def attempt(store, name="ana", address="10.0.0.1", seconds=0, limits=(PAIR,)):
    return admit(store, name, address, at=NOW + timedelta(seconds=seconds), limits=limits)


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
    forgive(store, found)
    for _ in range(3):
        assert attempt(store)[1] == timedelta()
    assert attempt(store)[1] > timedelta()


def test_an_attack_from_many_addresses_does_not_lock_out_an_address_that_is_known(store):
    found, _ = attempt(store, address="home", limits=(PAIR, BY_NAME))
    forgive(store, found)
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
    assert read_session(store, hostile, at=NOW, idle=HOUR) is None
    assert read_token(store, hostile, at=NOW) is None
    attempt(store, name=hostile[:64], address=hostile[:64])
    assert len(rows(store, users)) == 1
