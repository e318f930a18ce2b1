"""Real processes that are killed while publishing, or publish at the same time."""

import subprocess
import sys
import time
from datetime import datetime

import pytest

from churnrisk.store import HistoryStore, NewRun

pytestmark = pytest.mark.slow

PUBLISH = """
import sys, time
from datetime import datetime
import pandas as pd
from churnrisk.store import HistoryStore, NewRun

url, month, pause = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def pieces():
    for part in range(4):
        ids = [f"a{part}-{i}" for i in range(20_000)]
        yield pd.DataFrame({"account_id": ids, "colour": "red", "decided_by": "model"})
        print("piece", part, flush=True)
        if pause == str(part):
            time.sleep(600)

with HistoryStore(url) as store:
    print("open", flush=True)
    if pause == "start":
        sys.stdin.readline()
    run = NewRun(datetime(2026, month, 1), datetime(2026, 9, 1), "i", "m", "p")
    print("new" if store.publish(run, pieces()).is_new else "there", flush=True)
"""


def publisher(url, month, pause):
    return subprocess.Popen(
        [sys.executable, "-c", PUBLISH, url, str(month), pause],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_until(process, line):
    for found in process.stdout:
        if found.strip() == line:
            return
    raise AssertionError(f"the process ended before it said {line!r}")


@pytest.mark.parametrize("part", [0, 3])
def test_a_process_killed_while_publishing_leaves_the_last_good_run_live(url, new_run, scored, part):
    with HistoryStore(url) as store:
        good = store.publish(new_run(), scored("red", "green")).run
    with publisher(url, 2, str(part)) as process:
        read_until(process, f"piece {part}")
        process.kill()
    with HistoryStore(url) as store:
        assert store.runs() == (good,)
        assert len(store.scores(good.run_id)) == 2
        assert store.publish(new_run(month=2), scored("red")).run.accounts == 1


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.6])
def test_a_process_killed_at_any_moment_leaves_a_whole_run_or_none(url, new_run, scored, seconds):
    with HistoryStore(url) as store:
        good = store.publish(new_run(), scored("red", "green")).run
    with publisher(url, 2, "none") as process:
        read_until(process, "open")
        time.sleep(seconds)
        process.kill()
    with HistoryStore(url) as store:
        again = store.publish(
            NewRun(datetime(2026, 2, 1), datetime(2026, 9, 1), "i", "m", "p"), scored("red")
        )
        assert store.runs() == (again.run, good)
        assert again.run.accounts == (1 if again.is_new else 80_000)
        assert [len(store.scores(run.run_id)) for run in store.runs()] == [again.run.accounts, 2]


def test_two_processes_at_once_publish_once(url):
    HistoryStore(url).close()
    with publisher(url, 1, "start") as one, publisher(url, 1, "start") as two:
        for process in (one, two):
            read_until(process, "open")
        for process in (one, two):
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=120)[0].split()[-1] for process in (one, two)]
    assert sorted(said) == ["new", "there"]
    with HistoryStore(url) as store:
        assert [run.accounts for run in store.runs()] == [80_000]
        assert store.latest_run().as_of == datetime(2026, 1, 1)


def test_two_processes_at_once_make_the_schema_once(url):
    with publisher(url, 1, "none") as one, publisher(url, 2, "none") as two:
        said = [process.communicate(timeout=120)[0].split()[-1] for process in (one, two)]
    assert said == ["new", "new"]
    with HistoryStore(url) as store:
        assert len(store.runs()) == 2
