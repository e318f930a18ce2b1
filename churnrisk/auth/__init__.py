"""Users, sessions, tokens, passwords and single sign-on.

Import from the modules: ``settings`` (the ``[web]`` section) stays free of the database libraries that the others load.
"""
