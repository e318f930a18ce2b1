"""One world for all tests of the sample."""

from __future__ import annotations

import pytest

from churnrisk.sample import World, make_world


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()
