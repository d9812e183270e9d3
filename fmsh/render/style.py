"""Colours of a terminal. Whether there are any is the caller's decision: `NO_COLOR`, a pipe, a setting."""

from __future__ import annotations

CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


def paint(text: str, style: str, *, color: bool) -> str:
    """Puts text into a style, words such as `bold red`, or leaves it as it is without `color`."""
    if not (color and text and style):
        return text
    return f"\x1b[{';'.join(CODES[word] for word in style.split())}m{text}\x1b[0m"
