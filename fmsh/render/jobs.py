"""Jobs for people: the table of `jobs list`, the page of `jobs show`, the lines of `jobs log`.

They take the documents of `--json`, so both show the same.
"""

from __future__ import annotations

import time

from fmsh.builtins.display import element_text
from fmsh.render.cells import cut, pad, visible
from fmsh.render.style import paint
from fmsh.render.tables import Column, draw
from fmsh.render.times import local_time
from fmsh.render.timings import timings_text
from fmsh.render.values import cell_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.values import Value

    Document = dict[str, Value]

STEPS_SHOWN_MAX = 20  # of a job's page: the last ones
HOLDERS_SHOWN_MAX = 5
LABEL_CELLS = 10
COMMAND_CELLS_MAX = 80  # of a list; `jobs show` says the whole
STATE_COLORS = {
    "running": "cyan",
    "waiting": "blue",
    "paused": "yellow",
    "parked": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "dim",
    "moved": "dim",
}


def job_table(documents: Sequence[Document], *, now_ms: int, cells_max: int, color: bool) -> str:
    """Draws the list of jobs."""
    if not documents:
        return "no jobs\n"
    table = draw(
        [
            Column("N", [str(job["id"]) for job in documents], is_number=True),
            Column("STATE", [job["state"] for job in documents]),
            Column("AGE", [age(job["created_at"], now_ms) for job in documents], is_number=True),
            Column("STEPS", [str(job["steps"]) for job in documents], is_number=True),
            Column("COMMAND", [cut(title(job), COMMAND_CELLS_MAX) for job in documents]),
            Column("WHY", [_remark(job, now_ms) for job in documents]),
        ],
        cells_max=cells_max,
        color=color,
    )
    if not color:
        return table
    lines = table.splitlines()
    for place, job in enumerate(documents, 1):
        state = job["state"]
        lines[place] = lines[place].replace(state, paint(state, STATE_COLORS.get(state, "bold"), color=True), 1)
    return "".join(line + "\n" for line in lines)


def job_page(job: Document, *, now_ms: int, cells_max: int, color: bool) -> str:
    """Writes what there is to say of one job, a line each."""
    state = paint(job["state"], STATE_COLORS.get(job["state"], "bold"), color=color)
    text = f"job {job['id']}  {state}\n"
    fields = [
        ("command", job["command"]),
        ("name", job["name"]),
        ("key", job["key"]),
        ("tags", ", ".join(f"{name}={value}" for name, value in job["tags"].items())),
        ("started", _moment(job["started_at"], now_ms)),
        ("moved" if job["state"] == "moved" else "ended", _moment(job["ended_at"], now_ms)),
        ("run by", _owner(job["owner"])),
        ("detached", "yes" if job["detached"] and job["ended_at"] is None else None),
        ("steps", f"{job['steps']}, {job['events']} events"),
        ("status", job["exit_status"]),
        ("value", job["value"]),
    ]
    for label, value in fields:
        if value not in (None, ""):
            text += _line(label, cut(cell_text(value), max(20, cells_max - LABEL_CELLS - 4)))
    for wait in job["waiting_for"]:
        text += _line("waits for", visible(_wait(wait, now_ms)))
    return text + _advice(job)


def step_table(steps: Sequence[Document], *, cells_max: int) -> str:
    """Draws the last steps of a job."""
    if not steps:
        return ""
    columns = [
        Column("STEP", [str(step["step"]) for step in steps], is_number=True),
        Column("WHAT", [visible(step["what"]) for step in steps]),
        Column("WHERE", [_where(step["where"]) for step in steps]),
        Column("TRIES", [str(step["attempts"]) for step in steps], is_number=True),
        Column("OUTCOME", [visible(step["outcome"]) for step in steps]),
    ]
    return "\n" + draw(columns, cells_max=cells_max)


def log_line(event: Document, *, cells_max: int) -> str:
    """Writes an event as one line: its number, time, step, type, and the gist of its data."""
    at = visible(str(event["at"]))[11:23]
    step = "" if event["step"] is None else str(event["step"])
    gist = visible(_gist(event["type"], event["data"]))
    where = _where(event["where"])
    line = f"{event['seq']:>6}  {at}  {pad(step, 4, is_right=True)}  {pad(visible(event['type']), 16)}  {gist}"
    return cut(line + (f"  ({where})" if where else ""), max(40, cells_max)) + "\n"


def request_label(data: Document) -> str:
    """Says in a few words what a request does: the command line, the method and URL, or connector and operation."""
    arguments = data["arguments"]
    if data["connector"] == "process":
        stages = arguments.get("stages") or []
        return " | ".join(" ".join(map(element_text, stage.get("argv") or ())) for stage in stages)
    url = arguments.get("url")
    if url is not None:
        return f"{arguments.get('method', data['operation'])} {element_text(url)}"
    if data["connector"] == "timer":
        return f"sleep {element_text(arguments.get('duration') or arguments.get('until'))}"
    if data["connector"] == "file" and "path" in arguments:
        verb = "append to" if arguments.get("append") else data["operation"]
        return f"{verb} {element_text(arguments['path'])}"
    if data["connector"] in ("lock", "limit"):
        return f"{data['connector']} {element_text(arguments['name'])}"
    name = f"{data['connector']} {data['operation']}"
    return name if data["connector"] != data["operation"] else data["operation"]


def outcome_label(data: Document) -> str:
    """Says how a step ended."""
    if data["is_cancelled"]:
        return "cancelled"
    if data["error"] is not None:
        return f"{data['error'].kind}: {data['error'].message}"
    value = data["value"]
    if type(value) is dict and "statuses" in value:
        return "status " + " ".join(map(str, value["statuses"])) if value["statuses"] else "done"
    return "done"


