"""The view as a file, over a real history."""

import csv
import io
from datetime import datetime

import pandas as pd
import pytest

from churnrisk.records import RedListQuery
from churnrisk.store import HistoryStore, NewRun
from churnrisk.web import chunks, csv_file

AS_OF = datetime(2026, 7, 6)


@pytest.mark.parametrize("number", [1, 500, 501, 1_203])
def test_every_account_of_the_view_is_in_the_file_once(tmp_path, number):
    ids = [f"A{place:04d}" for place in range(number)]
    frame = pd.DataFrame({"account_id": ids, "colour": "red", "decided_by": "model", "probability": 0.5})
    with HistoryStore(f"sqlite:///{tmp_path / 'history.db'}", pooled=True) as store:
        store.publish(NewRun(AS_OF, AS_OF, "i", "m", "p"), frame)
        file = csv_file(store, RedListQuery(), now=AS_OF)
    # the history is closed by now: sending the file needs it no more
    text = b"".join(chunks(file)).decode("utf-8-sig")
    assert sorted(row["account_id"] for row in csv.DictReader(io.StringIO(text))) == ids
    assert file.closed
