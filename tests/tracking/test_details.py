"""What a training wrote down comes back, by alias, version or run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from churnrisk.errors import NoChampionError, UsageError
from churnrisk.tracking import Tracking, TrainingRecord

MakeRecord = Callable[..., TrainingRecord]


def test_parameters_and_blocks_come_back(project: Tracking, make_record: MakeRecord) -> None:
    info = project.log_training(make_record())
    found = project.details("candidate")
    assert found.info == info
    assert found.params == {"max_iter": "10", "churn definition": "inactivity"}
    assert [(b.block, b.rows, b.digest, b.name) for b in found.datasets] == [
        (b.block, b.rows, b.digest, b.name) for b in make_record().datasets
    ]


@pytest.mark.slow
def test_a_run_is_as_good_a_name_as_its_version(project: Tracking, make_record: MakeRecord) -> None:
    first, second = (project.log_training(make_record(params={"turn": turn})) for turn in (1, 2))
    assert project.details(first.run_id).params == project.details("1").params == {"turn": "1"}
    assert project.details(second.run_id).info.version == 2
    assert project.load(first.run_id).version == 1


@pytest.mark.slow
def test_an_unknown_name_lists_the_versions_there_are(project: Tracking, make_record: MakeRecord) -> None:
    with pytest.raises(NoChampionError):
        project.details("3")
    project.log_training(make_record())
    for unknown in ("3", "f" * 32, "Champion"):
        with pytest.raises(UsageError, match=f"there is no model version {unknown}; there are 1"):
            project.details(unknown)
