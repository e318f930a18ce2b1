"""Exceptions, each with the exit code of the command that ends with it."""


class ChurnRiskError(Exception):
    """A failure with a message for a person: what was expected, what was found, how to fix it."""

    exit_code = 1


class UsageError(ChurnRiskError):
    """The command line or ``churnrisk.toml`` asks for something that cannot be done."""

    exit_code = 2


class UnavailableError(UsageError):
    """The history's database does not answer, or not now."""


class NotFoundError(UsageError):
    """The object does not exist, or the user may not see it: the two look the same."""


class ContractError(ChurnRiskError):
    """The tables break the contract, or hold too little for the request."""

    exit_code = 3


class TooYoungError(ContractError):
    """The history is too short, or too few have churned in it, for a model."""


class ModelInputError(ContractError, ValueError):
    """The rows given to a model lack what it needs; a ``ValueError`` too, as scikit-learn expects."""


class GuardError(ChurnRiskError):
    """A guard refused to publish; nothing was written."""

    exit_code = 4


class NoChampionError(ChurnRiskError):
    """No model is ready for scoring."""

    exit_code = 5


class BrokenPromiseError(ChurnRiskError):
    """Later outcomes broke what a colour promised; the runs go on without the promise."""

    exit_code = 6
