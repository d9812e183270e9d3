"""`fmsh jobs fork N --at SEQ [--edit FILE]`: a new, detached job that goes on from an event of another.

It begins with the recorded answers up to that event, as far as its program asks for the same (`engine.forks`); the rest
it does itself. What that will be is shown before it starts.
"""

from __future__ import annotations

import os
import re
import time

from fmsh.assembly import make_program, observe_plainly
from fmsh.engine import forks, recording, replay
from fmsh.engine.starting import facts_of
from fmsh.errors import StoreMissing
from fmsh.jobs.documents import whole_document
from fmsh.jobs.finding import NotPossible, find_job
from fmsh.jobs.moments import out_of_range
from fmsh.machine.effects import Observe, Request
from fmsh.machine.events import JobStarted
from fmsh.machine.machine import Machine
from fmsh.record import Record
from fmsh.render.cells import cut, visible
from fmsh.render.jobs import request_label
from fmsh.secrets import OPERATIONS
from fmsh.store.base import NewJob, Summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from fmsh.engine.forks import Answer, Followed
    from fmsh.jobs.desk import Desk
    from fmsh.machine.code import Program
    from fmsh.store.base import EventStore, Job, NewProgram
    from fmsh.values import Value

STEPS_SHOWN_MAX = 10
FORK_OF = re.compile(r" \(fork of [0-9]+ at [0-9]+\)$")
LABEL_CELLS_MAX = 70


class Origin(Record):
    """A job that is forked, its start, and its program."""

    job: Job
    started: JobStarted
    stored: NewProgram
    program: Program


