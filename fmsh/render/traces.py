"""The timeline of a job at a terminal: an axis, who ran the job when, and a bar for each step and wait.

What a bar means is said by its shape, and by its colour too where there are colours: done `█`, waiting `░`, held `▒`,
failed `×`, the time until another try `·`. A bar is at least one cell, however short the step was.
"""

from __future__ import annotations

import time

from fmsh.record import Record
from fmsh.render.cells import cut, pad, visible, width
from fmsh.render.jobs import STATE_COLORS, title
from fmsh.render.style import paint
from fmsh.render.times import span_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.values import Value

GLYPHS = {"work": "█", "wait": "░", "held": "▒", "failed": "×", "pause": "·"}
COLORS = {"work": "green", "wait": "cyan", "held": "yellow", "failed": "red", "pause": "dim"}
NAMES = {"work": "at work", "failed": "in tries that failed", "pause": "between tries", "held": "paused or parked"}
NAMES |= {"wait": "waiting", "rest": "between steps"}
ORDER = ("work", "failed", "pause", "held", "wait")  # which of several bars a moment counts for
DONE = ("done", "status 0", "resumed")
BAR_CELLS_MIN = 10
LABEL_CELLS_MAX = 48
WHERE_CELLS_MAX = 24
SOURCE_CELLS_MAX = 50
OUTCOME_CELLS_MAX = 30
WIDE_CELLS = 150  # from here on the text of the source line has room
PIPE_CELLS = 120  # where lines may have any length
TICK_CELLS = 12


class Bar(Record):
    """A stretch of time. `kind`: work, wait, held, failed or pause."""

    start_ms: int
    end_ms: int
    kind: str
    title: str


class Row(Record):
    """A step, or a wait that is none (`step` is None). `source` is its line of the program."""

    step: int | None
    task: str
    label: str
    where: Value
    source: str
    bars: list[Bar]
    outcome: str
    took_ms: int
    attempts: int
    timings: str = ""  # where the time of the last attempt went


class Trace(Record):
    """A job's rows, between two moments. `holders` are (moment, kind, reason); `earlier` steps are not shown."""

    job: dict[str, Value]
    rows: list[Row]
    holders: list[tuple[int, str | None, str]]
    start_ms: int
    end_ms: int
    earlier: int


class _Layout(Record):
    """The cells of each column; 0 for one that there is no room for."""

    step: int
    branch: int
    where: int
    label: int
    source: int
    bar: int
    took: int
    outcome: int


def draw(trace: Trace, *, cells_max: int, color: bool) -> str:
    """Draws a timeline that fits into a width."""
    cells = PIPE_CELLS if cells_max > 10 * PIPE_CELLS else max(cells_max, BAR_CELLS_MIN)
    job = trace.job
    state = paint(job["state"], STATE_COLORS.get(job["state"], "bold"), color=color)
    command = cut(title(job), max(0, cells - len(job["state"]) - len(str(job["id"])) - 8))
    text = f"job {job['id']}  {state}  {command}".rstrip() + "\n"
    if not trace.rows:
        return text + f"  no steps, in {span_text(trace.end_ms - trace.start_ms)}\n"
    trace = trace.replace(rows=_without_the_file(trace.rows))
    layout = _layout(trace.rows, cells)
    if trace.earlier:
        text += cut(f"  {trace.earlier} earlier steps are not shown (--all)", cells) + "\n"
    text += "\n" + _axis(trace, layout, cells, color)
    for row in trace.rows:
        text += _line(row, trace, layout, cells, color)
    return text + "\n" + _summary(trace, cells, color)


def _without_the_file(rows: list[Row]) -> list[Row]:
    """Where all places are in one file, they are told without its name."""
    files = {row.where["file"] for row in rows if isinstance(row.where, dict)}
    if len(files) != 1:
        return rows
    return [row if row.where is None else row.replace(where={**row.where, "file": ""}) for row in rows]


