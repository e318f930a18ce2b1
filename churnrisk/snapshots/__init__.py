"""As-of dates, the panel of accounts at each of them, and their labels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
