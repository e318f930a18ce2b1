"""The JSON API for other programs: the red list, accounts, actions and reviews, by token."""

from churnrisk.web.api.app import PATH, install_api

__all__ = ["PATH", "install_api"]
