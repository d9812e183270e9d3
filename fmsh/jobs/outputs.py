"""What a job displayed, in order: text from its events, and the files of the processes that it displayed.

A displayed process that did not run at a terminal wrote into files (`connectors.spool`). They belong between the event
that made its step and the one that completed it; while it runs they grow. One that ran at a terminal left nothing here.
"""

from __future__ import annotations

import os

from fmsh.connectors.cutting import pieces
from fmsh.connectors.spool import spool_paths
from fmsh.machine.events import AttemptFailed, Displayed, RequestCompleted, RequestMade
from fmsh.record import Record
from fmsh.values import text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.machine.events import Event


class Chunk(Record):
    """A piece of output. `stream`: "out", "err", or "note" for what is said about output that is not here."""

    stream: str
    data: bytes | str
    step: int | None = None


class Tail:
    """One file of an attempt, read up to where it has grown."""

    __slots__ = ("path", "position", "step", "stream")

    def __init__(self, step: int, stream: str, path: str) -> None:
        self.step = step
        self.stream = stream
        self.path = path
        self.position = -1  # not seen yet

    @property
    def is_there(self) -> bool:
        """Whether the file was seen."""
        return self.position >= 0

    @property
    def has_file(self) -> bool:
        return os.path.exists(self.path)

    def read(self) -> Iterator[Chunk]:
        """Gives what was written since the last time."""
        try:
            for data, position in pieces(self.path, max(self.position, 0)):
                self.position = position
                yield Chunk(self.stream, data, self.step)
            self.position = max(self.position, 0)
        except FileNotFoundError:
            return


class Output:
    """Follows a job's events and gives what they displayed. With `only_step` just the files of that step."""

    __slots__ = ("_fx_directory", "_job_uid", "_only_step", "_running", "is_step_known")

    def __init__(self, fx_directory: str, job_uid: str, *, only_step: int | None = None) -> None:
        self._fx_directory = fx_directory
        self._job_uid = job_uid
        self._only_step = only_step
        self._running: dict[int, list[Tail]] = {}
        self.is_step_known = False

    def take(self, event: Event) -> Iterator[Chunk]:
        """Gives what was displayed up to and with an event."""
        if isinstance(event, RequestMade):
            if self._is_wanted(event):
                is_out_only = event.arguments.get("errors") == "capture" and self._only_step is None
                self._begin(event.step, 1, ("out",) if is_out_only else ("out", "err"))
            return
        yield from self.grow()
        if isinstance(event, Displayed) and self._only_step is None:
            yield Chunk(event.stream, event.text)
        elif isinstance(event, AttemptFailed) and event.step in self._running:
            self._begin(event.step, event.attempt + 1, tuple(tail.stream for tail in self._running[event.step]))
        elif isinstance(event, RequestCompleted) and event.step in self._running:
            yield from self._end(event)

    def grow(self) -> Iterator[Chunk]:
        """Gives what running processes wrote since the last time."""
        for tails in self._running.values():
            for tail in tails:
                yield from tail.read()

    def _is_wanted(self, event: RequestMade) -> bool:
        if event.connector != "process":
            return False
        if self._only_step is None:
            return event.arguments.get("output") == "display"
        self.is_step_known |= event.step == self._only_step
        return event.step == self._only_step

    def _begin(self, step: int, attempt: int, streams: tuple[str, ...]) -> None:
        paths = spool_paths(self._fx_directory, self._job_uid, step, attempt)
        self._running[step] = [Tail(step, stream, getattr(paths, stream)) for stream in streams]

    def _end(self, event: RequestCompleted) -> Iterator[Chunk]:
        """Ends a step. What its recorded outcome holds is taken from there: the files of that are gone by now."""
        result = event.value if isinstance(event.value, dict) else {}
        held = {"out": result.get("output"), "err": result.get("errors", result.get("stderr"))}
        is_captured = held["out"] is not None
        tails = self._running.pop(event.step)
        for tail in tails:
            recorded = held[tail.stream]
            if is_captured and isinstance(recorded, str) and not tail.has_file:
                yield Chunk(tail.stream, text_bytes(recorded)[max(tail.position, 0) :], event.step)
        if result and not is_captured and not any(tail.is_there for tail in tails):
            yield Chunk("note", f"what step {event.step} wrote went to the terminal, or has expired", event.step)
