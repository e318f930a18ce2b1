"""What became of the accounts of an open project, and of what was said of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from churnrisk.workflows.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from churnrisk.workflows.account import AccountView
    from churnrisk.workflows.missed import Ledger


class Opened(Protocol):
    """What the methods below need of the class that they become part of."""

    settings: Project

    @property
    def _run(self) -> dict[str, Any]: ...


class ProjectHistory:
    """The part of an open project that looks back."""

    def lifetimes(self: Opened) -> pd.DataFrame:
        """Return one life per account: began_at, days, entered and lost, for :func:`churnrisk.plots.plot_survival`.

        Raises
        ------
        ContractError
            If the tables break the contract.
        """
        from churnrisk.workflows.lifetimes import project_lifetimes

        return project_lifetimes(self.settings, **self._run)

    def backtest(self: Opened) -> pd.DataFrame:
        """Return what the colours promised at every past snapshot and what happened, one row per (as_of, colour).

        Raises
        ------
        ContractError
            If the history is too short.
        """
        import pandas as pd

        from churnrisk.workflows.backtest import backtest

        return pd.DataFrame([asdict(row) for row in backtest(self.settings, **self._run).rows])

    def account(self: Opened, account_id: str) -> AccountView:
        """Return one account as the published runs tell it: reasons, what would turn it, history.

        Raises
        ------
        UsageError
            If no run knows the account.
        """
        from churnrisk.workflows.account import account_view

        return account_view(self.settings, account_id, now=self._run["now"])

    def missed(self: Opened) -> Ledger:
        """Return what the published runs said of every lost account 30, 60 and 90 days before.

        Raises
        ------
        UsageError
            If nothing has been scored yet.
        """
        from churnrisk.workflows.missed import missed_churners

        return missed_churners(self.settings, **self._run)
