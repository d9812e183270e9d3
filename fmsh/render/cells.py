"""Text in terminal cells: made visible, measured, cut and padded.

Widths follow East Asian Width (Unicode Annex 11): wide and full-width characters take two cells, combining ones none. A
terminal that disagrees shows a ragged table, nothing worse.
"""

from __future__ import annotations

ELLIPSIS = "…"
INVISIBLE = frozenset(
    (
        *range(0x20),
        *range(0x7F, 0xA0),
        *(0xAD, 0x61C, 0x180E, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFFF9, 0xFFFC),
        *range(0xE0000, 0xE0080),
    )
)  # C0, DEL, C1, soft hyphen, direction marks and overrides, invisible separators, tags
SHORT_ESCAPES = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
JOINER = "\u200d"  # joins emoji; alone it does nothing


def visible(text: str, *, keep: str = "") -> str:
    """Writes characters that a terminal obeys, or that turn text around, as escapes; those in `keep` stay.

    A lone surrogate is a byte that was not UTF-8: it becomes `\\xff`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in keep else _shown(character) for character in text)


def width(text: str) -> int:
    """Counts the cells that a visible text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    cells = 0
    for character in text:
        if not combining(character) and character != JOINER:
            cells += 2 if east_asian_width(character) in "WF" else 1
    return cells


def cut(text: str, cells: int) -> str:
    """Shortens a visible text to a width; one that was longer ends in `…`."""
    if width(text) <= cells:
        return text
    kept, used = "", 0
    for character in text:
        used += width(character)
        if used > cells - 1:
            break
        kept += character
    return kept + ELLIPSIS if cells > 0 else ""


def pad(text: str, cells: int, *, is_right: bool = False) -> str:
    """Fills a visible text with blanks up to a width."""
    blanks = " " * max(0, cells - width(text))
    return blanks + text if is_right else text + blanks


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code in INVISIBLE or 0xD800 <= code <= 0xDFFF:
        return character if character == JOINER else SHORT_ESCAPES.get(code) or f"\\u{{{code:x}}}"
    return character
