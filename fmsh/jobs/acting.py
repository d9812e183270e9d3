"""Steering jobs: each verb checks that it can make sense, and puts one row into the job's inbox."""

from __future__ import annotations

import time

from fmsh.builtins.answers import read_answer
from fmsh.engine import ending
from fmsh.exchange import answer_to
from fmsh.jobs.documents import documents_of, error_of, has_ended, is_damaged, move_text, parked_step, questions_of
from fmsh.jobs.finding import NoSuchJob, NotPossible, find_even_damaged, find_job
from fmsh.jobs.following import deliver
from fmsh.store.base import MOVED
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from fmsh.jobs.desk import Desk
    from fmsh.store.base import EventStore, Job
    from fmsh.values import Value


def cancel(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs cancel N…`"""
    return _for_each(desk, arguments.jobs, "cancel", need_active)


def pause(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs pause N…`"""
    return _for_each(desk, arguments.jobs, "pause", need_active)


def resume(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs resume N…`"""

    def check(job: Job) -> None:
        _need_paused(desk.store, job)
        _provide_secrets(desk, job)

    return _for_each(desk, arguments.jobs, "resume", check)


def retry(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs retry N…`"""
    return _for_each(desk, arguments.jobs, "retry", _need_parked)


def answer(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs answer N [VALUE]`"""
    job = find_job(desk.store, arguments.jobs[0])
    answer_question(desk.store, job, lambda question: read_answer(arguments.value, question))
    desk.see_to(job)
    if desk.is_json:
        desk.write_document(documents_of(desk.store, [job]))
    return 0


def answer_question(store: EventStore, job: Job, read: Callable[[Mapping[str, Value]], Value]) -> None:
    """Answers what a job asks, or the step at which it is parked; `read` gives the value that fits what is asked.

    Raises: NotPossible.
    """
    need_listener(job)
    _need_question(store, job)
    questions = [] if job.state == "parked" else questions_of(job)
    if not questions:
        deliver(store, job.id, "answer", {"value": read({})})
        return
    for question in questions:
        try:
            value = read(question)
        except Raised as problem:
            raise NotPossible(f"job {job.id} asks {question['question']!r}: {problem.error.message}") from problem
        if "step" not in question:  # written by an fmsh that did not say which
            deliver(store, job.id, "answer", {"value": value})
            return
        if answer_to(store, job.id, question["step"], value):
            return
    raise NotPossible(f"what job {job.id} asks is answered already: {questions[-1]['question']!r}")


def signal(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs signal N NAME [JSON]`"""
    job = find_job(desk.store, arguments.jobs[0])
    need_listener(job)
    value = None if arguments.value is None else read_answer(arguments.value, {})
    deliver(desk.store, job.id, "signal", {"name": arguments.name, "value": value, "from": {}})
    desk.see_to(job)
    if desk.is_json:
        desk.write_document(documents_of(desk.store, [job]))
    return 0


def _for_each(desk: Desk, names: list[str], kind: str, check: Callable[[Job], None]) -> int:
    """Acts on every job that it can act on; one that it cannot is reported, and makes the status 1."""
    status = 0
    done = []
    for name in names:
        try:
            job = find_even_damaged(desk.store, name)
            check(job)
            if is_damaged(job):
                _act_on_damaged(desk, job, kind)
        except (NoSuchJob, NotPossible) as problem:
            desk.note(problem.message + (f"\n  {problem.hint}" if problem.hint else ""))
            status = 1
            continue
        deliver(desk.store, job.id, kind, None)
        desk.see_to(job)
        done.append(job)
    if desk.is_json:
        desk.write_document(documents_of(desk.store, done))
    return status


def _act_on_damaged(desk: Desk, job: Job, kind: str) -> None:
    """Cancels a damaged job here, since no machine can; a retry is worth its while only if the damage is gone."""
    if kind == "cancel":
        ending.give_up(desk.store, job.id, now_ms=time.time_ns() // 10**6)
        return
    if kind == "retry" and not any(damage.job_id == job.id for damage in desk.store.verify()):
        return
    raise _damaged(job)


def need_listener(job: Job) -> None:
    """Raises: NotPossible: the job takes no message any more: it is over, or damaged."""
    need_active(job)
    if is_damaged(job):
        raise _damaged(job)


def _damaged(job: Job) -> NotPossible:
    error = error_of(job)
    assert error is not None
    hint = f"restore a backup, or give it up: `fmsh jobs cancel {job.id}`"
    return NotPossible(f"job {job.id} is damaged: {error.message}", hint=hint)


def need_active(job: Job) -> None:
    """Raises: NotPossible: the job is over."""
    if job.state == MOVED:
        raise NotPossible(move_text(job), hint="Ask for it there.")
    if has_ended(job):
        raise NotPossible(f"job {job.id} has ended already ({job.state})")


def _need_paused(store: EventStore, job: Job) -> None:
    need_active(job)
    if job.state != "paused" and not store.inbox(job.id, kind="pause", limit=1):
        hint = f"`fmsh jobs retry {job.id}` does its step again" if job.state == "parked" else ""
        raise NotPossible(f"job {job.id} is not paused: it is {job.state}", hint=hint)


def _provide_secrets(desk: Desk, job: Job) -> None:
    """Gives a job from another store what it still lacks of its environment, from ours."""
    from fmsh.jobs import needed_secrets

    missing = needed_secrets.Missing(desk.store, needed_secrets.of_environment(desk.store, job))
    missing.take_variables(desk, or_nothing=True)


def _need_parked(job: Job) -> None:
    if job.state != MOVED and has_ended(job):
        hint = f"`fmsh jobs fork {job.id} --at SEQ` starts a new job from a point of it"
        raise NotPossible(f"job {job.id} has ended ({job.state}), so no step of it can be done again", hint=hint)
    need_active(job)
    if job.state != "parked":
        hint = f"`fmsh jobs resume {job.id}` lets it go on" if job.state == "paused" else ""
        raise NotPossible(f"job {job.id} is not parked: it is {job.state}", hint=hint)
    error = error_of(job)
    if error is not None and error.kind == "undo":
        hint = f"undo it by hand; then `fmsh jobs cancel {job.id}` ends the job as it had ended"
        raise NotPossible(f"job {job.id} is parked because its undo failed for good, which is not run again", hint=hint)


def _need_question(store: EventStore, job: Job) -> None:
    if questions_of(job):
        return
    if job.state != "parked":
        raise NotPossible(f"job {job.id} asks nothing: it is {job.state}, and neither waits for a person nor is parked")
    if parked_step(store, job) is None:
        hint = f"`fmsh jobs retry {job.id}` tries to go on, `fmsh jobs cancel {job.id}` ends it"
        raise NotPossible(f"job {job.id} is parked, but not at a step whose outcome could be given", hint=hint)
