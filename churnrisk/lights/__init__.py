"""From a probability to a colour that keeps a promise, and from a colour to a play."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
