"""Lay out SQL for people: clauses on lines of their own, long lists and conditions broken, subqueries indented."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH = 100
_INDENT = "    "
_PIECES = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\s+|[(),]|[^\s(),'\"]+")
_BEFORE_JOIN = frozenset({"asof", "left", "right", "full", "inner", "outer", "cross", "anti", "semi"})
_CLAUSES = frozenset({"select", "from", "where", "group", "order", "having", "limit", "union", "join", "on"})


@dataclass(frozen=True)
class _Group:
    """What stands between a pair of parentheses."""

    parts: tuple[_Part, ...]

    @property
    def first_word(self) -> str:
        first = next((part for part in self.parts if part != " "), None)
        return first.lower() if isinstance(first, str) else ""

    @property
    def breaks(self) -> bool:
        """True for what takes lines of its own: a query, and a list of values that is too long for one line."""
        if self.first_word == "select":
            return True
        return self.first_word == "values" and len(_inline(self.parts)) > WIDTH


_Part = str | _Group


def lay_out(sql: str) -> str:
    """Return the statement with other white space and nothing else changed.

    Parameters
    ----------
    sql : str
        One statement without comments; texts and quoted names are left as they are.
    """
    parts, _ = _parse(_PIECES.findall(sql), 0)
    return "\n".join(line.rstrip() for line in _block(parts, ""))


def _parse(pieces: Sequence[str], at: int) -> tuple[tuple[_Part, ...], int]:
    parts: list[_Part] = []
    while at < len(pieces) and pieces[at] != ")":
        if pieces[at] == "(":
            inner, at = _parse(pieces, at + 1)
            parts.append(_Group(inner))
        else:
            parts.append(" " if pieces[at].isspace() else pieces[at])
        at += 1
    return tuple(parts), at


def _inline(parts: Sequence[_Part]) -> str:
    texts = [f"({_inline(part.parts)})" if isinstance(part, _Group) else part for part in parts]
    return "".join(texts).strip()


def _must_break(parts: Sequence[_Part]) -> bool:
    return any(isinstance(part, _Group) and (part.breaks or _must_break(part.parts)) for part in parts)


def _block(parts: Sequence[_Part], indent: str) -> Iterator[str]:
    if _inline(parts[:1]).lower() == "values":
        yield from _filled(parts, indent)
        return
    for clause in _clauses(parts):
        text = _inline(clause)
        if len(indent) + len(text) <= WIDTH and not _must_break(clause):
            yield indent + text
        elif text.lower().startswith("select"):
            yield indent + "select"
            items = _split(clause[1:], {","})
            for number, item in enumerate(items):
                yield from _written(item, indent + _INDENT, "," if number < len(items) - 1 else "")
        else:
            for number, item in enumerate(_split(clause, {"and", "or"}, keep=True)):
                yield from _written(item, indent + (_INDENT if number else ""), "")


def _clauses(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Cut at the words that begin a clause at this depth."""
    current: list[_Part] = []
    words = [part.lower() if isinstance(part, str) else "()" for part in parts]
    for at, part in enumerate(parts):
        if _begins(words, at) and _inline(current):
            yield current
            current = []
        current.append(part)
    yield current


def _begins(words: Sequence[str], at: int) -> bool:
    before = next((word for word in reversed(words[:at]) if word != " "), "")
    after = next((word for word in words[at + 1 :] if word != " "), "")
    if words[at] in _BEFORE_JOIN:
        # left( is a function
        return before not in _BEFORE_JOIN and (after == "join" or after in _BEFORE_JOIN)
    if words[at] == "join":
        return before not in _BEFORE_JOIN
    if words[at] in ("group", "order"):
        return after == "by"
    return words[at] in _CLAUSES - {"on"} and before != "distinct"


def _split(parts: Sequence[_Part], at: set[str], *, keep: bool = False) -> list[list[_Part]]:
    """Cut at words of this depth, outside of ``case … end`` and of ``between … and``; keep the word if wanted."""
    pieces: list[list[_Part]] = [[]]
    cases, between = 0, False
    for part in parts:
        word = part.lower() if isinstance(part, str) else ""
        cases += (word == "case") - (word == "end")
        if word in at and not cases and not (between and word == "and"):
            pieces.append([part] if keep else [])
        else:
            pieces[-1].append(part)
        between = word == "between" or (between and word != "and")
    return pieces


def _filled(parts: Sequence[_Part], indent: str) -> Iterator[str]:
    """Yield a list of values, as many to a line as fit; none is broken, since it may hold a text."""
    line = ""
    items = [_inline(item) for item in _split(parts, {","})]
    for number, item in enumerate(items):
        piece = item + ("," if number < len(items) - 1 else "")
        if line and len(indent) + len(line) + 1 + len(piece) > WIDTH:
            yield indent + line
            line = ""
        line = f"{line} {piece}" if line else piece
    yield indent + line


def _written(parts: Sequence[_Part], indent: str, end: str) -> Iterator[str]:
    """Yield one item: on a line, or with its subqueries as blocks."""
    if not _must_break(parts):
        yield indent + _inline(parts) + end
        return
    line = ""
    for part in parts:
        if isinstance(part, _Group) and _must_break([part]):
            yield indent + (line + "(").lstrip()
            yield from _block(part.parts, indent + _INDENT)
            line = ")"
        else:
            line += _inline([part]) if part != " " else " "
    yield indent + line.strip() + end
