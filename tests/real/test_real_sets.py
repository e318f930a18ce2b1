"""The main job on real data, through the command line only, nothing prepared by hand.

The sets are used in place, in ``../shared/data`` beside the project or where CHURNRISK_REAL_DATA says; without them
these tests are skipped and say so. docs/results.md holds the figures (`make results`); the bounds here are those that
must not be lost.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.uncounted import uncounted

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
def run(tmp_path):
    """Run the installed command on a real set, in a project folder of its own."""

    def run(name: str, *arguments: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        project = tmp_path / name
        if not project.exists():
            project.mkdir()
            shutil.copy(HERE / name / "churnrisk.toml", project)
            if name == "cell2cell":
                narrow(project / "churnrisk.toml")
        data = DATA / name.removesuffix("_paid")
        command = [
            sys.executable,
            "-m",
            "churnrisk",
            "--project",
            str(project),
            "--data",
            str(data),
            *arguments,
        ]
        done = subprocess.run(command, env=uncounted(), capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ds365", 0.885, 0.93),
        ("ds365_paid", 0.60, 0.97),
        ("interconnect", 0.86, 0.90),
        ("online_retail", 0.75, 0.82),
        ("cell2cell", 0.63, 0.72),
        ("ravenstack", 0.38, 0.66),
    ],
)
def test_the_main_job_on_a_real_set(run, name, least, most):
    checked = json.loads(run(name, "check", "--leaks", "--format", "json").stdout)
    assert all(violation["level"] == "warn" for violation in checked)
    measured = json.loads(run(name, "train", "--format", "json").stdout)["evaluation"]
    auc = measured["figures"]["model"]["auc"]["value"]
    assert least <= auc <= most, "more than the upper bound is a leak until shown otherwise"
    if name in ("ds365", "online_retail"):
        assert measured["differences"]["recency rule"]["auc"]["low"] > 0
    if name == "ds365":
        assert measured["figures"]["model"]["calibration_error"]["value"] <= 0.03
    run(name, "promote", "--author", "test")
    assert "published run 1" in run(name, "score").stderr
    assert "nothing to do" in run(name, "score").stderr
    listed = json.loads(run(name, "redlist", "--format", "json").stdout)
    assert listed
    assert all(row["reasons"] for row in listed)


@pytest.mark.parametrize("name", ["ds365", "interconnect", "cell2cell", "ravenstack", "online_retail"])
def test_init_guesses_a_mapping_that_opens(run, name, tmp_path):
    folder = tmp_path / "guessed"
    folder.mkdir()
    for path in (DATA / name).iterdir():
        (folder / path.name).symlink_to(path)
    command = [sys.executable, "-m", "churnrisk", "init", str(folder)]
    assert subprocess.run(command, env=uncounted(), capture_output=True, check=False).returncode == 0
    command = [sys.executable, "-m", "churnrisk", "--project", str(folder), "check"]
    done = subprocess.run(command, env=uncounted(), capture_output=True, text=True, check=False)
    # the mapping opens; what the contract then finds in the data is the user's to mend
    assert done.returncode in (0, 3), done.stderr
    assert "Traceback" not in done.stderr
