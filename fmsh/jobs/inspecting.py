"""`fmsh jobs inspect`: the stack and the variables of a job as of any event that is kept."""

from __future__ import annotations

from fmsh.errors import UsageError
from fmsh.jobs.finding import NotPossible, find_job
from fmsh.jobs.following import tell_of_removed
from fmsh.jobs.moments import Moment, moment_at, moment_json
from fmsh.render import moments as render

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from fmsh.jobs.desk import Desk
    from fmsh.store.base import Job


def inspect(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs inspect N [--at SEQ]`"""
    if arguments.interactive and desk.is_json:
        raise UsageError("--interactive and --json exclude each other", hint="leave one of them out")
    job = find_job(desk.store, arguments.jobs[0])
    moment = look(desk, job, job.head if arguments.at is None else arguments.at)
    if arguments.interactive:
        from fmsh.jobs import looking

        return looking.run(desk, moment)
    if desk.is_json:
        desk.write_document(moment_json(desk.store, moment))
        return 0
    tell_of_removed(desk, job)
    show(desk, moment)
    return 0


def look(desk: Desk, job: Job, seq: int) -> Moment:
    """Rebuilds a job as it was after an event. Raises: NotPossible, with what can be inspected."""
    if desk.load_program is None:
        raise NotPossible("programs cannot be loaded here")
    return moment_at(desk.store, job, seq, desk.load_program(desk.store.program(job.program_hash)))


def show(desk: Desk, moment: Moment) -> None:
    """Writes a moment for people."""
    sources = {unit.source.name: unit.source for unit in moment.program.units}
    document = moment_json(desk.store, moment)
    desk.say(render.moment_page(document, moment.job.state, sources, cells_max=desk.width, color=desk.color))
