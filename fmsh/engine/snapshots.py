"""Snapshots: when the state of a job is kept, and in which form.

A snapshot is a JSON object: what the engine knows of the job, and the machine's own state. Large states are kept less
often, so that saving never takes more than a twentieth of the time. A snapshot that takes more room than the events
since the last one that stays goes when the next one is made: so all that stay take no more room than the events.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import flight as flights
from fmsh.errors import InternalError
from fmsh.record import Record
from fmsh.store.base import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.engine.flight import Flight
    from fmsh.engine.worker import Worker
    from fmsh.values import ErrorValue, Value

VERSION = 1
INTERVAL_EVENTS = 1000  # at 20 µs each, replaying them takes less than half of the 50 ms that loading may take
SAVE_SHARE = 20  # at most one part in so many of the time goes into saving
EVENT_BYTES = 200  # what a small event takes in the store
PREFIX = '{"version":1,"machine_size":'
MACHINE = ',"machine":'
REST = ',"engine":'


class SnapshotPolicy:
    """When the next snapshot of a job is due.

    `seq` is the event after which the last one was taken, `lasting_seq` that of the last one that stays.
    """

    __slots__ = ("_not_before_s", "lasting_seq", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.lasting_seq = 0
        self._not_before_s = 0.0

    def take_if_due(self, worker: Worker) -> Snapshot | None:
        """Takes a snapshot that belongs to the commit of what is recorded now, if it is time or the job leaves."""
        assert worker.lease is not None
        seq = worker.lease.head + len(worker.recording.events)
        if not worker.is_leaving and seq - self.seq < INTERVAL_EVENTS:
            return None
        now_s = worker.surroundings.loop.now_s()
        if not is_clean(worker) or seq == self.seq or (not worker.is_leaving and now_s < self._not_before_s):
            return None
        state_json = encode(worker)
        after_s = worker.surroundings.loop.now_s()
        self._not_before_s = after_s + SAVE_SHARE * (after_s - now_s)
        replaced = self.seq if self.seq != self.lasting_seq else None
        self.taken(seq, len(state_json))
        return Snapshot(seq, state_json, replaced)

    def taken(self, seq: int, size: int) -> None:
        """Notes that there is a snapshot after an event, and judges whether it stays."""
        self.seq = seq
        if size <= (seq - self.lasting_seq) * EVENT_BYTES:
            self.lasting_seq = seq


def is_clean(worker: Worker) -> bool:
    """Whether the machine has been fed all that is recorded, and has nothing of its own to do."""
    if worker.end is not None or worker.is_faulty:
        return False
    return worker.is_quiescent and not worker.held and not worker.observes


class Saved(Record):
    """A snapshot that was read."""

    machine_json: str
    flights: list[Flight]
    steps: int
    environment_hash: str
    owner: dict[str, Value]
    is_paused: bool
    is_parked: bool
    parked_step: int | None
    error: ErrorValue | None
    umask: int | None
    begun_by: str | None
    lasting_seq: int  # before this one
    kept: dict[str, dict[str, Value]]


def encode(worker: Worker) -> str:
    """Writes the state of a clean worker."""
    machine_json = worker.machine.snapshot()
    assert worker.lease is not None
    engine = {
        "epoch": worker.lease.epoch,
        "in_flight": [flights.to_wire(flight, is_leaving=worker.is_leaving) for flight in worker.flights.values()],
        "steps": worker.steps,
        "environment": worker.environment_hash,
        "umask": worker.umask,
        "begun_by": worker.begun_by,
        "lasting_seq": worker.snapshots.lasting_seq,
        "owner": dict(worker.owner),
        "is_paused": worker.is_paused,
        "is_parked": worker.is_parked,
        "parked_step": worker.parked_step,
        "error": worker.error,
        "kept": worker.kept,
    }
    return f"{PREFIX}{len(machine_json)}{MACHINE}{machine_json}{REST}{wire.encode(engine)}}}"


def decode(state_json: str, *, epoch: int | None) -> Saved:
    """Reads a state. `epoch`: of the lease under which it is read, if the state is that of the job's last event.

    Raises: InternalError: it is of a version that this fmsh does not know.
    """
    start, end = _machine_of(state_json)
    engine: dict[str, Any] = wire.decode(state_json[end + len(REST) : -1])
    is_direct = epoch == engine["epoch"] + 1
    return Saved(
        machine_json=state_json[start + len(MACHINE) : end],
        flights=[flights.from_wire(data, is_direct=is_direct) for data in engine["in_flight"]],
        steps=engine["steps"],
        environment_hash=engine["environment"],
        owner=engine["owner"],
        is_paused=engine["is_paused"],
        is_parked=engine["is_parked"],
        parked_step=engine["parked_step"],
        error=engine["error"],
        umask=engine.get("umask"),
        begun_by=engine.get("begun_by"),
        lasting_seq=engine.get("lasting_seq", 0),
        kept=engine.get("kept", {}),
    )


def paused(state_json: str) -> str:
    """Gives the state of a job that was paused in this state, before anything else happened."""
    _, end = _machine_of(state_json)
    engine: dict[str, Any] = wire.decode(state_json[end + len(REST) : -1])
    return f"{state_json[:end]}{REST}{wire.encode(engine | {'is_paused': True})}}}"


def _machine_of(state_json: str) -> tuple[int, int]:
    """Where the part before the machine's state ends, and where that state does."""
    if not state_json.startswith(PREFIX):
        raise InternalError(f"a snapshot of another version: {state_json[:40]}")
    start = state_json.index(MACHINE)
    return start, start + len(MACHINE) + int(state_json[len(PREFIX) : start])
