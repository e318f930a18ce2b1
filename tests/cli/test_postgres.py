"""The daily commands with the history on PostgreSQL."""

from __future__ import annotations

import json

import pytest

from tests.store.postgres import drop_schema, new_schema, server


@pytest.fixture(scope="module")
def history_url():
    with server() as base:
        url = new_schema(base)
        yield url
        drop_schema(base, url)


def test_scores_are_published_to_postgresql_and_read_from_there(cli, scored, history_url, monkeypatch):
    (scored / "history.db").unlink()
    monkeypatch.setenv("CHURNRISK_HISTORY_URL", history_url)
    assert "published run 1" in cli("--project", scored, "score", "--as-of", "2026-06-01").err
    assert "published run 2" in cli("--project", scored, "score").err
    assert "published already" in cli("--project", scored, "score").err
    rows = json.loads(cli("--project", scored, "redlist", "--format", "json").out)
    assert any(row["move"] for row in rows)
    assert "History:" in cli("--project", scored, "explain", rows[0]["account_id"]).out
    assert cli("--project", scored, "actions", "--format", "json").code == 0
    assert not (scored / "history.db").exists()
