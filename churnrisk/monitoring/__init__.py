"""Is it still right: what each colour promised, what happened since, and which promises are withdrawn."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
