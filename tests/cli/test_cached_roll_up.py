"""What `churnrisk score` keeps of the events between runs, as its user sees it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Cli


def scores(cli: Cli, project: Path, *more: str) -> tuple[pd.DataFrame, str]:
    """Return the scores of a dry run, and what it said."""
    output = project / "scores.parquet"
    ran = cli("--project", project, "score", "--dry-run", "--output", output, *more)
    assert ran.code == 0, ran.err
    return pd.read_parquet(output), ran.err


@pytest.fixture
def with_parquet(scored: Path) -> Path:
    """The scored world, its events as a Parquet file: of text files nothing is cached."""
    events = pd.read_csv(scored / "usage_events.csv.gz", dtype="str", keep_default_na=False, na_values=[""])
    events.to_parquet(scored / "usage_events.parquet")
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text().replace("usage_events.csv.gz", "usage_events.parquet"))
    return scored


def test_scores_are_the_same_with_and_without_the_cache(cli: Cli, with_parquet: Path) -> None:
    cache, scored = with_parquet / ".churnrisk" / "events", with_parquet
    full, _ = scores(cli, scored, "--no-cache")
    assert not cache.exists()
    first, _ = scores(cli, scored)
    assert (cache / "manifest.json").exists()
    nightly, said = scores(cli, scored)
    pd.testing.assert_frame_equal(first, full, check_exact=True)
    pd.testing.assert_frame_equal(nightly, full, check_exact=True)
    assert "roll" not in said

    for damaged in cache.glob("*.parquet"):
        damaged.write_bytes(damaged.read_bytes()[:-9])
    repaired, said = scores(cli, scored)
    pd.testing.assert_frame_equal(repaired, full, check_exact=True)
    assert said.count("rebuilding the roll-up of all events") == 1


def test_nothing_is_cached_where_that_is_switched_off(cli: Cli, with_parquet: Path) -> None:
    settings = with_parquet / "churnrisk.toml"
    settings.write_text(settings.read_text() + "\n[engine]\ncache = false\n")
    scores(cli, with_parquet)
    assert not (with_parquet / ".churnrisk" / "events").exists()
