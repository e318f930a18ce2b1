"""The model's own kinds of failure."""

from __future__ import annotations

from churnrisk.errors import ContractError


class ModelInputError(ContractError, ValueError):
    """The rows given to the model do not hold what it needs.

    It is a ``ValueError`` too, because scikit-learn's searches and conformance checks expect one.
    """
