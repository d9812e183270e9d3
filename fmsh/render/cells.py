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
CONTROLS = frozenset((*range(0x20), *range(0x7F, 0xA0), *range(0xDC80, 0xDCA0)))  # the last are bytes of C1
BEGINS_SEQUENCE, COLORS_END = "\x1b[", "\x1b[m"
SHORT_ESCAPES = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
JOINER = "\u200d"  # joins emoji; alone it does nothing


def visible(text: str, *, keep: str = "") -> str:
    """Writes characters that a terminal obeys, or that turn text around, as escapes; those in `keep` stay.

    A lone surrogate is a byte that was not UTF-8: it becomes `\\xff`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if character in keep else _shown(character) for character in text)


def harmless(text: str) -> str:
    """Text for a terminal: its lines, tabs and colours stay; what else a terminal would obey is written as escapes."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    first, *rest = text.replace("\r\n", "\n").split(BEGINS_SEQUENCE)
    shown, is_colored = [_without_controls(first)], False
    for part in rest:
        end = len(part) - len(part.lstrip("0123456789;:"))
        if part[end : end + 1] == "m":
            is_colored = True
            shown.append(f"{BEGINS_SEQUENCE}{part[: end + 1]}{_without_controls(part[end + 1 :])}")
        else:
            shown.append(f"\\u{{1b}}[{_without_controls(part)}")
    whole = "".join(shown)
    if not is_colored:
        return whole
    line_end = "\n" if whole.endswith("\n") else ""
    return f"{whole.removesuffix(line_end)}{COLORS_END}{line_end}"


def _without_controls(text: str) -> str:
    return "".join(_shown(each) if ord(each) in CONTROLS and each not in "\n\t" else each for each in text)


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
