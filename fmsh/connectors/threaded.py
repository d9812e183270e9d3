"""A connector made of plain functions, which may take their time: they run in a few threads, one attempt each.

For whoever writes a plug-in. A function takes `Work` and gives the value of the step. It may raise `Raised` (see
`fmsh.values.raised`; with `retryable=True` it is tried again, three times in all), and may give `Later`: then nobody
waits in a thread, and it is called again after that time. A cancel ends what waits for its turn at once, and what is
at work when its function returns; so a function must not wait for the world without a time limit.
"""

from __future__ import annotations

import _thread
import os
from _queue import SimpleQueue

from fmsh.connectors.base import Cancelled, Done, Failed
from fmsh.record import Record
from fmsh.values import Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.connectors.base import Attempt, AttemptId, Outcome, Post
    from fmsh.connectors.plugin import World
    from fmsh.values import Value

THREADS_MAX = 8
ATTEMPTS_MAX = 3  # as of an HTTP request


class Operation(Record):
    """`is_repeatable`: doing it again is no different from doing it once, so `once { }` need not fear a crash."""

    act: Callable[[Work], Any]
    is_repeatable: bool = False


class Work(Record):
    """What a function is called with: the value that `perform` was given, and the attempt with all else."""

    value: Value
    attempt: Attempt
    world: World

    def path(self, written: str) -> str:
        """A path as the job means it: in the directory of the task."""
        return os.path.join(self.attempt.directory, written)


class Later(Record):
    """There is nothing yet: the function is to be called again."""

    seconds: float


class _Try:
    """`is_at_work`: its function runs. `is_wanted`: it was not cancelled."""

    __slots__ = ("attempt", "is_at_work", "is_wanted", "post")

    def __init__(self, attempt: Attempt, post: Post) -> None:
        self.attempt = attempt
        self.post = post
        self.is_at_work = False
        self.is_wanted = True


class ThreadedConnector:
    """`operations` by their names. `_lock` guards all state; nothing is posted while it is held."""

    def __init__(self, world: World, operations: Mapping[str, Operation]) -> None:
        self._world = world
        self._operations = operations
        self._tries: dict[AttemptId, _Try] = {}
        self._queue: SimpleQueue[_Try | None] = SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._lock = _thread.allocate_lock()

    def start(self, attempt: Attempt, post: Post) -> None:
        operation = self._operations.get(attempt.operation)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            post(attempt.id, Failed(error_value("plugin", f"there is no operation {attempt.operation}, but {known}")))
        elif attempt.is_once and attempt.is_resumed and not operation.is_repeatable:
            post(attempt.id, Failed(error_value("lost", f"it is not known whether {attempt.operation} happened")))
        else:
            with self._lock:
                self._tries[attempt.id] = one = _Try(attempt, post)
            self._enqueue(one)

    def cancel(self, id: AttemptId) -> None:
        with self._lock:
            one = self._tries.get(id)
            if one is None:
                return
            one.is_wanted = False
            if one.is_at_work:
                return
            del self._tries[id]
        one.post(id, Cancelled())

    def close(self) -> None:
        with self._lock:
            self._tries.clear()
            for _ in range(self._threads):
                self._queue.put(None)

    def _enqueue(self, one: _Try) -> None:
        with self._lock:
            if self._tries.get(one.attempt.id) is not one:  # it waited for its time, and all was closed
                return
            self._queue.put(one)
            if self._idle < self._queue.qsize() and self._threads < THREADS_MAX:
                self._threads += 1
                _thread.start_new_thread(self._work, ())

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            one = self._queue.get()
            with self._lock:
                self._idle -= 1
                if one is None:
                    return
                if self._tries.get(one.attempt.id) is not one:  # cancelled, or all is closed
                    continue
                one.is_at_work = True
            self._settle(one, self._act(one.attempt))

    def _act(self, attempt: Attempt) -> Outcome | Later:
        work = Work(attempt.arguments.get("value"), attempt, self._world)
        try:
            value = self._operations[attempt.operation].act(work)
        except Raised as problem:
            should_retry = problem.error.fields.get("retryable") is True
            return Failed(problem.error, should_retry=should_retry, attempts_max=ATTEMPTS_MAX)
        except Exception as fault:  # the function is a stranger's: one that fails must not take its thread along
            return Failed(error_value("plugin", f"{attempt.operation}: {type(fault).__name__}: {fault}"))
        return value if isinstance(value, Later) else Done(value)

    def _settle(self, one: _Try, outcome: Outcome | Later) -> None:
        id = one.attempt.id
        with self._lock:
            one.is_at_work = False
            if self._tries.get(id) is not one:  # closed meanwhile: nobody is to hear of it
                return
            if isinstance(outcome, Later) and not one.is_wanted:
                outcome = Cancelled()
            if not isinstance(outcome, Later):
                del self._tries[id]
        if isinstance(outcome, Later):
            self._world.after(outcome.seconds, lambda: self._enqueue(one))
        else:
            one.post(id, outcome)
