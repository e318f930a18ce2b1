"""What is written to the server's log."""

from __future__ import annotations


def one_line(text: object) -> str:
    """Return a text that may come from somebody else as one line, so that nobody else writes lines of the log."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text))
