"""Colours of a terminal. Whether there are any is the caller's decision: `NO_COLOR`, a pipe, a setting."""

from __future__ import annotations

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


def paint(text: str, style: str, *, color: bool) -> str:
    """Puts text into a colour, or leaves it as it is without `color`."""
    return f"\x1b[{CODES[style]}m{text}\x1b[0m" if color and text else text
