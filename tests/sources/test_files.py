"""Tables from files: kinds, compression, globs, dialects, and what is said of bad ones."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from churnrisk.errors import ChurnRiskError, ContractError, UsageError
from tests.sources.reading import ROWS, TEXT, native, read, write_parquet


def copy_with_duckdb(text: str, path: Path, options: str) -> None:
    plain = path.with_name("plain.csv")
    plain.write_text(text)
    source = f"read_csv('{plain}', all_varchar = true)"
    with duckdb.connect() as connection:
        connection.execute(f"copy (select * from {source}) to '{path}' ({options})").fetchall()
    plain.unlink()


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    assert read(tmp_path, path="e.csv") == ROWS


def test_a_file_may_be_named_by_its_url(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    assert read(tmp_path, path=f"file://{tmp_path}/*.csv") == ROWS


@pytest.mark.parametrize("url", ["s3://lake/e.parquet", "file://host/e.parquet"])
def test_a_url_of_another_machine_needs_spark(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=rf"path '{url}' is a URL, .*engine = \"spark\""):
        read(tmp_path, path=url)


@pytest.mark.parametrize(
    ("name", "delimiter"), [("e.tsv", "\t"), ("my.events.TSV", "\t"), ("e.txt", ";"), ("e.csv", ";")]
)
def test_other_delimiters_are_recognised(tmp_path: Path, name: str, delimiter: str) -> None:
    (tmp_path / name).write_text(TEXT.replace(",", delimiter))
    assert read(tmp_path, path=name) == ROWS


def test_a_delimiter_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT.replace(",", "~"))
    assert read(tmp_path, path="e.csv", delimiter="~") == ROWS


def test_tsv_compressed_with_gzip(tmp_path: Path) -> None:
    (tmp_path / "e.tsv.gz").write_bytes(gzip.compress(TEXT.replace(",", "\t").encode()))
    assert read(tmp_path, path="e.tsv.gz") == ROWS


def test_csv_compressed_with_zstd(tmp_path: Path) -> None:
    copy_with_duckdb(TEXT, tmp_path / "e.csv.zst", "format csv, header, compression zstd")
    assert read(tmp_path, path="e.csv.zst") == ROWS


@pytest.mark.parametrize("name", ["e.parquet", "e.pq"])
def test_parquet(tmp_path: Path, name: str) -> None:
    write_parquet(
        tmp_path / name, "select 'A' account_id, timestamp '2025-03-01 10:00' occurred_at, 'login' feature"
    )
    assert read(tmp_path, path=name) == ROWS[:1]


@pytest.mark.parametrize(
    ("name", "compress"), [("e.ndjson", False), ("e.jsonl", False), ("e.jsonl.gz", True)]
)
def test_json_lines(tmp_path: Path, name: str, compress: bool) -> None:
    record = {"account_id": "A", "occurred_at": "2025-03-01 10:00:00", "feature": "login"}
    data = (json.dumps(record) + "\n").encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if compress else data)
    assert read(tmp_path, path=name) == ROWS[:1]


def test_json_array_with_a_field_of_several_types(tmp_path: Path) -> None:
    records = [
        {"account_id": "A", "occurred_at": "2025-03-01 10:00:00", "feature": "login"},
        {"account_id": 7, "occurred_at": "soon", "feature": None},
        {"account_id": 7, "occurred_at": "2025-03-02", "feature": 3},
    ]
    (tmp_path / "e.json").write_text(json.dumps(records))
    found = read(tmp_path, path="e.json")
    assert [(row[0], row[2]) for row in found] == [("7", "3"), ("A", "login")]


def test_a_glob_joins_files_whose_columns_differ(tmp_path: Path) -> None:
    (tmp_path / "2025").mkdir()
    (tmp_path / "2025" / "a.csv").write_text(TEXT)
    (tmp_path / "2025" / "b.csv").write_text("user_id,account_id,occurred_at\nu1,B,2025-03-09\n")
    assert [row[0] for row in read(tmp_path, path="**/*.csv")] == ["A", "A", "B"]
    assert list(native(tmp_path, path="2025/?.csv")) == ["account_id", "occurred_at", "feature", "user_id"]


def test_folders_and_files_may_be_called_like_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "customer [1], new?*"
    folder.mkdir()
    (folder / "e[2].csv").write_text(TEXT)
    assert read(folder, path="e[2].csv") == ROWS
    assert read(folder, path="e*.csv") == ROWS
    assert read(tmp_path, path=str(folder / "e[2].csv")) == ROWS


def test_a_parquet_column_whose_type_changes_to_text_is_read_as_text(tmp_path: Path) -> None:
    write_parquet(tmp_path / "e1.parquet", "select 7 account_id, timestamp '2025-03-01 10:00' occurred_at")
    write_parquet(tmp_path / "e2.parquet", "select 'A' account_id, '2025-03-02' occurred_at")
    assert [row[0] for row in read(tmp_path, path="e*.parquet")] == ["7", "A"]


def test_a_parquet_column_whose_types_do_not_go_together_is_one_clear_error(tmp_path: Path) -> None:
    write_parquet(tmp_path / "e1.parquet", "select 7 account_id, 5 occurred_at")
    write_parquet(tmp_path / "e2.parquet", "select 7 account_id, timestamp '2025-03-02' occurred_at")
    with pytest.raises(ContractError, match="different types in the files of one table"):
        read(tmp_path, path="e*.parquet")


def test_latin_1_needs_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(TEXT.replace("login", "Übung").encode("latin-1"))
    assert read(tmp_path, path="e.csv", encoding="latin-1")[0][2] == "Übung"
    with pytest.raises(
        ContractError,
        match=r'\[tables.events\] e.csv is not UTF-8. Set encoding = "cp1252", which reads “Übung”',
    ):
        read(tmp_path, path="e.csv")


def test_utf_16_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_bytes(TEXT.encode("utf-16-le"))
    (tmp_path / "marked.csv").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert read(tmp_path, path="wide.csv", encoding="utf-16") == ROWS
    assert read(tmp_path, path="marked.csv") == ROWS


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    with pytest.raises(ChurnRiskError, match="klingon"):
        read(tmp_path, path="e.csv", encoding="klingon")


def test_texts_for_unknown_are_no_values(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(TEXT.replace("login", "NA").replace("report", "\\N"))
    assert [row[2] for row in read(tmp_path, path="e.csv", nulls=("NA", "\\N"))] == [None, None]


def test_quoted_line_breaks_and_delimiters_stay_inside_their_value(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text('account_id,occurred_at,feature\nA,2025-03-01,"a, ""b""\nc"\n')
    assert read(tmp_path, path="e.csv")[0][2] == 'a, "b"\nc'


def test_a_wrong_path_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "usage.csv").write_text(TEXT)
    with pytest.raises(UsageError, match=r"\[tables.events\] path 'e.csv' matches no file in .*usage.csv"):
        read(tmp_path, path="e.csv")


@pytest.mark.parametrize("pattern", ["*", "notes.md"])
def test_files_of_unknown_or_mixed_kinds_are_refused(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "e.csv").write_text(TEXT)
    (tmp_path / "notes.md").write_text("notes")
    with pytest.raises(UsageError, match="files of one kind"):
        read(tmp_path, path=pattern)


def test_a_truncated_parquet_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    write_parquet(path, "select 'A' account_id, timestamp '2025-03-01' occurred_at from range(5000)")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ContractError, match=r"\[tables.events\] a file is damaged: .*e.parquet.* again"):
        read(tmp_path, path="e.parquet")


def test_a_parquet_file_with_a_damaged_page_is_a_readable_error(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    write_parquet(
        path, "select 'A' || hash(i) account_id, timestamp '2025-03-01' occurred_at from range(5000) t(i)"
    )
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * 40 + data[44:])
    with pytest.raises(ContractError, match="a file is damaged"):
        read(tmp_path, path="e.parquet")


@pytest.mark.parametrize(
    ("name", "data"), [("e.csv.gz", b"no gzip"), ("e.json", b'{"account_id": "A", "occ')]
)
def test_other_damaged_files_are_readable_errors(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ContractError, match=name):
        read(tmp_path, path=name)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("")
    with pytest.raises(ContractError, match="empty, without even a header"):
        read(tmp_path, path="e.csv")


def test_lines_of_unequal_length_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        TEXT + "A,2025-03-04,login\n" * 500 + "A,2025-03-05\n" + "A,2025-03-04,login\n" * 5
    )
    with pytest.raises(ContractError, match="as many values as its header"):
        read(tmp_path, path="e.csv")


@contextmanager
def nobody() -> Iterator[None]:
    """Do without the superuser's rights, for whom nothing is unreadable."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_an_unreadable_file_is_a_readable_error() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        table = Path(folder, "e.csv")
        table.write_text(TEXT)
        table.chmod(0)
        with nobody(), pytest.raises(ContractError, match="cannot be read"):
            read(Path(folder), path="e.csv")
