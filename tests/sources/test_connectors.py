"""Connectors: one company in the shape of each product gives the panel that its plain tables give, bit for bit."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from pydantic import TypeAdapter

import churnrisk as cr
from churnrisk.errors import UsageError
from churnrisk.sources import (
    Engine,
    EngineConfig,
    TableConfig,
    connectors,
    open_tables,
    read_connector,
    recognise,
)
from tests.sources.company import make_company
from tests.sources.shapes import SHAPES, Frames, Shape

CASES = Path(__file__).parents[3] / "shared" / "cases"
SETTINGS = '[churn]\ndefinition = "contractual"\nhorizon_days = 30\ngrace_days = 7\n'


def toml(value: Any) -> str:
    """Write one value of a TOML file."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def panel(folder: Path, tables: dict[str, dict[str, Any]]) -> cr.TrainingPanel:
    lines = [f"[tables.{name}]\n" + "".join(f"{key} = {toml(one)}\n" for key, one in settings.items())
             for name, settings in tables.items()]  # fmt: skip
    (folder / "churnrisk.toml").write_text("\n".join(lines) + SETTINGS)
    return cr.load(folder, now=datetime(2025, 11, 1)).panel()


def write_plain(folder: Path, frames: Frames) -> dict[str, dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False, date_format="%Y-%m-%d %H:%M:%S")
    return {name: {"path": f"../plain/{name}.csv"} for name in frames}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_gives_the_panel_of_the_plain_tables(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    company = make_company(shape.key)
    (export := tmp_path / "export").mkdir()
    shape.write(company, export)
    found = recognise(export)
    assert found.connector == shape.connector
    assert set(found.tables) == set(shape.carries)

    carried = {table: columns.split() for table, columns in shape.carries.items()}
    frames = shape.plain(company)
    frames |= {table: frames[table][columns] for table, columns in carried.items()}
    plain = write_plain(tmp_path / "plain", frames)
    expected = panel(tmp_path / "plain", plain)
    given = panel(export, {**plain, **found.tables})

    assert len(expected.X) > 100
    assert expected.y.sum() > 8
    pd.testing.assert_frame_equal(given.X, expected.X)
    pd.testing.assert_series_equal(given.y, expected.y)


def export(folder: Path, name: str, *, without: tuple[str, ...] = ()) -> Path:
    """Write a shape into a folder, but for some of its files."""
    folder.mkdir(exist_ok=True)
    SHAPES[name].write(make_company(SHAPES[name].key), folder)
    for file in without:
        (folder / file).unlink()
    return folder


OWN = """
title = "Our billing"
export = "the nightly dump"
[files.terms]
needs = ["kunde", "von", "bis|ende"]
[tables.subscriptions]
path = "{terms}"
columns = { account_id = "kunde", started_at = "von", ended_at = "bis" }
where = "\\"von\\" is not null and \\"geprüft\\" = 'ja'"
"""


def own(folder: Path, text: str = OWN) -> Path:
    (folder / "connectors").mkdir(exist_ok=True)
    (folder / "connectors" / "billing.toml").write_text(text)
    return folder


def rows(folder: Path, shape: Shape) -> dict[str, list[str]]:
    """Return the rows of the tables that a shape carries, as the contract sees them."""
    with Engine(EngineConfig(), base=folder) as engine:
        settings = TypeAdapter(dict[str, TableConfig]).validate_python(recognise(folder).tables)
        open_tables(engine, settings)
        lists = {name: ", ".join(columns.split()) for name, columns in shape.carries.items()}
        return {
            name: sorted(map(repr, engine.rows(f"select {columns} from {name}")))
            for name, columns in lists.items()
        }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stripe_warehouse", "recurly", "zuora", "zendesk", "posthog", "shopify"])
@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_files_with_types_give_the_rows_that_text_gives(name: str, kind: str, tmp_path: Path) -> None:
    text = export(tmp_path / "text", name)
    (typed := tmp_path / "typed").mkdir()
    for path in text.glob("*.csv"):
        source = f"read_csv('{path}', sample_size = -1)"
        duckdb.sql(f"copy (from {source}) to '{typed / path.stem}.{kind}' (format {kind})")
    expected = rows(text, SHAPES[name])
    assert all(expected.values())
    assert rows(typed, SHAPES[name]) == expected


def test_half_an_export_beside_a_whole_one_is_said(tmp_path: Path) -> None:
    export(tmp_path, "recurly")
    export(tmp_path, "zendesk", without=("organizations.csv",))
    found = recognise(tmp_path)
    assert found.connector == "recurly"
    assert any(
        "looks like an export of Zendesk (tickets.csv), but no file has" in note for note in found.notes
    )


def test_a_folder_without_a_known_export_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    assert recognise(tmp_path) == type(recognise(tmp_path))()


def test_names_of_files_do_not_matter(tmp_path: Path) -> None:
    export(tmp_path, "recurly")
    (tmp_path / "accounts.csv").rename(tmp_path / "x.csv")
    (tmp_path / "subscriptions.csv").rename(tmp_path / "accounts.csv")
    found = recognise(tmp_path)
    assert found.files == {"x.csv": "accounts", "accounts.csv": "subscriptions"}


@pytest.mark.parametrize(
    ("name", "without", "says"),
    [
        ("stripe_dashboard", "unified_customers.csv", "no file has the columns of customers: id, Email"),
        ("recurly", "accounts.csv", "no file has the columns of accounts: account_code"),
        ("intercom", "companies.csv", "no file has the columns of companies: id, company_id, name"),
    ],
)
def test_a_part_of_an_export_gives_a_message_and_no_table(
    name: str, without: str, says: str, tmp_path: Path
) -> None:
    found = recognise(export(tmp_path, name, without=(without,)))
    assert not found.tables
    assert says in found.notes[0]
    assert found.notes[0].endswith("Export it again with them, or map the tables by hand.")


def test_a_file_that_lacks_a_needed_column_is_named_with_it(tmp_path: Path) -> None:
    export(tmp_path, "stripe_dashboard")
    terms = pd.read_csv(tmp_path / "subscriptions.csv").drop(columns=["Ended At (UTC)"])
    terms.to_csv(tmp_path / "subscriptions.csv", index=False)
    found = recognise(tmp_path)
    assert not found.tables
    assert "subscriptions.csv lacks Ended At (UTC)|Ended (UTC) of subscriptions" in found.notes[0]


def test_another_encoding_is_set_where_a_table_is_read_by_its_path(tmp_path: Path) -> None:
    export(tmp_path, "recurly")
    for name in ("accounts.csv", "subscriptions.csv"):
        text = (tmp_path / name).read_text().replace("Firm", "Café").replace("team", "größer")
        (tmp_path / name).write_text(text, encoding="cp1252")
    found = recognise(tmp_path)
    assert not found.tables
    assert "subscriptions.csv must be saved as UTF-8 CSV first" in found.notes[0]
    terms = (tmp_path / "subscriptions.csv").read_text("cp1252")
    (tmp_path / "subscriptions.csv").write_text(terms)
    assert recognise(tmp_path).tables["accounts"]["encoding"] == "cp1252"


def test_what_an_export_may_lack_is_said(tmp_path: Path) -> None:
    export(tmp_path, "hubspot_pages", without=("deals.csv",))
    tickets = pd.read_csv(tmp_path / "tickets.csv").drop(columns=["Priority"])
    tickets.to_csv(tmp_path / "tickets.csv", index=False)
    found = recognise(tmp_path)
    assert list(found.tables) == ["accounts", "complaints"]
    assert "severity" not in found.tables["complaints"]["columns"]
    assert "HubSpot: no file for subscriptions" in found.notes
    assert any("tickets.csv has no Priority" in note for note in found.notes)


def test_several_files_of_one_kind_are_one_table(tmp_path: Path) -> None:
    export(tmp_path, "segment")
    tracks = pd.read_csv(tmp_path / "tracks.csv")
    (tmp_path / "tracks.csv").unlink()
    for month in (1, 2):
        tracks.to_csv(tmp_path / f"tracks-2025-0{month}.csv", index=False)
    assert recognise(tmp_path).tables["events"]["path"] == "tracks-2025-0*.csv"


def test_two_shapes_of_one_file_are_not_chosen_from(tmp_path: Path) -> None:
    export(tmp_path, "recurly")
    accounts = pd.read_csv(tmp_path / "accounts.csv")
    accounts.assign(other=1).to_csv(tmp_path / "accounts2.csv", index=False)
    found = recognise(tmp_path)
    assert not found.tables
    assert "accounts.csv and accounts2.csv are both accounts, and cannot be read as one" in found.notes[0]


def test_two_products_in_one_folder_complete_each_other(tmp_path: Path) -> None:
    export(tmp_path, "stripe_dashboard")
    found = recognise(export(tmp_path, "zendesk"))
    assert found.connector == "stripe_dashboard + zendesk"
    assert list(found.tables) == ["accounts", "complaints", "subscriptions"]
    assert found.tables["accounts"]["path"] == "unified_customers.csv"
    assert any("accounts are those of Stripe (dashboard)" in note for note in found.notes)


def test_a_user_adds_a_connector_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "dump.csv").write_text("Kunde,von,Ende\nA,2025-01-01,\n")
    found = recognise(own(tmp_path))
    assert found.connector == "billing"
    assert found.tables == {
        "subscriptions": {
            "path": "dump.csv",
            "columns": {"account_id": "Kunde", "started_at": "von", "ended_at": "Ende"},
            "where": '"von" is not null',
        }
    }


