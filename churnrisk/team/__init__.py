"""What the team works with: red list, account, timeline, actions, reviews, missed churners."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
