"""The main job on real data, through the command line only, nothing prepared by hand.

The sets are used in place, in ``../shared/data`` beside the project or where CHURNRISK_REAL_DATA says; without them
these tests are skipped and say so. docs/results.md holds the figures (`make results`); the bounds here are those that
must not be lost.
"""

from __future__ import annotations

import json
import os
import re
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


#: What `init` asks about the folders, as it names it.
ANSWERS = {"ds365": ["surveys.scale=1-5"], "ravenstack": ["definition=labels"]}


@pytest.fixture
def raw(cli, tmp_path):
    """Map the raw folder of a set by `init`, without a hand-written line but the answers that it asks for."""

    def start(name: str) -> tuple[Path, str]:
        folder = tmp_path / name
        folder.mkdir()
        for path in (DATA / name).iterdir():
            (folder / path.name).symlink_to(path)
        answers = [part for answer in ANSWERS.get(name, []) for part in ("--answer", answer)]
        if answers:
            asked = cli("init", folder, "--yes")
            assert asked.code == 3
            assert f"--answer {answers[1].partition('=')[0]}=" in asked.err
        ran = cli("init", folder, "--yes", "--force", *answers)
        assert ran.code == 0, ran.err
        return folder, ran.err

    return start


#: What `init` says about the folders.
SAID = {
    "ds365": "inactivity: subscriptions found, but only for 6% of the accounts",
    "interconnect": "no end is known before 2019-10-01",
    "online_retail": "no file lists the accounts one row each, so they are the ids in CustomerID",
    "cell2cell": "Churn was taken for the label, Yes for lost",
    "ravenstack": "subscription_id leads to accounts over ravenstack_subscriptions.csv",
    "cdnow": "three of four gaps between two active days of an account are at most 94 days",
    "bankchurners": "Attrition_Flag was taken for the label, Attrited Customer for lost",
}


@pytest.mark.parametrize(("name", "says"), SAID.items())
def test_init_maps_a_raw_folder_so_that_check_accepts_it(cli, raw, name, says):
    folder, said = raw(name)
    assert says in said
    checked = cli("--project", folder, "check")
    assert checked.code == 0, checked.err


def of_init(by_hand: Path, by_init: Path, folder: Path) -> Path:
    """A hand-written mapping with the definition, the dates and the split that `init` chose, and one kind of model."""
    sections = {path: re.split(r"(?m)^(?=\[)", path.read_text()) for path in (by_hand, by_init)}
    chosen = re.compile(r"\[(churn|snapshots|model)\]")
    mapping = [part for part in sections[by_hand] if not chosen.match(part)]
    asked = [part for part in sections[by_init] if chosen.match(part)]
    folder.mkdir()
    written = folder / "churnrisk.toml"
    written.write_text("\n".join([*mapping, *asked]))
    for path in (written, by_init):
        text = path.read_text()
        head = "" if "[model]" in text else "\n[model]\n"
        path.write_text(f'{text}{head}\ncandidates = ["additive"]\n')
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SAID))
def test_at_the_same_dates_the_mapping_of_init_ranks_as_well_as_one_by_hand(cli, raw, tmp_path, name):
    folder, _ = raw(name)
    hand = of_init(HERE / name / "churnrisk.toml", folder / "churnrisk.toml", tmp_path / "hand")
    found = {}
    for project in (folder, hand):
        ran = cli("--project", project, "--data", DATA / name, "train", "--format", "json")
        assert ran.code == 0, ran.err
        found[project] = json.loads(ran.out)["evaluation"]
    # at the same dates; which rows of a table count may differ by a few
    assert found[folder]["churned"] == pytest.approx(found[hand]["churned"], rel=0.01)
    auc = {project: one["figures"]["model"]["auc"]["value"] for project, one in found.items()}
    assert auc[folder] >= auc[hand] - 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("interconnect", 0.858), ("cdnow", 0.7097), ("ds365", 0.8783)])
def test_a_model_on_the_mapping_of_init_is_as_good_as_on_one_by_hand(cli, raw, name, least):
    folder, _ = raw(name)
    measured = json.loads(cli("--project", folder, "train", "--format", "json").out)["evaluation"]
    assert measured["figures"]["model"]["auc"]["value"] >= least
    assert cli("--project", folder, "promote", "--author", "test").code == 0
    assert cli("--project", folder, "score").code == 0
    assert json.loads(cli("--project", folder, "redlist", "--format", "json").out)
