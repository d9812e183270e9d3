"""A step in flight: a request that has no recorded outcome yet, and how far its attempts have come."""

from __future__ import annotations

from fmsh.connectors.base import sleep_due_ms
from fmsh.errors import InternalError
from fmsh.machine.effects import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fmsh.engine.loop import Timer
    from fmsh.values import Value

RISKY_METHODS = ("POST", "PATCH")  # to do these again after a hand-over may do them twice
TIMERS = "timer"  # the connector whose requests are durable waits: any process can go on with them


class Flight:
    """`attempt` counts from 1, and is not to be started before `next_at_ms`. `is_lost`: nobody knows its outcome."""

    __slots__ = (
        "attempt",
        "begun_by",
        "failure",
        "has_started",
        "is_asked",
        "is_cancel_wanted",
        "is_lost",
        "is_resumed",
        "is_running",
        "is_terminal",
        "next_at_ms",
        "position",
        "request",
        "requested_at_ms",
        "timer",
    )

    def __init__(self, request: Request, requested_at_ms: int, begun_by: str | None = None) -> None:
        self.request = request
        self.requested_at_ms = requested_at_ms
        self.attempt = 1
        self.begun_by = begun_by  # this attempt: as `begun_by` gives it, where the history says so
        self.failure = ""  # why the attempt before failed, as far as this process has seen it
        self.next_at_ms: int | None = None
        self.has_started = False  # this attempt, here
        self.is_running = False  # its connector owes us an outcome
        self.is_resumed = False  # another process may have started this attempt
        self.is_cancel_wanted = False
        self.is_lost = False
        self.is_terminal = False
        self.is_asked = False  # of a stream: its connector owes us items
        self.position: Value = None  # of a stream: after the last items that were recorded
        self.timer: Timer | None = None  # until `next_at_ms`

    @property
    def is_risky(self) -> bool:
        """Whether to begin it anew elsewhere could do it twice."""
        request = self.request
        if not self.is_running or request.connector == TIMERS:
            return False
        if request.arguments.get("output") == "stream":  # which goes on at its position
            return False
        return request.is_once or request.arguments.get("method") in RISKY_METHODS

    @property
    def is_streamed(self) -> bool:
        """Whether its answer is read bit by bit, so that only one process may hold it."""
        return self.request.arguments.get("output") in ("fold", "stream")

    @property
    def is_waiting(self) -> bool:
        """Whether nothing in this process has to happen for it now: a timer, or the pause before the next attempt."""
        return not self.is_running if self.next_at_ms is not None else self.request.connector == TIMERS

    def due_ms(self) -> int | None:
        """When a waiting flight wants this job to be loaded; None if it is not by time."""
        if self.next_at_ms is not None and not self.is_running:
            return self.next_at_ms
        if self.request.connector != TIMERS:
            return None
        return sleep_due_ms(self.request.arguments, self.requested_at_ms)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def begun_by(owner: Mapping[str, Value]) -> str | None:
    """By whom an attempt was to be begun, as its intent tells: the kind of the process, and the boot of the machine."""
    return f"{owner['kind']} {owner['boot']}" if owner.get("boot") else None


def to_wire(flight: Flight, *, is_leaving: bool) -> dict[str, Value]:
    """Gives a flight as a record for a snapshot. What only this process can know is left out.

    A job that is leaving starts nothing more here. Else an attempt may start right after the commit of the snapshot,
    and whoever reads it after a crash has to take it for started.
    """
    request = flight.request
    return {
        "request": {field: getattr(request, field) for field in request.fields},
        "requested_at_ms": flight.requested_at_ms,
        "attempt": flight.attempt,
        "begun_by": flight.begun_by,
        "next_at_ms": flight.next_at_ms,
        "has_started": flight.has_started or flight.is_resumed or not is_leaving,
        "is_cancel_wanted": flight.is_cancel_wanted,
        "is_lost": flight.is_lost,
        "position": flight.position,
    }


def from_wire(data: dict[str, Any], *, is_direct: bool) -> Flight:
    """Reads a flight back. `is_direct`: nobody has held the job between the snapshot and us.

    Only then an attempt that had not started by then has not started now; else it counts as one that may have.
    """
    flight = Flight(Request(**data["request"]), data["requested_at_ms"], data.get("begun_by"))
    flight.attempt = data["attempt"]
    flight.next_at_ms = data["next_at_ms"]
    flight.is_cancel_wanted = data["is_cancel_wanted"]
    flight.is_lost = data["is_lost"]
    flight.position = data.get("position")
    flight.is_resumed = data["has_started"] or not is_direct
    if flight.attempt < 1:
        raise InternalError(f"attempt {flight.attempt} of step {flight.request.step}")
    return flight