def _layout(rows: Sequence[Row], cells: int) -> _Layout:
    step = max(1, max(len(str(row.step or "")) for row in rows))
    branch = 0 if all(row.task == "0" for row in rows) else min(12, max(len(_branch(row)) for row in rows))
    natural = {
        "where": min(max(width(place_text(row.where)) for row in rows), WHERE_CELLS_MAX),
        "label": min(max(width(visible(row.label)) for row in rows), LABEL_CELLS_MAX),
        "took": max(len(span_text(row.took_ms)) for row in rows),
        "outcome": min(max(width(_outcome(row)) for row in rows), OUTCOME_CELLS_MAX),
        "source": min(max(width(visible(row.source)) for row in rows), SOURCE_CELLS_MAX) if cells >= WIDE_CELLS else 0,
    }
    least = {"where": 10, "label": 16, "took": natural["took"], "outcome": 12, "source": 20}
    for dropped in ((), ("outcome",), ("outcome", "where"), ("outcome", "where", "label"), tuple(natural)):
        found = {name: 0 if name in dropped else size for name, size in natural.items()}
        while True:
            used = step + sum(size + 2 for size in (*found.values(), branch) if size)
            bar = cells - used - 2
            if bar >= max(BAR_CELLS_MIN, cells // 3):
                return _Layout(step, branch, bar=bar, **found)
            loose = [name for name, size in found.items() if size > min(least[name], natural[name])]
            if not loose:
                break
            widest = max(loose, key=lambda name: found[name])
            found[widest] -= 1
        if bar >= BAR_CELLS_MIN:
            return _Layout(step, branch, bar=bar, **found)
    return _Layout(0, 0, where=0, label=0, source=0, bar=cells, took=0, outcome=0)


def _line(row: Row, trace: Trace, layout: _Layout, cells: int, color: bool) -> str:
    parts = [pad(str(row.step or ""), layout.step, is_right=True)] if layout.step else []
    if layout.branch:
        parts.append(pad(cut(_branch(row), layout.branch), layout.branch))
    if layout.where:
        parts.append(pad(cut_left(place_text(row.where), layout.where), layout.where))
    if layout.label:
        parts.append(pad(cut(visible(row.label), layout.label), layout.label))
    if layout.source:
        source = pad(cut(visible(row.source), layout.source), layout.source)
        parts.append(paint(source, "dim", color=color))
    parts.append(_bar(row.bars, trace, layout.bar, color))
    if layout.took:
        parts.append(pad(span_text(row.took_ms), layout.took, is_right=True))
    if layout.outcome:
        outcome = cut(_outcome(row), layout.outcome)
        is_bad = outcome.startswith("status") or any(bar.kind == "failed" for bar in row.bars[-1:])
        parts.append(paint(outcome, "red", color=color) if is_bad else outcome)
    return "  ".join(parts).rstrip() + "\n"


def _branch(row: Row) -> str:
    return visible(row.task.removeprefix("0").removeprefix("."))


def _outcome(row: Row) -> str:
    outcome = "" if row.outcome in DONE else visible(row.outcome.partition("\n")[0])
    tries = f"{row.attempts} tries" if row.attempts > 1 else ""
    return ", ".join(filter(None, (tries, outcome, row.timings)))


def _bar(bars: Sequence[Bar], trace: Trace, cells: int, color: bool) -> str:
    kinds: list[str | None] = [None] * cells
    for bar in bars:
        first, last = _cell(bar.start_ms, trace, cells), _cell(bar.end_ms, trace, cells)
        for place in range(first, max(last, first + 1)):
            if bar.kind != "pause" or kinds[place] is None:
                kinds[place] = bar.kind
    text, place = "", 0
    while place < cells:
        kind, end = kinds[place], place
        while end < cells and kinds[end] == kind:
            end += 1
        run = (GLYPHS[kind] if kind else " ") * (end - place)
        text += paint(run, COLORS[kind], color=color) if kind else run
        place = end
    return text


def _cell(at_ms: int, trace: Trace, cells: int) -> int:
    share = (at_ms - trace.start_ms) / (trace.end_ms - trace.start_ms)
    return min(max(int(share * cells), 0), cells - 1) if share < 1 else cells


def _axis(trace: Trace, layout: _Layout, cells: int, color: bool) -> str:
    before = _cells_before(layout)
    span_ms = trace.end_ms - trace.start_ms
    count = max(1, layout.bar // TICK_CELLS)
    ticks = ""
    for number in range(count):
        place = number * layout.bar // count
        ticks = pad(ticks, place) + ("|" + span_text(span_ms * number // count))[: layout.bar // count - 1]
    text = " " * before + paint(cut(ticks, layout.bar), "dim", color=color) + "\n"
    holders = _holders(trace, layout.bar)
    if holders:
        label = "run by"
        start = " " * (before - len(label) - 2) + label + "  " if before >= len(label) + 2 else " " * before
        text += paint(start + holders, "dim", color=color).rstrip() + "\n"
    return text


def _cells_before(layout: _Layout) -> int:
    return sum(size + 2 for size in (layout.step, layout.branch, layout.where, layout.label, layout.source) if size)


def _holders(trace: Trace, cells: int) -> str:
    """Who ran the job: each name where that began, and a line to the next."""
    text = ""
    for at_ms, kind, reason in trace.holders:
        place = _cell(at_ms, trace, cells)
        name = (kind or "?") + (" (takeover)" if reason == "takeover" else "")
        text = pad(text[:place], place) if at_ms > trace.start_ms else ""
        text = text.rstrip() + "─" * (place - len(text.rstrip())) if text.strip() else " " * place
        text += cut(name, max(0, cells - place))
    return text + "─" * max(0, cells - len(text)) if text.strip() else ""


def _summary(trace: Trace, cells: int, color: bool) -> str:
    """Where the time went: each moment counts once."""
    spent = time_spent(trace)
    total = max(1, trace.end_ms - trace.start_ms)
    parts = [
        f"{span_text(ms)} {NAMES[kind]} ({round(100 * ms / total)}%)"
        for kind, ms in sorted(spent.items(), key=lambda item: -item[1])
        if ms > 0
    ]
    lines = [f"  {span_text(total)} in all:"]
    for part in parts:
        joined = lines[-1] + (" " if lines[-1].endswith(":") else ", ") + part
        if width(joined) <= cells:
            lines[-1] = joined
        else:
            lines.append("    " + part)
    used = [kind for kind in ORDER if any(bar.kind == kind for row in trace.rows for bar in row.bars)]
    legend = "  ".join(f"{GLYPHS[kind]} {NAMES[kind]}" for kind in used)
    if width(legend) + 2 > cells:
        legend = " ".join(f"{GLYPHS[kind]}{NAMES[kind].rpartition(' ')[2]}" for kind in used)
    return (
        "".join(cut(line, cells) + "\n" for line in lines) + paint(cut(f"  {legend}", cells), "dim", color=color) + "\n"
    )


def time_spent(trace: Trace) -> dict[str, int]:
    """Divides the time of a trace among the kinds of its bars, `rest` for what none of them covers."""
    changes: list[tuple[int, int, str]] = []
    for row in trace.rows:
        for bar in row.bars:
            start, end = max(bar.start_ms, trace.start_ms), min(bar.end_ms, trace.end_ms)
            if end > start:
                changes += [(start, 1, bar.kind), (end, -1, bar.kind)]
    spent = dict.fromkeys((*ORDER, "rest"), 0)
    running = dict.fromkeys(ORDER, 0)
    at_ms = trace.start_ms
    for moment, change, kind in sorted(changes):
        spent[next((name for name in ORDER if running[name]), "rest")] += moment - at_ms
        at_ms = moment
        running[kind] += change
    spent["rest"] += trace.end_ms - at_ms
    return spent


def place_text(where: Value) -> str:
    """Writes a place, or nothing."""
    if not isinstance(where, dict):
        return ""
    return visible(f"{where['file']}:{where['line']}:{where['column']}").removeprefix(":")


def cut_left(text: str, cells: int) -> str:
    """Shortens a place to a width: its end, with the line, is what matters."""
    if width(text) <= cells:
        return text
    while text and width(text) > cells - 1:
        text = text[1:]
    return "…" + text


def milliseconds(at: str | None) -> int | None:
    """Reads a moment of a document."""
    if not at:
        return None
    from calendar import timegm

    return timegm(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) * 1000 + int(at[20:23] or 0)
