"""A history of an older churnrisk is brought up to date with everything in it."""

from datetime import datetime

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from churnrisk.store import HistoryStore, alembic_config, read_actions, schema_versions


def test_a_history_of_the_first_schema_keeps_its_runs_and_gains_plays_and_actions(sqlite_url):
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        connection.execute(
            text(
                "insert into runs values (1, 'k', '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', "
                "'m', 'p', 'i', 1, 1, 0, 0, 0, null)"
            )
        )
        connection.execute(
            text(
                "insert into scores (run_id, account_id, colour, decided_by, colour_since, next_step) "
                "values (1, 'a', 'red', 'model', '2026-01-01 00:00:00.000000', 'Call.')"
            )
        )
    engine.dispose()
    with HistoryStore(sqlite_url) as store:
        assert store.latest_run().as_of == datetime(2026, 1, 1)
        (score,) = store.scores(1).to_dict("records")
        assert (score["colour"], score["next_step"], score["play"]) == ("red", "Call.", None)
        with store.database.reading() as connection:
            assert read_actions(connection, "a") == []


def test_the_revisions_are_those_that_alembic_finds():
    script = ScriptDirectory.from_config(alembic_config())
    assert list(schema_versions()) == sorted(revision.revision for revision in script.walk_revisions())
    assert script.get_current_head() == schema_versions()[-1]


def test_scores_lose_their_look_at_runs_on_the_way_up_and_keep_the_index_of_the_red_list(url):
    with HistoryStore(url) as store, store.database.writing() as connection:
        made = _red_list_index(connection)
        cascade = "" if connection.dialect.name == "sqlite" else " cascade"
        for table in inspect(connection).get_table_names():
            connection.execute(text(f"drop table {table}{cascade}"))
        command.upgrade(alembic_config(connection), "0006")
        assert len(inspect(connection).get_foreign_keys("scores")) == 1
        command.upgrade(alembic_config(connection), "head")
        assert inspect(connection).get_foreign_keys("scores") == []
        assert _red_list_index(connection) == made


def _red_list_index(connection):
    source = (
        "sqlite_master where name"
        if connection.dialect.name == "sqlite"
        else "pg_indexes where schemaname = current_schema() and indexname"
    )
    kept = "sql" if connection.dialect.name == "sqlite" else "indexdef"
    return connection.execute(text(f"select {kept} from {source} = 'ix_scores_listed'")).scalar_one()
