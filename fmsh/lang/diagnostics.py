"""How a problem in a source is shown: to a person, with the line and a caret, and to a program, as plain data.

Nothing of the source reaches the terminal raw: control characters, and those that turn the direction of text, are
written as escapes. Columns of the caret are those of the screen; the column in the place counts characters, from 1.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TAB_WIDTH = 4
LINE_WIDTH_MAX = 160  # a longer line is cut around the caret
COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m"}
BOLD, RESET = "\x1b[1m", "\x1b[0m"


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """Gives `file:line:column: error: message`, the line of the source, carets under the span, and the hint.

    The text ends without a newline.
    """
    place = diagnostic.source.place(diagnostic.span[0])
    severity = diagnostic.severity
    line, caret_start, caret_width = _line_and_caret(diagnostic)
    carets = "^" * caret_width
    if color:
        severity = f"{COLORS.get(severity, BOLD)}{severity}:{RESET}{BOLD}"
        carets = f"{COLORS.get(diagnostic.severity, BOLD)}{carets}{RESET}"
        head = f"{BOLD}{printable(str(place))}:{RESET} {severity} {printable(diagnostic.message)}{RESET}"
    else:
        head = f"{printable(str(place))}: {severity}: {printable(diagnostic.message)}"
    lines = [head, f"  {line}".rstrip(), f"  {' ' * caret_start}{carets}"]
    if diagnostic.hint:
        lines.append(f"hint: {printable(diagnostic.hint)}")
    return "\n".join(lines)


def to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Gives a problem as plain data; lines and columns from 1, the end exclusive."""
    start = diagnostic.source.place(diagnostic.span[0])
    end = diagnostic.source.place(diagnostic.span[1])
    return {
        "file": start.file,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    }


def printable(text: str) -> str:
    """Gives a text in which nothing can act on a terminal."""
    if text.isprintable():
        return text
    return "".join(_shown(c)[0] for c in text)


def _line_and_caret(diagnostic: Diagnostic) -> tuple[str, int, int]:
    """Gives the line as it is shown, and where in it the carets stand."""
    source, (start, end) = diagnostic.source, diagnostic.span
    line = source.line_at(start)
    before = source.place(start).column - 1
    inside = max(min(end - start, len(line) - before), 0)
    skipped = max(before - 2 * LINE_WIDTH_MAX, 0)
    line, before = line[skipped : before + 2 * LINE_WIDTH_MAX], before - skipped
    if line.isascii() and line.isprintable():
        return _cut([(c, 1) for c in line], before, inside)
    shown: list[tuple[str, int]] = []
    column = 0
    for c in line:
        blanks = TAB_WIDTH - column % TAB_WIDTH
        shown.append((" " * blanks, blanks) if c == "\t" else _shown(c))
        column += shown[-1][1]
    return _cut(shown, before, inside)


def _cut(shown: list[tuple[str, int]], before: int, inside: int) -> tuple[str, int, int]:
    """Leaves of a long line what stands around the carets."""
    first, last = 0, len(shown)
    if len(shown) > LINE_WIDTH_MAX or sum(width for _, width in shown) > LINE_WIDTH_MAX:
        first = max(before - LINE_WIDTH_MAX // 2, 0)
        last = min(first + LINE_WIDTH_MAX, len(shown))
        inside = min(inside, last - before)
    start = "…" if first else ""
    text = start + "".join(piece for piece, _ in shown[first:last]) + ("…" if last < len(shown) else "")
    caret_start = len(start) + sum(width for _, width in shown[first:before])
    caret_width = sum(width for _, width in shown[before : before + inside])
    return text, caret_start, max(caret_width, 1)


def _shown(c: str) -> tuple[str, int]:
    """Gives a character as it may be printed, and how many columns it takes."""
    if c < "\x7f" and c.isprintable():
        return c, 1
    if not c.isprintable() and c != "\u3000":
        escaped = f"\\u{{{ord(c):x}}}"
        return escaped, len(escaped)
    from unicodedata import combining, east_asian_width

    if combining(c):
        return c, 0
    return c, 2 if east_asian_width(c) in "WF" else 1
