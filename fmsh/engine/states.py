"""The state of a job after any event that is kept: for those who look, not for those who go on."""

from __future__ import annotations

from fmsh.engine import recording, replay
from fmsh.engine.dispatcher import Dispatcher
from fmsh.engine.loop import Loop
from fmsh.engine.retry import Backoff
from fmsh.engine.worker import SLICE_INSTRUCTIONS, Surroundings
from fmsh.errors import InternalError, StoreMissing
from fmsh.machine.effects import End
from fmsh.machine.events import JobEnded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.connectors.base import Connector
    from fmsh.engine.worker import Worker
    from fmsh.machine.code import Program
    from fmsh.store.base import EventStore, Job
    from fmsh.values import Value

SLICES_MAX = 20  # a run that is longer than some 0.2 s is shown where it is by then


def state_at(store: EventStore, job: Job, seq: int, *, program: Program) -> Worker:
    """Makes the worker of a job as it was after event `seq`, run on until it had nothing to do but wait.

    It has no lease, and nothing that it would do is done. Raises: StoreMissing: that event is not there, or not any
    more; StoreCorrupt; InternalError and whatever a fault of the machine raises.
    """
    if not max(job.trimmed_seq, 1) <= seq <= job.head:
        kept = f"events {max(job.trimmed_seq, 1)} to {job.head} are kept"
        raise StoreMissing(f"there is no event {seq} of job {job.id}: {kept}", hint=_reason(job, seq))
    try:
        return _replayed(store, job, seq, program)
    except StoreMissing as missing:
        if job.output_removed_at_ms is None:
            raise
        message = f"job {job.id} cannot be replayed up to event {seq}: a large value that it needs was removed"
        raise StoreMissing(message, hint="The setting retention.output says how long they are kept.") from missing


def _reason(job: Job, seq: int) -> str:
    return "The setting retention.events says how long older ones are kept." if seq < job.trimmed_seq else ""


def _replayed(store: EventStore, job: Job, seq: int, program: Program) -> Worker:
    worker, after = replay.begin(store, job, at=seq, epoch=None, program=program, surroundings=_nowhere())
    replayed = replay.Replay(worker)
    for stored in store.events(job.id, after=after, limit=seq - after):
        event = recording.read(store, stored)
        if not isinstance(event, JobEnded):  # of that the machine knows by itself
            replayed.apply(event, stored)
    replayed.finish()
    for _ in range(SLICES_MAX):
        if worker.is_quiescent or worker.is_held:
            break
        worker.is_quiescent = worker.machine.run(SLICE_INSTRUCTIONS)
        for effect in worker.machine.take_effects():  # what it asks for beyond the history is asked of nobody
            if type(effect) is End:
                worker.end = effect
    return worker


def _nowhere() -> Surroundings:
    connectors: Mapping[str, Connector] = {}
    return Surroundings(
        Loop(),
        Dispatcher(connectors, None, _ignore),
        Backoff(lambda: 0.0),
        lambda: 0,
        _observe,
        _ignore,
        _ignore,
        _ignore,
    )


def _observe(operation: str, arguments: dict[str, Value]) -> Value:
    raise InternalError(f"a state that is only looked at observed {operation}")


def _ignore(*_: object) -> None:
    """Nobody is told of what a state would do."""
