"""Tables of a real PostgreSQL server, as one stream of bounded size."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from churnrisk.contract import validate
from churnrisk.errors import UsageError
from churnrisk.sources import read_batches
from tests.sources.reading import engine, open_events, read
from tests.store.postgres import GIVEN, server

pytestmark = pytest.mark.slow

SECRET = "s3cret-of-the-crm"


@pytest.fixture(scope="module")
def base() -> Iterator[sa.URL]:
    """A server with a table of every type that such tables have."""
    with server() as url:
        execute(
            url,
            "drop schema if exists crm cascade",
            "create schema crm",
            'create table crm.usage ("Account" integer, happened timestamptz, feature text, quantity numeric(12, 4), '
            "seen date, active boolean, extra jsonb, recorded_at timestamp)",
            "insert into crm.usage values "
            "(1, '2025-03-01 10:00:00+02', 'log\"in, \nagain', 12.5, '2025-03-01', true, '{\"a\": 1}', null), "
            "(1, '2025-03-02 00:00:00.25+00', '', null, null, false, null, '2025-03-02 08:00'), "
            "(2, 'infinity', null, 'NaN', 'infinity', null, null, '2025-03-02 08:00')",
        )
        yield url


def test_a_row_of_megabytes_and_an_empty_one_are_read(base: sa.URL) -> None:
    execute(
        base,
        "drop table if exists crm.notes",
        "create table crm.notes (body text)",
        "insert into crm.notes values ('short'), (repeat('long ', 1000000)), (null)",
    )
    batches = read_batches(text_of(base), "crm.notes", base=Path())
    bodies = [body for batch in batches for body in batch["body"].to_pylist()]
    assert [body and len(body) for body in bodies] == [5, 5_000_000, None]


def execute(url: sa.URL, *statements: str) -> None:
    opened = sa.create_engine(url)
    with opened.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    opened.dispose()


@contextmanager
def passwords_for(base: sa.URL, role: str) -> Iterator[None]:
    """Let a role in by password only; a server of ours asks nobody for one."""
    execute(base, f"drop role if exists {role}", f"create role {role} login password 'another'")
    if os.environ.get(GIVEN):
        yield
        return
    opened = sa.create_engine(base)
    with opened.connect() as connection:
        rules = Path(str(connection.scalar(sa.text("show hba_file"))))
    opened.dispose()
    before = rules.read_text()
    rules.write_text(f"local all {role} scram-sha-256\n{before}")
    try:
        execute(base, "select pg_reload_conf()")
        yield
    finally:
        rules.write_text(before)


def text_of(url: sa.URL) -> str:
    return url.render_as_string(hide_password=False)


COLUMNS = {"account_id": "Account", "occurred_at": "happened"}


def test_every_type_is_read_and_null_is_not_an_empty_text(tmp_path: Path, base: sa.URL) -> None:
    with engine(tmp_path) as opened:
        open_events(opened, url=text_of(base), table="crm.usage", columns=COLUMNS)
        raw = opened.rows("select account_id, feature, quantity, active, extra from raw_events order by 1, 2")
        assert raw == [
            ("1", "", None, "f", None),
            ("1", 'log"in, \nagain', "12.5000", "t", '{"a": 1}'),
            ("2", None, "NaN", None, None),
        ]
        typed = opened.rows("select occurred_at, quantity, recorded_at from events order by 1")
        assert typed == [
            (datetime(2025, 3, 1, 8), 12.5, None),
            (datetime(2025, 3, 2, 0, 0, 0, 250_000), None, datetime(2025, 3, 2, 8)),
        ]


def test_an_invalid_date_is_counted_and_shown(tmp_path: Path, base: sa.URL) -> None:
    with engine(tmp_path) as opened:
        tables = open_events(opened, url=text_of(base), table="crm.usage", columns=COLUMNS)
        found = validate(
            opened, tables.available, native=tables.native, readings=tables.readings,
            now=datetime(2026, 1, 1),
        )  # fmt: skip
        (odd,) = [one for one in found if one.column == "occurred_at"]
        assert (odd.count, odd.examples) == (1, ("infinity",))


def test_the_servers_own_way_of_writing_dates_does_not_matter(tmp_path: Path, base: sa.URL) -> None:
    german = base.update_query_dict({"options": "-cdatestyle=German -ctimezone=America/New_York"})
    found = read(tmp_path, url=text_of(german), table="crm.usage", columns=COLUMNS)
    assert [row[1] for row in found] == [datetime(2025, 3, 1, 8), datetime(2025, 3, 2, 0, 0, 0, 250_000)]


def test_one_accounts_rows_are_queried_with_a_bound_value(tmp_path: Path, base: sa.URL) -> None:
    def accounts(value: str) -> list[object]:
        batches = read_batches(text_of(base), "crm.usage", base=tmp_path, only=("account", value))
        return [name for batch in batches for name in batch["Account"].to_pylist()]

    assert accounts("1") == ["1", "1"]
    assert accounts("1' or '1' = '1") == []


def test_a_missing_table_is_named(tmp_path: Path, base: sa.URL) -> None:
    with pytest.raises(UsageError, match=r"\[tables.events\] the database has no table 'crm.users'"):
        read(tmp_path, url=text_of(base), table="crm.users")


def test_an_unreachable_server_is_a_readable_error(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://crm:{SECRET}@127.0.0.1:1/crm"
    with pytest.raises(UsageError, match=r"'usage' cannot be read from the database: .*refused") as caught:
        read(tmp_path, url=url, table="usage")
    assert SECRET not in str(caught.value)


def test_a_wrong_password_is_reported_without_the_password(tmp_path: Path, base: sa.URL) -> None:
    role = "churnrisk_locked"
    with passwords_for(base, role):
        url = base.set(username=role, password=SECRET)
        until = time.monotonic() + 20
        said = ""
        # the server rereads its rules with a delay
        while "password authentication failed" not in said and time.monotonic() < until:
            with pytest.raises(UsageError) as caught:
                read(tmp_path, url=text_of(url), table="crm.usage")
            said = str(caught.value)
    assert "password authentication failed" in said
    assert SECRET not in said


@pytest.fixture
def large(base: sa.URL) -> str:
    execute(
        base,
        "drop table if exists crm.large",
        "create table crm.large as select 'A' || i % 1000 as account_id, timestamp '2025-01-01' + i * interval '1 s' "
        "as occurred_at, 'f' || i % 50 as feature from generate_series(1, 600000) i",
    )
    return text_of(base)


def test_a_table_is_never_held_as_a_whole(tmp_path: Path, large: str) -> None:
    tracemalloc.start()
    try:
        batches = read_batches(large, "crm.large", base=tmp_path)
        assert sum(batch.num_rows for batch in batches) == 600_000
        # the whole of it would be over 20 MB of text, and over 100 MB of Python objects
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_a_server_that_stops_midway_is_a_readable_error(tmp_path: Path, base: sa.URL, large: str) -> None:
    batches = read_batches(large, "crm.large", base=tmp_path)
    assert next(batches).num_rows == 0
    assert next(batches).num_rows
    execute(
        base,
        "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'copy (select crm.large%'",
    )
    with pytest.raises(UsageError, match=r"'crm\.large' cannot be read from the database: "):
        list(batches)
