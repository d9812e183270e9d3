"""`fmsh jobs trace N`: a timeline of a job: its steps as bars, who ran it when, and where the time went."""

from __future__ import annotations

import os
import time

from fmsh.errors import FmshError, UsageError
from fmsh.jobs.documents import has_ended, places_of, timestamp, whole_document
from fmsh.jobs.finding import NotPossible, find_job
from fmsh.jobs.following import tell_of_removed
from fmsh.jobs.histories import read_history
from fmsh.render import trace_page, traces
from fmsh.render.timings import timings_text
from fmsh.render.traces import Bar, Row, Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from fmsh.jobs.desk import Desk
    from fmsh.jobs.documents import Place
    from fmsh.jobs.histories import Attempt, History, Holder, Step
    from fmsh.spans import Source
    from fmsh.store.base import Job
    from fmsh.values import Value

ROWS_MAX = 60  # the last ones, unless all are asked for
EVENTS_MAX = 2000  # read for them: an eighth of a second at most
WAITS = ("timer",)  # connectors that do nothing but wait
TIMER_LABEL = "sleep "


def trace(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs trace N [--all] [--html FILE]`"""
    if desk.is_json and arguments.html == "-":
        raise UsageError("--json and --html - both want standard output", hint="give --html a FILE")
    job = find_job(desk.store, arguments.jobs[0])
    is_whole = arguments.all or desk.is_json or arguments.html is not None
    history = read_history(desk.store, job, events_max=None if is_whole else EVENTS_MAX)
    place = places_of(desk, job)
    if desk.is_json:
        desk.write_document([step_json(step, history.holders, place) for step in history.steps.values()])
        if arguments.html is None:
            return 0
    tell_of_removed(desk, job)
    found = _trace(desk, job, history, place, rows_max=None if is_whole else ROWS_MAX)
    if arguments.html is None:
        desk.say(traces.draw(found, cells_max=desk.width, color=desk.color))
    elif arguments.html == "-":
        desk.say(trace_page.page(found))
    else:
        _write(arguments.html, trace_page.page(found))
    return 0


def step_json(step: Step, holders: Sequence[Holder], place: Place) -> dict[str, Value]:
    """Gives a step as a document."""
    return {
        "step": step.number,
        "task": step.task,
        "connector": step.connector,
        "operation": step.operation,
        "label": step.label,
        "where": None if step.node is None else place(step.node),
        "attempts": [_attempt_json(attempt, holders) for attempt in step.attempts],
    }


def _attempt_json(attempt: Attempt, holders: Sequence[Holder]) -> dict[str, Value]:
    by = [holder.kind for holder in holders if holder.at_ms <= attempt.started_at_ms]
    return {
        "started_at": timestamp(attempt.started_at_ms),
        "ended_at": timestamp(attempt.ended_at_ms),
        "outcome": attempt.outcome,
        "timings": attempt.timings,
        "by": by[-1] if by else None,
    }


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as problem:
        reason = os.strerror(problem.errno or 0).lower()
        raise NotPossible(f"{path} cannot be written: {reason}") from problem


# ---- Rows ------------------------------------------------------------------------------------------------------------


def _trace(desk: Desk, job: Job, history: History, place: Place, *, rows_max: int | None) -> Trace:
    document = whole_document(desk.store, job)
    now_ms = job.ended_at_ms if has_ended(job) and job.ended_at_ms else time.time_ns() // 10**6
    end_ms = max(now_ms, history.last_at_ms)
    sources = _sources(desk, job)
    rows = [_row(step, place, sources, end_ms) for step in history.steps.values()]
    waits = _open_waits(document, sources, end_ms)
    waits += [_wait_row(label, begun, until) for label, begun, until in history.waits]
    rows = _holds(history, end_ms) + _with_their_timeouts(rows, waits)
    rows.sort(key=lambda row: (row.bars[0].start_ms, row.step or 0))
    earlier = history.first_step - 1 if history.first_step else 0
    if rows_max is not None and len(rows) > rows_max:
        earlier += sum(1 for row in rows[:-rows_max] if row.step is not None)
        rows = rows[-rows_max:]
    is_cut = earlier > 0
    start_ms = min((row.bars[0].start_ms for row in rows), default=end_ms) if is_cut else job.created_at_ms
    holders = [(holder.at_ms, holder.kind, holder.reason) for holder in history.holders]
    return Trace(document, rows, holders, start_ms, max(end_ms, start_ms + 1), earlier)


def _sources(desk: Desk, job: Job) -> Mapping[str, Source]:
    if desk.load_program is None:
        return {}
    try:
        program = desk.load_program(desk.store.program(job.program_hash))
    except FmshError:  # the bars are there without the text beside them
        return {}
    return {unit.source.name: unit.source for unit in program.units}


def _row(step: Step, place: Place, sources: Mapping[str, Source], end_ms: int) -> Row:
    where = None if step.node is None else place(step.node)
    bars: list[Bar] = []
    for attempt in step.attempts:
        start_ms = min(attempt.started_at_ms, end_ms)
        if bars and start_ms > bars[-1].end_ms:
            bars.append(Bar(bars[-1].end_ms, start_ms, "pause", "until the next try"))
        if attempt.started_at_ms > end_ms:
            break
        kind = "wait" if step.connector in WAITS else "work"
        if attempt.error is not None or (attempt is not step.last and attempt.ended_at_ms is not None):
            kind = "failed"
        elif step.parked_at_ms is not None:
            kind = "held"
        until = end_ms if attempt.ended_at_ms is None else attempt.ended_at_ms
        bars.append(Bar(start_ms, max(until, start_ms), kind, attempt.outcome or ""))
    outcome = step.last.outcome if step.is_over else "parked" if step.parked_at_ms is not None else "…"
    took_ms = bars[-1].end_ms - bars[0].start_ms
    source = _source_line(where, sources)
    timings = timings_text(step.last.timings)
    return Row(
        step.number, step.task, step.label, where, source, bars, outcome or "", took_ms, len(step.attempts), timings
    )


def _source_line(where: Value, sources: Mapping[str, Source]) -> str:
    if not isinstance(where, dict) or where["file"] not in sources:
        return ""
    lines = sources[where["file"]].text.split("\n")
    return lines[where["line"] - 1].strip() if 0 < where["line"] <= len(lines) else ""


def _holds(history: History, end_ms: int) -> list[Row]:
    rows = []
    for hold in history.holds:
        until = end_ms if hold.until_ms is None else hold.until_ms
        bar = Bar(hold.at_ms, max(until, hold.at_ms), "held", hold.kind)
        outcome = "…" if hold.until_ms is None else "resumed"
        rows.append(Row(None, "0", hold.kind, None, "", [bar], outcome, bar.end_ms - bar.start_ms, 1))
    return rows


def _wait_row(label: str, begun_ms: int, until_ms: int) -> Row:
    bar = Bar(begun_ms, until_ms, "wait", label)
    return Row(None, "0", f"await {label}", None, "", [bar], "", until_ms - begun_ms, 1)


def _with_their_timeouts(rows: list[Row], waits: list[Row]) -> list[Row]:
    """Steps and waits; a wait that has a time-out, which is a step beginning with it, is one row with that."""
    timers = {(row.bars[0].start_ms, row.task): row for row in rows if row.label.startswith(TIMER_LABEL)}
    for wait in waits:
        timer = timers.get((wait.bars[0].start_ms, wait.task))
        if timer is not None:
            rows.remove(timer)
            label = f"{wait.label}, at most {timer.label.removeprefix(TIMER_LABEL)}"
            wait = wait.replace(step=timer.step, label=label, where=timer.where, source=timer.source)
        rows.append(wait)
    return rows


def _open_waits(document: dict[str, Value], sources: Mapping[str, Source], end_ms: int) -> list[Row]:
    """What the job waits for now that is no step."""
    rows = []
    for wait in document["waiting_for"]:
        since = traces.milliseconds(wait.get("since"))
        if wait["kind"] == "timer" or since is None:
            continue
        label = f"await {wait['kind']} {wait.get('label') or ''}".rstrip()
        bar = Bar(min(since, end_ms), end_ms, "wait", label)
        where = wait.get("where")
        took_ms = bar.end_ms - bar.start_ms
        rows.append(Row(None, "0", label, where, _source_line(where, sources), [bar], "…", took_ms, 1))
    return rows
