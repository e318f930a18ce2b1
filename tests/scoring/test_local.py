"""Scores come out of small batches as they come out of one."""

import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from io import StringIO
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console

from churnrisk.cli.app import _Report
from churnrisk.errors import UsageError
from churnrisk.lights import TrafficLight
from churnrisk.scoring import ScoreFile, score, write_scores
from churnrisk.settings import load_project
from churnrisk.tracking import CHAMPION
from churnrisk.training import advance, tracking_of


@dataclass
class OneModel:
    """The champion, with other thresholds."""

    model: object

    def load(self, version):
        return self.model


@pytest.fixture(scope="module")
def project(scored_world, tmp_path_factory):
    return load_project(shutil.copytree(scored_world, tmp_path_factory.mktemp("streamed") / "project"))


def found(project, models, batch):
    parts = []
    scored = score(
        project,
        as_of=None,
        now=datetime(2026, 7, 2),
        dry_run=True,
        forced_by=None,
        progress=lambda _: None,
        models=models,
        take=parts.extend,
        batch=batch,
    )
    assert len(parts) == -(-sum(scored.mix.values()) // batch)
    return scored, pa.concat_tables(parts).to_pandas()


@pytest.mark.parametrize("usual_share", [None, 1e-4])
def test_batches_of_any_size_say_the_same_of_every_account(project, usual_share):
    """With so small a usual share every newcomer came with a wave, today and, by the new policy, before."""
    model = tracking_of(project).load(CHAMPION)
    if usual_share is not None:
        light = model.light.to_dict()
        newcomers = {"within_days": 400.0, "usual_share": usual_share}
        # with green accounts, whatever could be certified
        cuts = {"amber_from_": 0.03, "red_from_": 0.2, "parts_": []}
        fitted = light["fitted"] | cuts | {"newcomers_": newcomers}
        model = replace(model, light=TrafficLight.from_dict(light | {"fitted": fitted}))
    (whole, expected), (parted, scores) = (found(project, OneModel(model), batch) for batch in (10_000, 97))
    pd.testing.assert_frame_equal(scores, expected, check_exact=True)
    assert (parted.mix, parted.notes) == (whole.mix, whole.notes)
    assert expected["moved"].notna().any()
    assert expected["turnaround"].notna().any()
    assert (expected["rule"] == "wave of newcomers").any() == (usual_share is not None)
    assert expected["lost_by_end"].notna().any()


def test_a_full_disk_is_reported_with_the_fix():
    scores = pd.DataFrame({"account_id": ["a"] * 100_000, "probability": 0.5})
    with pytest.raises(UsageError, match="nothing was published"), ScoreFile(Path("/dev/full")) as writer:
        writer.write(scores)


def test_scores_of_several_batches_are_one_file_of_one_form(tmp_path):
    moments = [[datetime(2026, 7, 1)], [datetime(2026, 7, 1, 12)]]
    tables = [pa.table({"account_id": ["a"], "renewal_at": moment}) for moment in moments]
    write_scores(iter(tables), tmp_path / "scores.csv")
    write_scores(iter(tables), tmp_path / "scores.parquet")
    written = (tmp_path / "scores.csv").read_text().splitlines()
    assert written == ["account_id,renewal_at", "a,2026-07-01 00:00:00", "a,2026-07-01 12:00:00"]
    assert pd.read_parquet(tmp_path / "scores.parquet").equals(pa.concat_tables(tables).to_pandas())


def test_a_terminal_shows_how_many_accounts_are_done_and_other_readers_are_spared():
    shown, kept = (StringIO(), StringIO())
    for file, terminal in ((shown, True), (kept, False)):
        console = Console(file=file, force_terminal=terminal, width=120)
        with console.status("starting") as status:
            report = _Report(console, status)
            report("scoring 700 accounts")
            advance(report, 350, 700)
            status._live.refresh()
            report.done()
    assert "350 of 700" in shown.getvalue()
    assert "350 of 700" not in kept.getvalue()
    assert "scoring 700 accounts" in kept.getvalue()
