"""Comments that are help texts: of a program, of a definition, of a parameter (rule 22 of the language)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Comments:
    """The comments of a text as (start, end), in order."""

    def __init__(self, text: str, places: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._ends = {_line_start(text, start): (start, end) for start, end in places}

    def of_program(self) -> str:
        """Gives the first comment block of the program, without a `#!` line; "" if statements come first."""
        text, start = self._text, 0
        if text.startswith("#!"):
            start = _next_line(text, 0)
        while start < len(text) and not _line(text, start).strip():
            start = _next_line(text, start)
        lines = []
        while start < len(text) and _line(text, start).lstrip().startswith("#"):
            lines.append(_line(text, start))
            start = _next_line(text, start)
        if text.startswith("def ", start):
            return ""  # it is the help of that definition
        return _plain(lines)

    def above(self, offset: int) -> str:
        """Gives the comment lines that stand directly above the line of `offset`."""
        text = self._text
        start = _line_start(text, offset)
        if text[start:offset].strip():
            return ""
        lines: list[str] = []
        while start > 0:
            start = _line_start(text, start - 1)
            line = _line(text, start)
            if not line.lstrip().startswith("#") or line.startswith("#!"):
                break
            lines.append(line)
        return _plain(lines[::-1])

    def behind(self, offset: int) -> str:
        """Gives the comment at the end of the line of `offset`, if nothing but a comma or bracket stands between."""
        place = self._ends.get(_line_start(self._text, offset))
        if place is None or place[0] < offset or self._text[offset : place[0]].strip(" \t,)"):
            return ""
        return _plain([self._text[place[0] : place[1]]])


def _plain(lines: list[str]) -> str:
    return "\n".join(line.strip().lstrip("#").removeprefix(" ").rstrip() for line in lines).strip("\n")


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1


def _next_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end + 1


def _line(text: str, start: int) -> str:
    return text[start : _next_line(text, start)]
