"""The JSON API under ``/api/v1``, by token."""
