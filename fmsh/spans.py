"""Sources and places in them.

A span is a pair of character offsets `(start, end)` into one source, end exclusive. People see places instead:
`file:line:column`, both counted from 1, columns in characters.
"""

from __future__ import annotations

from fmsh.record import Record

Span = tuple[int, int]


class Place(Record):
    """Where something stands, as people name it."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Source(Record):
    """A named text: a script, a module, or what was given to `-c` (then the name is `-c`)."""

    name: str
    text: str

    def place(self, offset: int) -> Place:
        """Gives the place of a character offset; an offset past the end is the end."""
        offset = min(offset, len(self.text))
        line_start = self.text.rfind("\n", 0, offset) + 1
        return Place(self.name, self.text.count("\n", 0, offset) + 1, offset - line_start + 1)

    def line_at(self, offset: int) -> str:
        """Gives the whole line that holds a character offset, without its newline."""
        offset = min(offset, len(self.text))
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return self.text[start : len(self.text) if end < 0 else end]
