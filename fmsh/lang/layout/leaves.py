"""Leaves: the tokens of a text as the formatter takes them, each with the comments and blank lines before it.

A word or string is one leaf, exactly as written; only a word that is wholly `$( )` is taken apart. The text of a
heredoc belongs to the leaf that names its tag, and comes out after the line on which that leaf ends up.
"""

from __future__ import annotations

from bisect import bisect_left

from fmsh.lang.lexer import Lexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.lang.tokens import Token

MARKS = frozenset(("COMMAND", "PATHS", "IT"))  # tokens of no length: they say what the next one is


class Comment:
    """A comment, without the blanks at its end. `is_own_line`: nothing stands before it on its line."""

    __slots__ = ("has_blank_before", "is_own_line", "text")

    def __init__(self, text: str, *, is_own_line: bool, has_blank_before: bool = False) -> None:
        self.text = text
        self.is_own_line = is_own_line
        self.has_blank_before = has_blank_before


class Leaf:
    """A token that begins at `start`.

    `comments`, `has_newline_before` and `has_blank_before` tell what stands between it and the one before. `mark` is
    the mark that stood before it, "" if none. `bodies` are the texts of the heredocs that it names, with the lines that
    end them.
    """

    __slots__ = ("bodies", "comments", "has_blank_before", "has_newline_before", "mark", "start", "text", "type")

    def __init__(self, type_: str, start: int, text: str) -> None:
        self.type = type_
        self.start = start
        self.text = text
        self.comments: list[Comment] = []
        self.has_newline_before = False
        self.has_blank_before = False
        self.mark = ""
        self.bodies: list[str] = []


def read(text: str) -> list[Leaf]:
    """Reads a text that has no syntax error; the last leaf is `$END`."""
    lexer = Lexer(text)
    lexer.run()
    return _Reader(text, lexer).leaves()


class _Reader:
    def __init__(self, text: str, lexer: Lexer) -> None:
        self._text = text
        self._tokens = lexer.out
        self._heredocs = sorted(lexer.heredoc_bodies)
        self._body_ends = {start: end for _, start, end in lexer.heredoc_bodies}

    def leaves(self) -> list[Leaf]:
        found: list[Leaf] = []
        mark, comments, has_newline, position = "", list[Comment](), False, 0
        for token in _unfolded(self._tokens):
            comments += self._comments(position, token.start)
            has_newline = has_newline or "\n" in self._text[position : token.start]
            position = max(position, token.end)
            if token.type in MARKS:
                mark = token.type
            else:
                leaf = Leaf(token.type, token.start, _spelling(self._text, token))
                leaf.comments, leaf.has_newline_before, leaf.mark = comments, has_newline, mark
                leaf.has_blank_before = self._has_blank_before(token.start)
                leaf.bodies = self._bodies(token)
                found.append(leaf)
                mark, comments, has_newline = "", [], False
        return found

    def _bodies(self, token: Token) -> list[str]:
        """Gives the texts of the heredocs whose tags are in a token, if they come after it."""
        first, last = (bisect_left(self._heredocs, (place, 0, 0)) for place in (token.start, token.end))
        return [self._text[start:end] for _, start, end in self._heredocs[first:last] if token.end <= start]

    def _comments(self, start: int, end: int) -> list[Comment]:
        """Gives the comments between two tokens."""
        text, position, found = self._text, start, []
        while position < end:
            if position in self._body_ends:
                position = self._body_ends[position]
            elif text[position] == "#":
                line_end = text.find("\n", position, end)
                line_end = end if line_end < 0 else line_end
                line_start = text.rfind("\n", 0, position) + 1
                is_own_line = not text[line_start:position].strip()
                comment = Comment(text[position:line_end].rstrip(), is_own_line=is_own_line)
                comment.has_blank_before = self._has_blank_before(position)
                found.append(comment)
                position = line_end
            else:
                position += 1
        return found

    def _has_blank_before(self, position: int) -> bool:
        newlines = 0
        while position > 0 and self._text[position - 1] in " \t\r\n":
            position -= 1
            newlines += self._text[position] == "\n"
        return newlines > 1


def _unfolded(tokens: list[Token]) -> Iterator[Token]:
    """Gives the tokens, and in place of a word that is wholly `$( )` those inside of it."""
    waiting = tokens[::-1]
    while waiting:
        token = waiting.pop()
        code = token.parts[0] if token.type == "COMPOUND" and token.parts and len(token.parts) == 1 else None
        inside = code.parts if code is not None and code.type == "CODE" else None
        if inside and (inside[0].type, inside[0].start, inside[-1].end) == ("DLPAR", token.start, token.end):
            waiting.extend(inside[::-1])
        else:
            yield token


def _spelling(text: str, token: Token) -> str:
    """Gives how a token is written."""
    spelling = text[token.start : token.end]
    if token.value == "not in" and "#" not in spelling:
        return "not in"
    if token.type in ("WORD", "COMPOUND"):
        while spelling.endswith("\\\n"):  # the line was continued directly after the word
            spelling = spelling[:-2]
    return spelling
