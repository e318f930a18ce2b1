"""A signal of the user's own, declared in Python: the same record as ``[[features.own]]`` in churnrisk.toml."""

from __future__ import annotations

from churnrisk.features.catalogue import OwnFeature as Signal

__all__ = ["Signal"]
