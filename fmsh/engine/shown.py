"""Text that was shown and is not recorded yet."""

from __future__ import annotations

from fmsh.machine.events import Displayed

WAIT_MS = 50  # ARCHITECTURE 8.2: how long shown text may stay unrecorded, and how much of it
SIZE_MAX = 64 * 1024


class Shown:
    """Adjacent texts of one stream, which become one event."""

    __slots__ = ("parts", "since_ms", "size", "stream")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.stream = "out"
        self.size = 0
        self.since_ms = 0

    def takes(self, stream: str) -> bool:
        """Whether a text of this stream can be added before the others are recorded."""
        return not self.parts or (stream == self.stream and self.size < SIZE_MAX)

    def add(self, text: str, stream: str, now_ms: int) -> None:
        if not self.parts:
            self.stream, self.since_ms = stream, now_ms
        self.parts.append(text)
        self.size += len(text)

    def is_due(self, now_ms: int) -> bool:
        """Whether it has to be recorded even if nothing else is."""
        return self.size >= SIZE_MAX or now_ms - self.since_ms >= WAIT_MS

    def flush(self) -> Displayed:
        """Gives the event, and begins anew."""
        event = Displayed("".join(self.parts), self.stream)
        self.parts = []
        self.size = 0
        return event
