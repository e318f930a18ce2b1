"""The settings that a training depends on, kept with the model so that it can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from churnrisk.decision.config import DecisionConfig
from churnrisk.features import FeatureConfig
from churnrisk.snapshots import ChurnConfig, SnapshotConfig
from churnrisk.workflows.project import ModelConfig, Project

FILE = "settings.json"
# Where tables come from is left out: it may hold a password, and other machines have their data elsewhere.
_SECTIONS: dict[str, type[Any]] = {
    "churn": ChurnConfig,
    "snapshots": SnapshotConfig,
    "features": FeatureConfig,
    "model": ModelConfig,
    "decision": DecisionConfig,
}


def keep(project: Project, *, now: datetime) -> dict[str, Any]:
    """Return the sections that a training reads, and its time, as plain data."""
    sections = {name: asdict(getattr(project, name)) for name in _SECTIONS}
    return {"now": now.isoformat(), **sections}


def restore(project: Project, kept: Mapping[str, Any]) -> tuple[Project, datetime]:
    """Return the project as it was set at a training, with the data of today, and the time of the training."""
    from pydantic import TypeAdapter

    sections: dict[str, Any] = {
        name: TypeAdapter(kind).validate_python(kept[name]) for name, kind in _SECTIONS.items()
    }
    return replace(project, **sections), datetime.fromisoformat(kept["now"])
