"""A line at a terminal that goes away again. Whoever writes to the terminal writes `GONE` before, if it is there."""

from __future__ import annotations

from fmsh.render.style import paint

GONE = "\r\x1b[K"
KEY_CELLS = 2  # the `^C` that the terminal shows behind the line


def room(width: int) -> int:
    """The cells that its text may take, of `width` of the terminal: in the last column the cursor would wrap."""
    return width - KEY_CELLS - 1


def drawn(text: str, width: int, *, color: bool, is_there: bool = False) -> str:
    """Gives what draws it. `is_there`: over the one that is there.

    Behind output without a line end it begins a line of its own: blanks up to the width, as before a prompt.
    """
    return f"{'' if is_there else ' ' * (width - 1)}\r{paint(text, 'dim', color=color)}\x1b[K"
