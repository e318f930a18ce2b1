"""The red list in the browser: pages rendered on the server, sign-in and sessions, a JSON API."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
