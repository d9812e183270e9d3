"""An uncaught error as a person sees it: what happened, where, how the program came there, and what to do.

error: there is no field `stauts`
  --> release.fmsh:12:11
   12 | if $result.stauts != passed {
      |           ^
   = hint: did you mean `status`?
  in deploy, called at release.fmsh:3:1
"""

from __future__ import annotations

from fmsh.render import excerpt
from fmsh.render.cells import visible
from fmsh.render.style import paint
from fmsh.render.values import cell_text
from fmsh.spans import Place
from fmsh.values import ErrorValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.spans import Source
    from fmsh.values import Value

CALLS_SHOWN_MAX = 10  # half of them the innermost, half the outermost
STDERR_LINES_MAX = 10
NOT_FOUND = 127  # the status of a command that does not exist
NO_TERMINAL = (
    "it seems to have asked for a terminal, which only a command has that a job in the foreground displays"
    " (not one of a detached job, nor one whose output is captured)"
)
# What bash, ssh, sudo, top, vim, stty and Python's getpass say of it.
OF_TERMINALS = (
    "/dev/tty", "not a tty", "no tty", "not to a terminal", "not from a terminal", "not a terminal",
    "a terminal is required", "tty get", "inappropriate ioctl", "pseudo-terminal", "terminal prompts disabled",
)  # fmt: skip
OF_UNDO = {"errors": "failed undo", "error": "undone because"}
SHOWN_ELSEWHERE = frozenset(
    [
        "kind",
        "message",
        "command",
        "where",
        "retryable",
        "hint",
        "stderr",
        "trace",
        "status",
        "signal",
        "headers",
        "body",
    ]
)


def render_error(
    error: ErrorValue, sources: Mapping[str, Source], *, color: bool, is_stderr_shown: bool = False
) -> str:
    """Renders an error with its source line, the chain of calls, its hint and what the command wrote to its stderr.

    `sources` holds the texts by the file names of `where`; of a file that is not there only the place is shown.
    `is_stderr_shown`: what it wrote there was shown while it ran.
    """
    text = paint("error", "bold red", color=color) + ": " + paint(_headline(error), "bold", color=color) + "\n"
    missing = "command" if error.fields.get("status") == NOT_FOUND else "field" if error.kind == "name" else ""
    text += _place(error.fields.get("where"), sources, color, missing)
    for name, item in _details(error):
        text += f"   = {name}: {item}\n"
    text += _calls(error.fields.get("trace"), color)
    return text if is_stderr_shown else text + _stderr(error.fields.get("stderr"))


def _headline(error: ErrorValue) -> str:
    lines = visible(error.message, keep="\n").rstrip("\n").split("\n")
    return "\n  ".join(lines) or visible(error.kind)


def _place(where: Value, sources: Mapping[str, Source], color: bool, missing: str) -> str:
    if type(where) is not dict or type(where.get("line")) is not int:
        return ""
    place = Place(str(where.get("file")), where["line"], where.get("column", 1))
    text = excerpt.named(place, color=color)
    if place.file in sources:
        span = excerpt.span_at(sources[place.file], place.line, place.column, missing=missing)
        text += excerpt.draw(sources[place.file], span, color=color) if span is not None else ""
    return text


def _named(where: Mapping[str, Value]) -> str:
    return visible(f"{where.get('file')}:{where.get('line')}:{where.get('column')}")


def _details(error: ErrorValue) -> list[tuple[str, str]]:
    fields = error.fields
    details = []
    hint = fields.get("hint", NO_TERMINAL if _wanted_a_terminal(error) else None)
    if type(hint) is str:
        details.append(("hint", visible(hint)))
    if error.kind == "http" and "body" in fields and fields["body"] is not None:
        details.append(("body", cell_text(fields["body"])))
    for name, item in fields.items():
        if name in SHOWN_ELSEWHERE or item is None or (type(item) is str and item in error.message):
            continue
        if error.kind == "undo":
            name = OF_UNDO.get(name, name)
        parts = item if type(item) is list and item and type(item[0]) is ErrorValue else [item]
        details += [(visible(name), _brief(part)) for part in parts]
    return details


def _wanted_a_terminal(error: ErrorValue) -> bool:
    """Whether a command that had none said so. What one says at a terminal is not kept."""
    said = error.fields.get("stderr")
    return error.kind == "exit" and type(said) is str and any(word in said.lower() for word in OF_TERMINALS)


def _brief(item: Value) -> str:
    """An error inside an error in one line: what, and where."""
    if type(item) is not ErrorValue:
        return cell_text(item)
    where = item.fields.get("where")
    place = f" ({_named(where)})" if type(where) is dict else ""
    return visible(item.message.partition("\n")[0]) + place


def _calls(trace: Value, color: bool) -> str:
    if type(trace) is not list:
        return ""
    calls = [call for call in trace if type(call) is dict]
    lines = [f"  in {visible(str(call.get('function')))}, called at {_named(call)}" for call in calls]
    if len(lines) > CALLS_SHOWN_MAX:
        half = CALLS_SHOWN_MAX // 2
        lines = [*lines[:half], f"  … {len(lines) - 2 * half} more calls", *lines[-half:]]
    return "".join(paint(line, "dim", color=color) + "\n" for line in lines)


def _stderr(stderr: Value) -> str:
    if type(stderr) is not str or not stderr.strip():
        return ""
    lines = visible(stderr.rstrip("\n"), keep="\n\t").split("\n")
    cut = [] if len(lines) <= STDERR_LINES_MAX else ["…"]
    return "".join(f"  | {line}\n" for line in [*cut, *lines[-STDERR_LINES_MAX:]])
