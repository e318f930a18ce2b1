"""What is particular to PostgreSQL: who comes second waits, errors are plain, secrets stay secret."""

import threading
from datetime import datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import make_url, text

from churnrisk.auth import Limit, admit_attempt
from churnrisk.errors import UsageError
from churnrisk.store import HistoryStore, WriteLock
from tests.store.postgres import drop_schema, new_schema

pytestmark = pytest.mark.slow

SECRET = "hunter2"


@pytest.fixture
def postgres_url(postgres):
    url = new_schema(postgres)
    yield url
    drop_schema(postgres, url)


def test_the_plain_scheme_uses_the_driver_we_ship(postgres_url):
    plain = postgres_url.replace("postgresql+psycopg://", "postgresql://")
    with HistoryStore(plain) as store:
        assert store.runs() == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"database": "no_such_database"}, "it is not there"),
        ({"username": "nobody_here"}, "it is not there"),
        ({"query": {"host": "/tmp/no-such-socket"}}, "no server listens there"),
        ({"host": "127.0.0.1", "port": 1, "query": {}}, "no server listens there"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_without_the_password(postgres_url, change, message):
    url = make_url(postgres_url).set(**{"password": SECRET, **change})
    with pytest.raises(UsageError, match=message) as error:
        HistoryStore(url.render_as_string(hide_password=False))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql//kim:{SECRET}@host/db",
        f"postgresql://kim:{SECRET}@127.0.0.1:1/db",
        f"postgresql://127.0.0.1:1/db?user=kim&password={SECRET}",
        f"nosuchdb://kim:{SECRET}@host/db",
        f"nosuchdb://kim@host/db?password={SECRET}",
    ],
)
def test_no_message_shows_a_secret_of_the_url(url):
    with pytest.raises(UsageError) as error:
        HistoryStore(url)
    assert SECRET not in str(error.value)


def test_publishing_waits_for_another_and_says_so_when_it_takes_too_long(postgres_url, new_run, scored):
    with HistoryStore(postgres_url) as first, HistoryStore(postgres_url, busy_seconds=0.2) as second:

        def pieces():
            yield scored("red")
            with pytest.raises(UsageError, match="another program is writing"):
                second.publish(new_run(month=2), scored("green"))

        assert first.publish(new_run(), pieces()).is_new
        assert second.publish(new_run(month=2), scored("green")).is_new


def test_runs_published_at_once_carry_on_from_each_other(postgres_url, new_run, scored):
    """Whoever comes second must see the run of the first, or days in colour would be wrong."""
    inside = threading.Event()

    def pieces():
        inside.set()
        yield scored("red")

    def publish_january():
        with HistoryStore(postgres_url) as store:
            store.publish(new_run(month=1), pieces())

    with HistoryStore(postgres_url) as store:
        first = threading.Thread(target=publish_january)
        first.start()
        assert inside.wait(30)
        run = store.publish(new_run(month=2), scored("red")).run
        first.join(30)
        since = store.scores(run.run_id)["colour_since"].tolist()
    assert since == [pd.Timestamp(2026, 1, 1)]


def test_a_view_stays_the_same_while_others_publish(postgres_url, new_run, scored):
    count = text("select count(*) from runs")
    with HistoryStore(postgres_url) as store, HistoryStore(postgres_url) as other:
        with store.database.reading() as connection:
            before = connection.execute(count).scalar()
            other.publish(new_run(), scored("red"))
            assert connection.execute(count).scalar() == before
        assert len(store.runs()) == 1


def test_a_server_that_is_ended_in_the_middle_leaves_the_last_good_run(
    postgres_url, postgres, new_run, scored
):
    from sqlalchemy import create_engine

    end = text("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ended'")

    def pieces():
        yield scored("red", "red")
        engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(end)
        engine.dispose()
        yield scored("green")

    with HistoryStore(f"{postgres_url}&application_name=ended") as store:
        good = store.publish(new_run(), scored("red")).run
        with pytest.raises(UsageError, match="the server ended the connection"):
            store.publish(new_run(month=2), pieces())
        assert store.runs() == (good,)
        assert store.publish(new_run(month=2), scored("red")).is_new


def test_a_newer_schema_is_refused_and_left_alone(url):
    with HistoryStore(url) as store, store.database.writing() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(UsageError, match=r"schema version '9999'.*Update churnrisk"):
        HistoryStore(url)


def test_accounts_are_ordered_by_code_point_on_every_database(store, new_run):
    accounts = ["b", "A", "a-1", "a1", "Ä", "B", "_"]
    frame = pd.DataFrame({"account_id": accounts, "colour": "red", "decided_by": "model"})
    run = store.publish(new_run(), frame).run
    assert store.scores(run.run_id)["account_id"].tolist() == sorted(accounts)


def test_texts_that_mean_something_to_the_driver_come_back_as_they_went_in(store, new_run):
    texts = ["\\N", "a\tb", "a\nb", "\\", '"', "'; drop table runs; --", "", "%s %(x)s", "naïve ✓ 𝄞"]
    frame = pd.DataFrame(
        {
            "account_id": [f"a{i}" for i in range(len(texts))],
            "name": texts,
            "colour": "red",
            "decided_by": "model",
            "renewal_at": datetime(2026, 3, 1, 10, 30),
        }
    )
    run = store.publish(new_run(), frame).run
    found = store.scores(run.run_id)
    assert found["name"].tolist() == texts
    assert set(found["renewal_at"]) == {pd.Timestamp(2026, 3, 1, 10, 30)}


def test_nobody_who_signs_in_waits_for_a_review_that_is_being_written(postgres_url):
    limits = (Limit(5, timedelta(minutes=15), same=("name", "address")),)
    with HistoryStore(postgres_url, busy_seconds=1) as store, store.database.writing(WriteLock.REVIEWS):
        _, wait = admit_attempt(store, "ana", "127.0.0.1", now=datetime(2026, 7, 1), limits=limits)
    assert wait == timedelta()