def age(at: str | None, now_ms: int) -> str:
    """Writes how long ago a moment was, in its largest unit."""
    if at is None:
        return ""
    seconds = max(0, now_ms - _milliseconds(at)) // 1000
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def title(job: Document) -> str:
    """What a job is called: its command, and its name if it has one."""
    return visible(job["command"]) + (f" [{visible(job['name'])}]" if job["name"] else "")


def _remark(job: Document, now_ms: int) -> str:
    if job["state"] == "moved":
        return f"to another store, {age(job['ended_at'], now_ms)} ago"
    if job["error"] is not None:
        return visible(job["error"].message)
    return visible("; ".join(_wait(wait, now_ms, is_short=True) for wait in job["waiting_for"]))


def waits_text(waits: Sequence[Document], now_ms: int) -> str:
    """Says in short what a job waits for, and until when."""
    return visible("; ".join(_wait({**wait, "where": None}, now_ms, is_short=True) for wait in waits))


def _wait(wait: Document, now_ms: int, *, is_short: bool = False) -> str:
    """What a job waits for; a short text does without the seconds of the time."""
    what, label = wait["kind"], wait.get("label") or ""
    is_next_try = what == "timer" and not label.startswith("timer ")
    if what == "timer" and label:
        what = label.removeprefix("timer ")
    elif what == "person":
        what = f"asks: {label}"
    elif label != what:
        what = label if label.startswith(what + " ") else f"{what} {label}".rstrip()
    until = local_time(_milliseconds(wait["until"]), now_ms) if wait.get("until") else ""
    until = f" {'again at' if is_next_try else 'until'} {until[:-3] if is_short else until}" if until else ""
    where = _where(wait.get("where"))
    held_by = wait.get("held_by")
    held = f" ({holders_text(held_by, wait['behind'])})" if held_by is not None else ""
    return f"{what}{held}{until}" + (f" at {where}" if where else "")


def holders_text(held_by: Sequence[int], behind: Sequence[int]) -> str:
    """Says who has a lock, or the places under a limit, and how many are to have it before the one that waits."""
    several = len(held_by) > 1
    shown = ", ".join(map(str, held_by[:HOLDERS_SHOWN_MAX])) + (", …" if len(held_by) > HOLDERS_SHOWN_MAX else "")
    who = f"job{'s' if several else ''} {shown} {'have' if several else 'has'} it" if held_by else "nobody has it"
    others = f", and {len(behind)} other{'s' if len(behind) > 1 else ''} wait{'' if len(behind) > 1 else 's'} before it"
    return who + (others if behind else "")


def _advice(job: Document) -> str:
    number = job["id"]
    if job["state"] == "moved":
        verbs = f"where it was imported; `fmsh jobs export {number}` writes its file again"
        return _line("goes on", verbs)
    if job["state"] == "parked" and job["error"] is not None and job["error"].kind == "corrupt":
        return _line("give up by", f"`fmsh jobs cancel {number}`; `fmsh doctor` says what is damaged")
    if job["state"] == "parked" and job["error"] is not None and job["error"].kind == "undo":
        return _line("end it by", f"`fmsh jobs cancel {number}`, once it is undone by hand")
    if job["state"] == "parked":
        return _line("go on with", ways_text(number, job.get("ways_on") or ["retry", "answer", "cancel"]))
    if any(wait["kind"] == "person" for wait in job["waiting_for"]):
        return _line("answer by", f"`fmsh jobs answer {number} VALUE`")
    return _line("go on with", f"`fmsh jobs resume {number}`") if job["state"] == "paused" else ""


def ways_text(number: int, verbs: Sequence[str]) -> str:
    """Names the commands that let a parked job go on."""
    given = {"answer": " VALUE"}
    *first, last = [f"`fmsh jobs {verb} {number}{given.get(verb, '')}`" for verb in verbs]
    return f"{', '.join(first)} or {last}" if first else last


def _line(label: str, text: str) -> str:
    return f"  {pad(label, LABEL_CELLS)}  {text}\n"


def _owner(owner: Document | None) -> str:
    return "" if owner is None else f"{owner['kind']} (process {owner['pid']} on {owner['host']})"


def _where(where: Document | None) -> str:
    return "" if where is None else visible(f"{where['file']}:{where['line']}:{where['column']}")


def _moment(at: str | None, now_ms: int) -> str:
    return "" if at is None else f"{_local(at)} ({age(at, now_ms)} ago)"


def _local(at: str) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_milliseconds(at) // 1000))


def _milliseconds(at: str) -> int:
    from calendar import timegm

    return timegm(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(at[20:23] or 0)


def _gist(kind: str, data: Document | None) -> str:
    if data is None:
        return "(expired)"
    if kind == "RequestMade":
        return request_label(data)
    if kind == "RequestCompleted":
        value = data["value"]
        if type(value) is dict and "statuses" in value:
            value = value.get("output")
        return outcome_label(data) + _took(data) + ("" if value is None else ": " + element_text(value))
    if kind in ("Displayed", "ItemsRead"):
        return element_text(data["text"] if kind == "Displayed" else f"{len(data['items'])} items")
    if data.get("error") is not None:
        return f"{data['error'].kind}: {data['error'].message}{_took(data)}"
    return element_text({name: item for name, item in data.items() if item is not None}) if data else ""


def _took(data: Document) -> str:
    text = timings_text(data.get("timings"))
    return f" ({text})" if text else ""
