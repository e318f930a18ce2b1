"""What all tests share."""

from hypothesis import settings

# the same examples in every run: a property that fails must fail again for whoever looks
settings.register_profile("churnrisk", derandomize=True, deadline=None, database=None)
settings.load_profile("churnrisk")
