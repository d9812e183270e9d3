"""How a problem in a source is shown: to a person, with the line and a caret, and to a program, as plain data."""

from __future__ import annotations

from fmsh.render import excerpt
from fmsh.render.cells import visible
from fmsh.render.style import paint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from fmsh.errors import Diagnostic

STYLES = {"error": "bold red", "warning": "bold yellow"}


def render(problems: Iterable[Diagnostic], *, color: bool) -> str:
    """Gives each problem as an error at run time is shown (`render.errors`): what, where, and what to do."""
    return "".join(_one(problem, color) for problem in problems)


def _one(problem: Diagnostic, color: bool) -> str:
    style = STYLES[problem.severity]
    text = f"{paint(problem.severity, style, color=color)}: {paint(visible(problem.message), 'bold', color=color)}\n"
    text += excerpt.named(problem.source.place(problem.span[0]), color=color)
    text += excerpt.draw(problem.source, problem.span, style=style, color=color)
    return text + (f"   = hint: {visible(problem.hint)}\n" if problem.hint else "")


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
