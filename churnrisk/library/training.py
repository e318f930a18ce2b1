"""What a training gave, with the version that it became."""

from __future__ import annotations

from dataclasses import dataclass

from churnrisk.tracking import ModelVersionInfo
from churnrisk.workflows.trained import Trained


@dataclass(frozen=True)
class Training(Trained):
    """A trained model, everything that was measured about it, and its place in the registry.

    Attributes
    ----------
    info : ModelVersionInfo
        The version with its run.
    """

    info: ModelVersionInfo

    @property
    def version(self) -> int:
        """The number of the version."""
        return self.info.version
