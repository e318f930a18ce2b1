"""The pictures that a training keeps with its run."""

from __future__ import annotations

import shutil
from pathlib import Path

import churnrisk as cr
from tests.project.conftest import NOW, QUICK

OF_EVERY_TRAINING = {
    "calibration",
    "drift",
    "feature_effects",
    "gain",
    "lift",
    "precision_recall",
    "recall_at_capacity",
}


def test_a_run_keeps_the_pictures_of_its_model_and_of_what_it_costs(world: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world, tmp_path / "acme")
    terms = {"policy": "cost", "save_rate": 0.3, "cost_per_contact": 100.0}
    project = cr.load(folder, now=NOW, decision=terms, **QUICK)
    project.train()
    assert {picture.stem for picture in folder.rglob("plots/*.png")} == OF_EVERY_TRAINING | {"cost"}
