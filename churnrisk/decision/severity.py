"""Colours as small integers, so that "worse" and "better" are array operations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from churnrisk.errors import UsageError
from churnrisk.records import Colour

Codes = npt.NDArray[np.int8]
ORDER = (Colour.GREEN, Colour.AMBER, Colour.RED)
GREY_CODE = -1
_NAMES = np.array([*(str(colour) for colour in ORDER), str(Colour.GREY)], dtype=object)
_CODES = {str(colour): code for code, colour in enumerate(ORDER)} | {str(Colour.GREY): GREY_CODE}


def severity(colour: Colour) -> int:
    """Return 0 for green, 1 for amber, 2 for red and -1 for grey."""
    return _CODES[str(colour)]


def to_codes(colours: npt.ArrayLike | pd.Series) -> Codes:
    """Return the severities of an array of colour names; a missing name is grey.

    Raises
    ------
    UsageError
        If a name is no colour.
    """
    places, names = pd.factorize(np.asarray(colours, dtype=object))
    unknown = set(names) - set(_CODES)
    if unknown:
        found = sorted(map(str, unknown))
        raise UsageError(f"expected the colours {list(_CODES)}, found {found}. Rename them.")
    # a missing name has the place -1, which is the last one
    return np.array([*(_CODES[name] for name in names), GREY_CODE], dtype=np.int8)[places]


def to_colours(codes: Codes) -> npt.NDArray[np.object_]:
    """Return colour names for severities, the inverse of :func:`to_codes`."""
    named: npt.NDArray[np.object_] = _NAMES[codes]
    return named
