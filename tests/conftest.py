"""What all tests share."""

import pytest
from hypothesis import settings

# the same examples in every run: a property that fails must fail again for whoever looks
settings.register_profile("churnrisk", derandomize=True, deadline=None, database=None)
settings.load_profile("churnrisk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the minutes-long tests on real sets, so that no worker waits for another one at the end."""
    items.sort(key=lambda item: "/tests/real/" not in item.path.as_posix())
