"""What can go wrong, by whose hand it is mended; each kind carries the exit code of its command."""


class ChurnRiskError(Exception):
    """A failure with a message for a person: what was expected, what was found, what to do.

    Attributes
    ----------
    exit_code : int
        The exit code of a command that ends with this error.
    """

    exit_code = 1


class UsageError(ChurnRiskError):
    """The command line or ``churnrisk.toml`` asks for something that cannot be done."""

    exit_code = 2


class UnavailableError(UsageError):
    """The history's database does not answer, or not now."""


class NotFoundError(UsageError):
    """What was asked for is not there, or not for the asker: the two look the same."""


class ContractError(ChurnRiskError):
    """The tables break the contract, or do not hold enough for what was asked."""

    exit_code = 3


class ModelInputError(ContractError, ValueError):
    """The rows given to a model lack what it needs; a ``ValueError`` too, as scikit-learn expects."""


class GuardError(ChurnRiskError):
    """A guard refused to publish; nothing was written."""

    exit_code = 4


class NoChampionError(ChurnRiskError):
    """No model is ready for scoring."""

    exit_code = 5
