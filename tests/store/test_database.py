"""A database that is missing, damaged, locked, read-only or too new gives an error in plain words."""

import sqlite3
from datetime import datetime

import pytest
from sqlalchemy import create_engine

from churnrisk.errors import UsageError
from churnrisk.store import HistoryStore, is_current, metadata


# SQLAlchemy cannot read an index over an expression back from SQLite; the next test compares those
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_a_new_database_gets_exactly_the_tables_of_the_schema(store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with store.database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert is_current(connection)


def test_the_index_of_the_red_list_is_made_as_the_schema_says(tmp_path):
    def made(path):
        with sqlite3.connect(path) as connection:
            query = "select sql from sqlite_master where name = 'ix_scores_listed'"
            found = connection.execute(query).fetchone()[0]
        connection.close()
        return " ".join(found.lower().split())

    HistoryStore(f"sqlite:///{tmp_path / 'migrated.db'}").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert made(tmp_path / "migrated.db") == made(tmp_path / "declared.db")


def test_opening_again_keeps_what_is_there(url, new_run, scored):
    with HistoryStore(url) as store:
        run = store.publish(new_run(), scored("red")).run
    with HistoryStore(url) as store:
        assert store.runs() == (run,)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match="Make the folder first"):
        HistoryStore(f"sqlite:///{tmp_path / 'none' / 'history.db'}")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "history.db"
    path.write_text("dear diary " * 200)
    with pytest.raises(UsageError, match="not a SQLite database"):
        HistoryStore(f"sqlite:///{path}")
    assert path.read_text().startswith("dear diary")


def test_a_damaged_database_is_named(tmp_path, sqlite_url, new_run, scored):
    with HistoryStore(sqlite_url) as store:
        store.publish(new_run(), scored(*["red"] * 500))
    path = tmp_path / "history.db"
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(UsageError, match="damaged"), HistoryStore(sqlite_url) as store:
        store.scores(1)


def test_a_newer_schema_is_refused_and_left_alone(sqlite_url, tmp_path):
    HistoryStore(sqlite_url).close()
    _execute(tmp_path, "update alembic_version set version_num = '9999'")
    with pytest.raises(UsageError, match=r"schema version '9999'.*Update churnrisk"):
        HistoryStore(sqlite_url)


def test_a_locked_database_is_named_after_waiting(sqlite_url, tmp_path, new_run, scored):
    with HistoryStore(sqlite_url, busy_seconds=0.05) as store:
        other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
        other.execute("begin immediate")
        with pytest.raises(UsageError, match="another program is writing"):
            store.publish(new_run(), scored("red"))
        other.execute("rollback")
        other.close()
        assert store.publish(new_run(), scored("red")).is_new


def test_a_read_only_database_can_be_read_but_not_published_to(sqlite_url, tmp_path, new_run, scored):
    with HistoryStore(sqlite_url) as store:
        store.publish(new_run(), scored("red"))
    read_only = f"sqlite:///file:{tmp_path / 'history.db'}?mode=ro&uri=true"
    with HistoryStore(read_only) as store:
        assert store.latest_run().red == 1
        with pytest.raises(UsageError, match="write access"):
            store.publish(new_run(month=2), scored("red"))


def test_readers_see_the_last_good_run_while_another_is_being_published(url, new_run, scored):
    with HistoryStore(url) as store, HistoryStore(url) as reader:
        good = store.publish(new_run(), scored("red")).run
        seen = []

        def pieces():
            yield scored("red", "amber")
            seen.append(reader.latest_run())

        store.publish(new_run(month=2), pieces())
        assert seen == [good]
        assert reader.latest_run().as_of == datetime(2026, 2, 1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("history.db", "expects a database URL"),
        ("sqlite://", "lost at the end"),
        ("sqlite:///:memory:", "lost at the end"),
        ("nosuchdb://host/name", "driver that is not installed"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(bad, message):
    with pytest.raises(UsageError, match=message):
        HistoryStore(bad)


def _execute(tmp_path, statement):
    connection = sqlite3.connect(tmp_path / "history.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
