"""One file per raw table: its SQL block and features; roll-up, windows and their cache."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
