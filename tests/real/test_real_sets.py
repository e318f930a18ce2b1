"""The main job on real data, through the command line only, nothing prepared by hand.

The sets are used in place, in ``../shared/data`` beside the project or where CHURNRISK_REAL_DATA says; without them
these tests are skipped and say so. docs/results.md holds the figures (`make results`); the bounds here are those that
must not be lost.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, cli

__all__ = ["cli"]  # a fixture

HERE = Path(__file__).parent
DATA = Path(os.environ.get("CHURNRISK_REAL_DATA") or HERE.parents[2] / "shared" / "data")

pytestmark = [
    pytest.mark.skipif(
        not DATA.is_dir(),
        reason=f"the real sets are not at {DATA}; set CHURNRISK_REAL_DATA to run these tests",
    ),
]


def narrow(settings: Path) -> None:
    """A sixth of the 51,000 accounts and one kind of model; `make results` takes all."""
    read = "read_csv('cell2celltrain.csv.gz', nullstr = 'NA')"
    whole = settings.read_text()
    assert whole.count(read) == 3
    settings.write_text(
        whole.replace(read, f'{read} where \\"CustomerID\\" % 6 = 0') + 'candidates = ["additive"]\n'
    )


@pytest.fixture
def run(cli, blank_store, tmp_path):
    """Run a command on a real set, in a project folder of its own."""

    def run(name: str, *arguments: str) -> Ran:
        project = tmp_path / name
        if not project.exists():
            (project / "models").mkdir(parents=True)
            shutil.copy(blank_store, project / "models")
            shutil.copy(HERE / name / "churnrisk.toml", project)
            if name == "cell2cell":
                narrow(project / "churnrisk.toml")
        ran = cli(
            "--project",
            project,
            "--data",
            DATA / name.removesuffix("_paid").removesuffix("_flat"),
            *arguments,
        )
        assert ran.code == 0, ran.err
        return ran

    return run


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ds365", 0.885, 0.93),
        ("ds365_paid", 0.60, 0.97),
        ("interconnect", 0.86, 0.90),
        ("interconnect_flat", 0.83, 0.87),
        ("online_retail", 0.75, 0.82),
        ("cdnow", 0.71, 0.75),
        ("bankchurners", 0.99, 0.999),
        ("cell2cell", 0.63, 0.72),
        ("ravenstack", 0.38, 0.66),
    ],
)
def test_the_main_job_on_a_real_set(run, name, least, most):
    checked = json.loads(run(name, "check", "--leaks", "--format", "json").out)
    assert all(violation["level"] == "warn" for violation in checked)
    measured = json.loads(run(name, "train", "--format", "json").out)["evaluation"]
    auc = measured["figures"]["model"]["auc"]["value"]
    assert least <= auc <= most, "more than the upper bound is a leak until shown otherwise"
    if name in ("ds365", "online_retail"):
        assert measured["differences"]["recency rule"]["auc"]["low"] > 0
    if name == "ds365":
        assert measured["figures"]["model"]["calibration_error"]["value"] <= 0.03
    run(name, "promote", "--author", "test")
    assert "published run 1" in run(name, "score").err
    assert "nothing to do" in run(name, "score").err
    listed = json.loads(run(name, "redlist", "--format", "json").out)
    assert listed
    assert all(row["reasons"] for row in listed)


@pytest.mark.parametrize("name", ["ds365", "interconnect", "cell2cell", "ravenstack", "online_retail"])
def test_init_guesses_a_mapping_that_opens(cli, name, tmp_path):
    folder = tmp_path / "guessed"
    folder.mkdir()
    for path in (DATA / name).iterdir():
        (folder / path.name).symlink_to(path)
    assert cli("init", folder).code == 0
    # the mapping opens; what the contract then finds in the data is the user's to mend
    checked = cli("--project", folder, "check")
    assert checked.code in (0, 3), checked.err
