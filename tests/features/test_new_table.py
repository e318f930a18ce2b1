"""A new raw table with its signals, "payments" and failed charges, needs the objects below and nothing else.

A newcomer puts PAYMENTS_TABLE into ``contract/tables.py``, the block and its features into a file of their own,
``features/payments.py``, and registers the group in ``features/catalogue.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from churnrisk.contract import TABLES, TableSpec, columns_of, validate
from churnrisk.features import (
    GROUPS,
    BlockInputs,
    FeatureBlock,
    FeatureConfig,
    FeatureFamily,
    FeatureGroup,
    build_features,
    find_leaks,
    script_of,
    select_features,
)
from churnrisk.snapshots import ChurnConfig, SnapshotConfig, build_panel, data_span
from churnrisk.sources import Engine, EngineConfig, TableConfig, Tables, guess_tables, open_tables

PAYMENTS_TABLE = TableSpec(
    "payments",
    columns_of(
        "account_id:id! charged_at:timestamp! amount:number failed:boolean! recovered_at:timestamp "
        "recorded_at:timestamp"
    ),
    time="charged_at",
    later=("recovered_at",),
    words="payment charge billing",
)


def prepare_payments(inputs: BlockInputs) -> FeatureBlock:
    known = inputs.available.known_at("payments", "t")
    recovered = inputs.available.optional("payments.recovered_at", "t", "timestamp")
    columns = inputs.create(
        "payment_columns",
        "select p.account_key, p.as_of, "
        "count(*) filter (where t.failed and t.charged_at >= p.as_of - interval 30 day) as failed_charges_30, "
        f"count(*) filter (where t.failed and ({recovered} is null or {recovered} >= p.as_of)) as unpaid_charges, "
        "max(t.charged_at) filter (where t.failed) as last_failed_at "
        f"from {inputs.rows} p join payments t on t.account_id = p.account_id and {known} < p.as_of "
        "group by p.account_key, p.as_of",
    )
    return FeatureBlock.of(columns)


_payment = FeatureFamily("value", ("payments",), "No charge ever failed")
PAYMENTS = FeatureGroup(
    "payments",
    prepare_payments,
    (
        _payment(
            "failed_charges_30", "charges", "coalesce(failed_charges_30, 0)", "failed charges in the last 30 days",
            "{value:.0f} charges failed in the last 30 days", +1,
        ),
        _payment(
            "unpaid_charges", "charges", "coalesce(unpaid_charges, 0)", "failed charges not recovered",
            "{value:.0f} failed charges are still unpaid", +1, ("payments.recovered_at",),
        ),
        _payment(
            "days_since_failed_charge", "days", "date_diff('day', last_failed_at, as_of)",
            "days since the last failed charge", "A charge failed {value:.0f} days ago",
        ),
    ),
    {"payment_columns": "Charges that failed and that are still unpaid, as known at each date."},
)  # fmt: skip

AS_OF = datetime(2026, 3, 1)
FILES = {
    "accounts": "account_id,signed_up_at\nA,2025-01-01\nB,2025-01-01\nC,2025-01-01\n",
    "events": "account_id,occurred_at\nA,2026-02-20\nB,2026-02-21\nC,2026-02-22\n",
    # of A: old, recent, recorded late, recovered later; of B: on the as-of instant, and one that did not fail
    "payments": (
        "customer,charged_at,amount,failed,recovered_at,recorded_at\n"
        "A,2025-12-01,10,yes,2025-12-03,\n"
        "A,2026-02-10,10,yes,2026-03-05,2026-02-10\n"
        "A,2026-02-25,10,yes,,2026-03-01\n"
        " A,2026-02-26,10,no,,\n"
        "B,2026-03-01,10,yes,,\n"
        "B,2026-02-01,10,no,,\n"
        "X,2026-02-01,10,no,,\n"
        "C,soon,10,yes,,\n"
    ),
}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLES, "payments", PAYMENTS_TABLE)
    monkeypatch.setitem(GROUPS, "payments", PAYMENTS)


@contextmanager
def company(folder: Path, *names: str) -> Iterator[Tables]:
    configs = {}
    for name in names or FILES:
        (folder / f"{name}.csv").write_text(FILES[name])
        columns = {"account_id": "customer"} if name == "payments" else {}
        configs[name] = TableConfig(path=f"{name}.csv", columns=columns)
    with Engine(EngineConfig(threads=1), base=folder) as engine:
        yield open_tables(engine, configs)


def features(tables: Tables) -> pd.DataFrame:
    build_panel(tables, ChurnConfig(), [AS_OF], data_end=datetime(2026, 4, 1))
    chosen = select_features(FeatureConfig(), tables.available)
    return build_features(tables, chosen, labelled_only=False).X.droplevel("as_of")


def test_the_features_count_what_was_known_before_the_date(tmp_path: Path) -> None:
    with company(tmp_path) as tables:
        X = features(tables)[[feature.name for feature in PAYMENTS.features]]
    assert X.loc["A"].tolist() == [1, 1, 19]
    assert X.loc["B", "failed_charges_30"] == 0
    assert X["days_since_failed_charge"].isna().tolist() == [False, True, True]


def test_without_the_table_its_features_are_absent(tmp_path: Path) -> None:
    with company(tmp_path, "accounts", "events") as tables:
        assert not {feature.name for feature in PAYMENTS.features} & set(features(tables))


def test_the_features_do_not_see_the_future(tmp_path: Path) -> None:
    with company(tmp_path) as tables:
        build_panel(tables, ChurnConfig(), [AS_OF], data_end=datetime(2026, 4, 1))
        chosen = select_features(FeatureConfig(), tables.available)
        assert find_leaks(tables, chosen, key_features=()) == []


def test_the_contract_check_covers_the_table(tmp_path: Path) -> None:
    with company(tmp_path) as tables:
        found = validate(
tables.engine, tables.available, native=tables.native, readings=tables.readings,
            now=datetime(2026, 3, 3),
        )  # fmt: skip
        span = data_span(tables, SnapshotConfig(), now=datetime(2026, 3, 3))
    rules = {(one.column, one.rule.partition(",")[0]) for one in found if one.table == "payments"}
    assert ("account_id", "account is not in accounts") in rules
    assert ("charged_at", "not a date or time like 2026-03-31 or 2026-03-31 14:05:00") in rules
    assert ("recovered_at", "date lies in the future") in rules
    assert span.end == datetime(2026, 3, 2)


def test_its_files_are_recognised_and_its_step_is_explained(tmp_path: Path) -> None:
    with company(tmp_path) as tables, tables.engine.recording() as statements:
        features(tables)
    guessed = guess_tables(tmp_path, now=datetime(2026, 4, 1)).tables
    assert guessed["payments"].settings["path"] == "payments.csv"
    assert "Charges that failed and that are still unpaid" in script_of(statements, (), project="Acme")
