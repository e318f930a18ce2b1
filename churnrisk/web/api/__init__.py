"""The JSON API under ``/api/v1``: the red list, an account, actions and reviews for other programs, by token."""

from churnrisk.web.api.app import PATH, install_api

__all__ = ["PATH", "install_api"]
