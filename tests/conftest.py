"""What all tests share."""

import sys
from pathlib import Path

from hypothesis import settings

# shared builders are imported as `tests.world`, whichever way pytest is started
sys.path.insert(0, str(Path(__file__).parents[1]))

# the same examples in every run: a property that fails must fail again for whoever looks
settings.register_profile("churnrisk", derandomize=True, deadline=None, database=None)
settings.load_profile("churnrisk")
