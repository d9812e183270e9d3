"""`fmsh jobs gc` and `rm`: removing ended jobs before their time, or just in time."""

from __future__ import annotations

from fmsh import retention
from fmsh.jobs.documents import has_ended
from fmsh.jobs.finding import NoSuchJob, NotPossible, find_even_damaged
from fmsh.store.base import JobAge

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from fmsh.jobs.desk import Desk
    from fmsh.retention import Swept
    from fmsh.store.base import Job

UNITS = ("bytes", "KiB", "MiB", "GiB")


def gc(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs gc [--older-than D]`"""
    limits = desk.limits
    if arguments.older_than is not None:
        older_ms = int(arguments.older_than * 1000)
        limits = limits.replace(output_ms=older_ms, history_ms=older_ms)
    _tell(desk, retention.Sweep(desk.store, desk.fx_directory, limits).run_ended())
    return 0


def rm(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs rm N…`: each that has ended; one that has not is reported, and makes the status 1."""
    status = 0
    found: dict[int, Job] = {}
    for name in arguments.jobs:
        try:
            job = find_even_damaged(desk.store, name)
            _need_ended(job)
            found[job.id] = job
        except (NoSuchJob, NotPossible) as problem:
            desk.note(problem.message + (f"\n  {problem.hint}" if problem.hint else ""))
            status = 1
    sweep = retention.Sweep(desk.store, desk.fx_directory, desk.limits)
    sweep.remove_jobs([JobAge(job.id, job.uid, job.ended_at_ms, 0, True) for job in found.values()])
    desk.store.shrink()
    if found or desk.is_json:
        _tell(desk, sweep.swept)
    return status


def _need_ended(job: Job) -> None:
    if not has_ended(job):
        hint = f"`fmsh jobs cancel {job.id}` ends it"
        raise NotPossible(f"job {job.id} is {job.state}: only ended jobs can be removed", hint=hint)


def _tell(desk: Desk, swept: Swept) -> None:
    if desk.is_json:
        document: dict[str, Any] = {"removed": swept.jobs, "output_removed": swept.outputs, "stray": swept.strays}
        desk.write_document(document | {"bytes": swept.bytes})
        return
    parts = [_count(len(swept.jobs), "job"), f"the output of {_count(len(swept.outputs), 'job')}"]
    if swept.strays:
        parts.append(f"what {_count(swept.strays, 'job')} had left behind")
    desk.say(f"removed {', '.join(parts)}: {size_text(swept.bytes)} freed\n")


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def size_text(size: int) -> str:
    """Writes a number of bytes in its largest unit."""
    amount = float(size)
    for unit in UNITS:
        if amount < 1024 or unit == UNITS[-1]:
            break
        amount /= 1024
    return f"{size} bytes" if unit == UNITS[0] else f"{amount:.1f} {unit}"
