"""Faults put in on purpose. Each takes away one thing on which the promise rests, and the simulator must find it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fmsh.engine import committing, flight, inbox, outcomes, replay, snapshots
from fmsh.engine.engine import Engine
from fmsh.engine.holding import Holding
from fmsh.engine.worker import Worker
from fmsh.errors import StoreFenced
from fmsh.machine.events import Displayed, ItemsRead
from fmsh.store import memory_outside
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import apply

if TYPE_CHECKING:
    from fmsh.store.base import InboxRow


def _append_to_any(self: MemoryStore, appends: Any) -> list[Any]:
    """A commit that does not ask whose the job is, nor where its history has come to."""
    for append in appends:
        kept = self.disk.jobs[append.lease.job_id]
        append.lease.head, append.lease.chain = kept.job.head, kept.chain_at(kept.job.head)
        apply(self.disk, append.replace(taken=[row for row in append.taken if row in kept.inbox]))
        self._deliver_rows(append.deliveries)
    return [None for _ in appends]


def _act_before_the_commit(worker: Worker, *, must: bool = False) -> Any:
    committing.act(worker)
    return _next_append(worker, must=must)


def _take_without_noting(worker: Worker, row: InboxRow) -> None:
    _take(worker, row)
    worker.taken.remove(row.id)


def _complete_without_recording(self: Worker, flight: Any, completed: Any) -> None:
    del self.flights[flight.request.step]
    self._feed(completed) if self.is_quiescent and not self.held else self.held.append(completed)


def _repeat_what_is_lost(worker: Worker, flight: Any, failed: Any) -> None:
    if failed.error.kind == "lost":
        outcomes.try_again(worker, flight, failed.error, next_at_ms=worker.now_ms)
    else:
        _record_failure(worker, flight, failed)


def _lose_nothing(self: Engine, worker: Worker, error: Any) -> None:
    """A process that is fenced, and goes on as if nothing had happened."""
    if not isinstance(error, StoreFenced):
        _lose(self, worker, error)
        return
    worker.pending = None
    self._act(worker)


_next_append = committing.next_append
_take = inbox.take
_record_failure = outcomes._record_failure
_lose = Engine._lose
_to_wire = flight.to_wire

FAULTS: dict[str, list[tuple[Any, str, Any]]] = {
    "the fence is removed": [(MemoryStore, "commit", _append_to_any)],
    "an intent is written after its effect": [(committing, "next_append", _act_before_the_commit)],
    "a cancel is lost": [(inbox, "_ACTS", {**inbox._ACTS, "cancel": lambda worker, data: True})],
    "a row of the inbox is taken twice": [(inbox, "take", _take_without_noting)],
    "a snapshot is taken in the middle of a turn": [
        (snapshots, "is_clean", lambda worker: worker.end is None and worker.is_quiescent)
    ],
    "an outcome is not recorded": [(Worker, "complete", _complete_without_recording)],
    "what is lost inside `once` is done again": [(outcomes, "_record_failure", _repeat_what_is_lost)],
    "a fenced process goes on": [(Engine, "_lose", _lose_nothing)],
    "a process that was stopped does not look before it acts": [(Holding, "is_sound", lambda self, worker: True)],
    "an attempt that was begun counts as fresh after a crash": [
        (flight, "to_wire", lambda given, is_leaving: _to_wire(given, is_leaving=True))
    ],
    "what was shown is shown again by a replay": [
        (replay.Replay, "_displayed", lambda self, event, stored: None),
        (replay, "_APPLY", {**replay._APPLY, Displayed: lambda self, event, stored: None}),
    ],
    "a stream begins again after a crash": [
        (replay.Replay, "_items_read", lambda self, event, stored: self._input(event)),
        (replay, "_APPLY", {**replay._APPLY, ItemsRead: lambda self, event, stored: self._input(event)}),
    ],
    "a lock is granted to all who wait for it": [
        (memory_outside, "grantable", lambda queue: [claim for claim in queue if not claim.is_granted])
    ],
    "what came while the disk was full is forgotten": [(Engine, "_catch_up", lambda self, worker: None)],
}


@contextmanager
def planted(fault: str) -> Iterator[None]:
    """Puts a fault in for a while."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in FAULTS[fault]]
    for owner, name, replacement in FAULTS[fault]:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)
