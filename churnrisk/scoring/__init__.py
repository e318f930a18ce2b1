"""One run: batches in, batches out, in this process or on Spark; moves, what-if, outcomes, sinks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