@pytest.mark.parametrize(
    ("line", "other", "says"),
    [
        ('title = "Our billing"', "", "title: Field required"),
        ('path = "{terms}"', 'path = "{term}"', "tables.subscriptions: names the file term; there is terms"),
        ('path = "{terms}"', 'path = "terms.csv"', "expected a file like {name} in path or sql, found none"),
        ("[tables.subscriptions]", "[tables.terms]", "tables: expected accounts, events"),
        ("where =", "wher =", "wher: Unexpected keyword argument"),
        ("needs = [", "needs = ", "no valid TOML for a connector|is not valid TOML"),
        ("needs =", "optional = true\nneeds =", "expected one at least that is not optional, found none"),
    ],
)
def test_a_mistake_in_a_connector_is_one_clear_error(
    line: str, other: str, says: str, tmp_path: Path
) -> None:
    assert line in OWN
    with pytest.raises(UsageError, match=says) as caught:
        recognise(own(tmp_path, OWN.replace(line, other)))
    assert "billing.toml" in str(caught.value)


def test_every_connector_says_what_must_be_known(tmp_path: Path) -> None:
    for connector in connectors().values():
        assert set(connector.says) == {"ids", "money", "customer", "end", "rows"}, connector.name
    assert len(connectors()) == 16
    assert list(connectors(own(tmp_path)))[-1] == "billing"
    assert read_connector(tmp_path / "connectors" / "billing.toml").title == "Our billing"


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the cases are not at {CASES}")
@pytest.mark.parametrize(
    ("case", "connector"),
    [("09-*", "stripe_warehouse"), ("12-*", "stripe_warehouse"), ("15-*", "recurly"), ("0[1-8]-*", "")],
)
def test_exports_of_real_products_are_recognised_and_others_are_not(case: str, connector: str) -> None:
    for folder in CASES.glob(f"{case}/input"):
        assert recognise(folder).connector == connector, folder
