"""The formatter: one layout for every program, `fmsh fmt`.

Two blanks of indentation; lines of at most 100 columns; blanks around operators and none inside `( )` and `[ ]`; one
statement a line; at most one blank line; comments behind neighbouring lines in one column. A list, record, pipeline or
chain stands on one line if that fits, however it was written. The statements inside of `{ }` stand on one line only if
they were written so. Words, strings and heredocs are left as they are, and so is the order of everything.

It works on tokens, so a comment is never lost; and before it gives a text away it makes sure that the text means the
same: the syntax tree of what comes out is that of what went in, help texts included.
"""

from __future__ import annotations

from fmsh.errors import InternalError, SourceError
from fmsh.lang.layout import leaves, shapes, writing
from fmsh.lang.parser import parse
from fmsh.lang.tree import to_data
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


ROUNDS_MAX = 10  # two are usual


def format_program(source: Source) -> str:
    """Gives the text of a program in its one layout.

    Raises: SourceError when it cannot be parsed.
    """
    meaning = _meaning(source)
    text, comments = _lay_out(source.text)
    for _ in range(ROUNDS_MAX):  # a block that had to break lets what is around it stand on fewer lines
        before = text
        text, comments_kept = _lay_out(before)
        if text == before:
            break
    else:
        raise InternalError(f"{source.name}: its layout never settles; it is left as it is")
    if comments_kept != comments:
        raise InternalError(f"{source.name}: its layout would lose a comment; it is left as it is")
    if not _means(source.name, text, meaning):
        raise InternalError(f"{source.name}: its layout would change what it does; it is left as it is")
    return text


def _lay_out(text: str) -> tuple[str, list[str]]:
    """Gives the text in the layout, and the comments that were in it."""
    found = leaves.read(text)
    comments = [comment.text for leaf in found for comment in leaf.comments]
    return writing.write(shapes.build(found)), comments


def _means(name: str, text: str, meaning: list[Any]) -> bool:
    try:
        return _meaning(Source(name, text)) == meaning
    except SourceError:
        return False


def _meaning(source: Source) -> list[Any]:
    """The syntax tree without places. How a string is written says nothing more than its value."""
    _version, rows = to_data(parse(source))
    return [
        [kind, fields[0]] if kind == "Literal" and type(fields[0]) is str else [kind, *fields]
        for kind, _start, _end, *fields in rows
    ]
