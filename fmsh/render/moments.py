"""A moment of a job for people: the calls with their source lines, what each task waits for, and the variables.

It takes the document of `--json`.
"""

from __future__ import annotations

from fmsh.render.cells import cut, pad, visible, width
from fmsh.render.jobs import STATE_COLORS
from fmsh.render.style import paint
from fmsh.render.traces import cut_left, place_text
from fmsh.render.values import cell_text
from fmsh.values import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.spans import Source
    from fmsh.values import Value

    Document = dict[str, Value]

OWN = ("args", "job", "in")  # what every job has; shown to people only where it says something
PLACE_CELLS_MAX = 40
VALUE_CELLS_MIN = 20
PIPE_CELLS = 1000  # a value is cut to this where lines may have any length


def moment_page(document: Document, state: str, sources: Mapping[str, Source], *, cells_max: int, color: bool) -> str:
    """Writes a moment. `state` is that of the job now; `sources` hold the texts by the file names of `where`."""
    seq, head = document["seq"], document["events"]
    at = str(document["at"])[11:23]
    text = f"job {document['job']}  {paint(state, STATE_COLORS.get(state, 'bold'), color=color)}\n"
    text += cut(f"  after event {seq} of {head}: {document['type']} at {at}", cells_max) + "\n"
    tasks = document["tasks"]
    if len(tasks) < 2:
        wait = tasks[0]["waits_for"] if tasks else None
        return text + _part("", document, wait, sources, cells_max, color)
    seen: Document = {}  # what the main task shows is not shown again for its branches
    for task in tasks:
        own = {name: value for name, value in task["variables"].items() if seen.get(name, seen) is not value}
        text += _part(f"task {task['task']}", task | {"variables": own}, task["waits_for"], sources, cells_max, color)
        seen = seen or task["variables"]
    return text


def _part(title: str, part: Document, wait: Value, sources: Mapping[str, Source], cells_max: int, color: bool) -> str:
    text = "\n" + (paint(title, "bold", color=color) + "\n" if title else "")
    text += _stack(part["stack"], sources, cells_max, color)
    if wait is not None:
        text += cut(f"  waits for {visible(wait)}", cells_max) + "\n"
    variables = {
        name: value for name, value in part["variables"].items() if name not in OWN or _says_something(name, value)
    }
    return text + _variables(variables, cells_max, color)


def _says_something(name: str, value: Value) -> bool:
    return name != "job" and value not in (None, [])


def _stack(stack: Value, sources: Mapping[str, Source], cells_max: int, color: bool) -> str:
    if not stack:
        return "  nothing is running\n"
    names = [visible(str(call["function"])) for call in stack]
    places = [place_text(call["where"]) for call in stack]
    name_cells = min(max(map(width, names)), cells_max // 3)
    place_cells = min(max(map(width, places)), PLACE_CELLS_MAX, max(1, cells_max // 2))
    text = ""
    for name, place, call in zip(names, places, stack, strict=True):
        start = f"  {pad(cut(name, name_cells), name_cells)}  {pad(cut_left(place, place_cells), place_cells)}"
        line = cut(_source_line(call["where"], sources), max(0, cells_max - width(start) - 2))
        text += (start + "  " + paint(line, "cyan", color=color)).rstrip() + "\n"
    return text


def _source_line(where: Value, sources: Mapping[str, Source]) -> str:
    if not isinstance(where, dict) or where["file"] not in sources:
        return ""
    lines = sources[where["file"]].text.split("\n")
    return visible(lines[where["line"] - 1].strip(), keep="") if 0 < where["line"] <= len(lines) else ""


def _variables(variables: Document, cells_max: int, color: bool) -> str:
    names = {name: f"${visible(name)}" for name in variables}
    name_cells = min(max(map(width, names.values()), default=0), max(1, cells_max // 3))
    room = max(VALUE_CELLS_MIN, min(cells_max, PIPE_CELLS) - name_cells - 4)
    text = ""
    for name, value in variables.items():
        label = paint(pad(cut(names[name], name_cells), name_cells), "bold", color=color)
        text += f"  {label}  {cut(_value(value), room)}\n"
    return text


def _value(value: Value) -> str:
    if value is None:
        return "null"
    if type(value) is Block:
        return "(a block)"
    if type(value) is str and (value == "" or value != value.strip()):
        return cell_text([value])[1:-1]  # as JSON writes it, so that the blanks are seen
    return cell_text(value)
