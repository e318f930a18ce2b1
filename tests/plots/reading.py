"""What a picture shows, read from its axes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np


def labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line(axes: Any, label: str) -> tuple[Any, Any]:
    """The points of the line whose label starts so."""
    found = [item for item in axes.lines if str(item.get_label()).startswith(label)]
    assert len(found) == 1, [item.get_label() for item in axes.lines]
    return np.asarray(found[0].get_xdata(), dtype=float), np.asarray(found[0].get_ydata(), dtype=float)


def drawn(axes: Any) -> bytes:
    """The picture as PNG, which draws everything that is drawn late."""
    stored = io.BytesIO()
    axes.figure.savefig(stored)
    return stored.getvalue()
