"""Who became champion, when, why and after whom: kept in tags, as MLflow keeps no history of aliases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from churnrisk.errors import UsageError
from churnrisk.tracking.record import CHAMPION
from churnrisk.tracking.versions import Versions
from churnrisk.tracking.writing import as_json

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PROMOTIONS_TAG = "churnrisk.promotions"


def promote(versions: Versions, version: int, decision: dict[str, Any]) -> ModelVersion:
    """Make a version the champion and write why, and whom it follows, into its tags.

    Raises
    ------
    UsageError
        If there is no such version, or it is the champion already.
    """
    found = versions.find(version)
    previous = versions.aliases().get(CHAMPION)
    if previous == version:
        raise UsageError(f"version {version} is the champion already; nothing to promote")
    entry = {"previous_champion": previous, "decision": decision}
    # The tag first: an alias without its history could not be rolled back.
    _write(versions, found, [*history_of(found), entry])
    versions.client.set_registered_model_alias(versions.model_name, CHAMPION, str(version))
    return versions.find(version)


def roll_back(versions: Versions, reason: dict[str, Any]) -> ModelVersion:
    """Give the alias back to the version that the champion replaced, and return that.

    Raises
    ------
    NoChampionError
        If there is no champion.
    UsageError
        If the champion replaced none, or its forerunner was deleted.
    """
    current = versions.find(CHAMPION)
    history = history_of(current)
    live: list[dict[str, Any]] = [entry for entry in history if "rolled_back" not in entry]
    last = live[-1] if live else {}
    previous = last.get("previous_champion")
    if previous is None:
        raise UsageError(
            f"version {current.version} replaced no other champion, so there is none to go back "
            "to; `churnrisk models` lists the versions and `churnrisk promote` takes any of them"
        )
    restored = versions.find(int(previous))
    # The alias first: an entry marked too early would hide the way back.
    versions.client.set_registered_model_alias(versions.model_name, CHAMPION, restored.version)
    last["rolled_back"] = reason
    _write(versions, current, history)
    return restored


def history_of(version: ModelVersion) -> list[dict[str, Any]]:
    """Return a version's promotions, oldest first."""
    history: list[dict[str, Any]] = json.loads(version.tags.get(PROMOTIONS_TAG, "[]"))
    return history


def _write(versions: Versions, version: ModelVersion, history: list[dict[str, Any]]) -> None:
    versions.client.set_model_version_tag(version.name, version.version, PROMOTIONS_TAG, as_json(history))
