"""Who is asked about when, and what became of them: as-of dates, the panel, labels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
