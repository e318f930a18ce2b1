"""Use cases: each takes a project and its adapters, and returns records."""
