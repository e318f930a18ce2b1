"""What `churnrisk score` keeps of the events between runs, as its user sees it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from tests.cli.conftest import Cli


def scores(cli: Cli, project: Path, *more: str) -> tuple[pd.DataFrame, str]:
    """Return the scores of a dry run, and what it said."""
    output = project / "scores.parquet"
    ran = cli("--project", project, "score", "--dry-run", "--output", output, *more)
    assert ran.code == 0, ran.err
    return pd.read_parquet(output), ran.err


def test_scores_are_the_same_with_and_without_what_was_kept(cli: Cli, scored: Path) -> None:
    kept = scored / ".churnrisk" / "events"
    assert (kept / "manifest.json").exists()
    full, _ = scores(cli, scored, "--no-cache")
    nightly, said = scores(cli, scored)
    pd.testing.assert_frame_equal(nightly, full, check_exact=True)
    assert "roll" not in said

    for damaged in kept.glob("day=*.parquet"):
        damaged.write_bytes(damaged.read_bytes()[:-9])
    mended, said = scores(cli, scored)
    pd.testing.assert_frame_equal(mended, full, check_exact=True)
    assert said.count("rolling up all events anew") == 1


def test_nothing_is_kept_where_that_is_switched_off(cli: Cli, scored: Path) -> None:
    shutil.rmtree(scored / ".churnrisk")
    scores(cli, scored, "--no-cache")
    settings = scored / "churnrisk.toml"
    settings.write_text(settings.read_text() + "\n[engine]\ncache = false\n")
    scores(cli, scored)
    assert not (scored / ".churnrisk").exists()
