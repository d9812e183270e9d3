"""From a committed request to its connector: makes the attempt, and sees to it that there is an outcome.

This is one of the three borders at which any exception is caught: a connector that breaks its promise not to raise
costs its own step, not the engine.
"""

from __future__ import annotations

from fmsh.connectors.base import Attempt, AttemptId, Failed
from fmsh.values import Handle, error_value

try:
    from _blake2 import blake2b  # a tenth of the cost of importing hashlib
except ImportError:  # an interpreter without its own copy of BLAKE2
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.connectors.base import Connector, Terminal
    from fmsh.engine.flight import Flight
    from fmsh.engine.worker import Worker
    from fmsh.machine.effects import Request
    from fmsh.values import Value

KEY_BYTES = 16


class Dispatcher:
    """Starts and cancels attempts. `terminal` is given to the processes of the foreground job, outside of branches."""

    __slots__ = ("_connectors", "_report", "_terminal")

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        terminal: Terminal | None,
        report: Callable[[BaseException, str], None],
    ) -> None:
        self._connectors = connectors
        self._terminal = terminal
        self._report = report

    def wants_terminal(self, worker: Worker, request: Request) -> bool:
        """Whether the attempts of a pending request are to have the terminal."""
        return (
            self._terminal is not None
            and request.arguments.get("output") == "display"
            and worker.is_foreground
            and worker.machine.is_foreground(request.step)
        )

    def _needs_descriptors(self, worker: Worker, request: Request) -> bool:
        """Whether a process reads our standard input, or what it says on its stderr is shown, as in any shell."""
        if type(request.arguments.get("input")) is Handle:
            return worker.is_foreground
        return (
            request.arguments.get("output") in ("capture", "fold", "stream")
            and request.arguments.get("errors") != "capture"
            and worker.is_foreground
            and worker.machine.is_foreground(request.step)
        )

    def start(self, worker: Worker, flight: Flight) -> None:
        """Starts the current attempt of a flight; its outcome goes to `worker.post`."""
        request = flight.request
        id = AttemptId(worker.job_id, request.step, flight.attempt)
        connector = self._connectors.get(request.connector)
        flight.is_running = flight.has_started = True
        flight.is_asked = False
        if connector is None:
            message = f"this fmsh has no connector {request.connector!r}"
            worker.post(id, Failed(error_value("unsupported", message)))
            return
        environment, directory = worker.machine.task_environment(request.step)
        terminal = self._terminal if flight.is_terminal or self._needs_descriptors(worker, request) else None
        if terminal is not None and terminal.clear is not None:
            terminal.clear()
        attempt = Attempt(
            id,
            worker.uid,
            request.operation,
            request.arguments,
            environment,
            directory,
            idempotency_key(worker.uid, request.key_step or request.step),
            flight.requested_at_ms,
            flight.is_resumed,
            request.is_once,
            terminal,
            worker.umask,
            _chain_maker(worker, request) if flight.is_streamed else None,
            flight.position,
            worker.kept.get(request.connector, {}),
            _input_maker(worker, request) if type(request.arguments.get("input")) is dict else None,
            flight.begun_by,
        )
        try:
            connector.start(attempt, worker.post)
        except Exception as fault:
            self._report(fault, f"connector {request.connector} at step {request.step} of job {worker.job_id}")
            worker.post(id, Failed(error_value("internal", f"{request.connector}: {fault}")))

    def read(self, worker: Worker, flight: Flight) -> None:
        """Asks a stream for its next items; all up to its position are recorded."""
        flight.is_asked = True
        connector: Any = self._connectors.get(flight.request.connector)
        connector.read(AttemptId(worker.job_id, flight.request.step, flight.attempt), flight.position)

    def forget(self, worker: Worker, flight: Flight) -> None:
        """Leaves a stream to whoever has the job now."""
        connector: Any = self._connectors.get(flight.request.connector)
        connector.forget(AttemptId(worker.job_id, flight.request.step, flight.attempt))

    def cancel(self, worker: Worker, flight: Flight) -> None:
        """Asks for the end of a running attempt; its outcome still comes."""
        connector = self._connectors.get(flight.request.connector)
        if connector is None:
            return
        try:
            connector.cancel(AttemptId(worker.job_id, flight.request.step, flight.attempt))
        except Exception as fault:
            self._report(fault, f"cancel by connector {flight.request.connector} of job {worker.job_id}")

    def settled(self, worker: Worker, flight: Flight, outcome: Value) -> None:
        """Tells the connector of a step that its outcome is committed, if it keeps anything until then."""
        request = flight.request
        settle = getattr(self._connectors.get(request.connector), "settled", None)
        if settle is None:
            return
        try:
            settle(AttemptId(worker.job_id, request.step, flight.attempt), worker.uid, request.arguments, outcome)
        except Exception as fault:
            self._report(fault, f"connector {request.connector} after step {request.step} of job {worker.job_id}")


def _chain_maker(worker: Worker, request: Request) -> Callable[[], Any] | None:
    from fmsh.machine import streams  # few programs have any

    return streams.chain_maker(worker.machine, request.step)


def _input_maker(worker: Worker, request: Request) -> Callable[[], Any]:
    from fmsh.machine import streams

    return streams.input_maker(worker.machine, request.step)


def idempotency_key(job_uid: str, step: int) -> str:
    """Gives the key that all attempts of a step carry, and no other step of any job but its like in `retry`."""
    return blake2b(f"{job_uid}\n{step}".encode(), digest_size=KEY_BYTES).hexdigest()