def fork(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs fork N --at SEQ [--edit FILE] [--plan]`"""
    job = find_job(desk.store, arguments.jobs[0])
    origin = origin_of(desk, job)
    if not 1 <= arguments.at <= job.head:
        message, hint = out_of_range(job, arguments.at, 1)
        raise NotPossible(message.replace("inspected", "forked"), hint=hint)
    stored, program = origin.stored, origin.program
    if arguments.edit is not None:
        stored, program = edited(origin, arguments.edit)
    followed = follow(desk.store, [(origin, arguments.at)], program)
    _show(desk, job, arguments.at, program, followed)
    if arguments.plan:
        if desk.is_json:
            desk.write_document(_plan_json(program, followed))
        return 0
    forked = _create(desk.store, origin, arguments.at, stored, followed)
    desk.see_to(forked)
    if desk.is_json:
        desk.write_document(whole_document(desk.store, forked) | {"fork": _plan_json(program, followed)})
    else:
        desk.say(f"{forked.id}\n")
    return 0


def origin_of(desk: Desk, job: Job) -> Origin:
    """Reads what a job started with. Raises: NotPossible: its first events are not kept any more."""
    first = next(iter(desk.store.events(job.id, limit=1)), None) if job.trimmed_seq <= 1 else None
    if first is None or desk.load_program is None:
        hint = "the setting retention.events says how long older events are kept"
        raise NotPossible(
            f"the first events of job {job.id} are not kept any more, and it runs from its start", hint=hint
        )
    started = recording.read(desk.store, first)
    assert isinstance(started, JobStarted)
    stored = desk.store.program(job.program_hash)
    return Origin(job, started, stored, desk.load_program(stored))


def machine_of(store: EventStore, origin: Origin) -> Machine:
    """The machine of a job at its start."""
    job, started = origin.job, origin.started
    environment = replay.environment_of(store, started.environment)
    return Machine(origin.program, facts_of(job.id, job.key, job.name, started), environment)


def edited(origin: Origin, path: str) -> tuple[NewProgram, Program]:
    """Makes another program that is to run on the answers of a job. Raises: SourceError, UsageError, NotPossible."""
    from fmsh.shell.script import read_source

    if origin.started.options.get("entry"):
        hint = "fork it without --edit, or edit and fork the job that it belongs to"
        raise NotPossible(f"job {origin.job.id} is a part of another program (`&`), which has no file", hint=hint)
    stored, program = make_program(read_source(path))
    given = origin.started.options.get("variables") or {}
    for parameter in program.parameters.signature.parameters:
        if parameter.is_required and parameter.name not in given:
            raise NotPossible(f"{path} needs {parameter.name.upper()}, which job {origin.job.id} was not given")
    return stored, program


def follow(store: EventStore, recorded: Sequence[tuple[Origin, int]], program: Program) -> Followed:
    """Runs a program on the answers that jobs had up to an event, one job after the other.

    It begins as the first of them did. Raises: NotPossible: an answer is not kept any more.
    """
    answers: list[Answer] = []
    order = 0
    for origin, at in recorded:
        try:
            answers += forks.recorded_answers(store, origin.job, at, machine=machine_of(store, origin), order=order)
        except StoreMissing as missing:
            message = f"the answers of job {origin.job.id} cannot be reused: a large value among them was removed"
            raise NotPossible(message, hint="The setting retention.output says how long they are kept.") from missing
        order += at
    job, started = recorded[0][0].job, recorded[0][0].started
    facts = facts_of(job.id, None, None, started)
    environment = replay.environment_of(store, started.environment)
    return forks.follow(program, facts, environment, answers, observe=observe)


def observe(asked: Observe) -> Value:
    """Answers what is not recorded as this machine would now. Raises: KeyError: not without the vault."""
    if asked.operation in OPERATIONS:
        raise KeyError(asked.operation)
    return observe_plainly(asked.operation, asked.arguments)


def _create(store: EventStore, origin: Origin, at: int, stored: NewProgram, followed: Followed) -> Job:
    """Makes the new job with its inherited history, in one commit. It knows itself by the number of the other."""
    job, started = origin.job, origin.started
    kept = {name: value for name, value in started.options.items() if name != "begun_by"}
    options = {**kept, "inherited": len(followed.events) + 1, "fork": {"job": job.uid, "at": at}}
    begun = started.replace(program=stored.hash, options=options, number=started.number or job.id)
    now_ms = time.time_ns() // 10**6
    recorded = recording.Recording()
    recorded.add(begun, at_ms=now_ms)
    for event, step in followed.events:
        recorded.add(event, at_ms=now_ms, step=step)
    steps = max((step for _, step in followed.events if step is not None), default=0)
    command = f"{FORK_OF.sub('', job.command)} (fork of {job.id} at {at})"
    new = NewJob(os.urandom(16).hex(), stored.name, command, now_ms, stored, tags_json=job.tags_json, is_detached=True)
    environment = [(started.environment, store.blob(started.environment))] if started.environment else []
    created, _, _ = store.create_job(
        new,
        recorded.events,
        Summary("running", 0, steps),
        lease=False,
        blobs=recorded.blobs,
        lasting=environment,
    )
    return created


# ---- What will be ----------------------------------------------------------------------------------------------------


def _show(desk: Desk, job: Job, at: int, program: Program, followed: Followed) -> None:
    reused = followed.reused
    text = f"fork of job {job.id} at event {at}\n"
    text += f"  {_count(len(reused), 'step')} with recorded answers" + (", done before:\n" if reused else "\n")
    if len(reused) > STEPS_SHOWN_MAX:
        text += f"       … and {len(reused) - STEPS_SHOWN_MAX} earlier ones\n"
    for request in reused[-STEPS_SHOWN_MAX:]:
        text += f"    {step_text(program, request)}\n"
    if followed.end is not None:
        text += "  nothing is left to do: the job ends with these answers\n"
    elif isinstance(followed.missed, Observe):
        text += f"  new from here on: it asks for `{followed.missed.operation}`, which is not recorded\n"
    elif followed.new:
        text += "  new from here on, done again or for the first time:\n"
        for request in followed.new[:STEPS_SHOWN_MAX]:
            text += f"    {step_text(program, request)}\n"
        if len(followed.new) > STEPS_SHOWN_MAX:
            text += f"       … and {len(followed.new) - STEPS_SHOWN_MAX} more\n"
    else:
        text += "  it then waits for what others send\n"
    desk.stderr.write(text)
    desk.stderr.flush()


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def step_text(program: Program, request: Request) -> str:
    """Says in a line which step a request is, where it is asked for, and what it does."""
    place = program.place(request.node)
    label = cut(visible(_label(request)), LABEL_CELLS_MAX)
    return f"{request.step:>3}  {visible(place['file'])}:{place['line']}:{place['column']}  {label}"


def request_text(request: Request) -> str:
    """Says what a request does, between the marks of code."""
    return f"`{cut(visible(_label(request)), LABEL_CELLS_MAX)}`"


def _label(request: Request) -> str:
    return request_label({field: getattr(request, field) for field in ("connector", "operation", "arguments")})


def _plan_json(program: Program, followed: Followed) -> dict[str, Value]:
    def step(request: Request) -> dict[str, Value]:
        return {"step": request.step, "label": _label(request), "where": program.place(request.node)}

    missed = followed.missed
    return {
        "reused": [step(request) for request in followed.reused],
        "new": [step(request) for request in followed.new],
        "missed": None if missed is None else missed.operation if isinstance(missed, Observe) else missed.step,
        "ends": followed.end is not None,
    }
