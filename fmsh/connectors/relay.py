"""What a captured process says on its stderr, passed on to a person while the file that keeps it grows.

The process itself writes to the file alone: it loses nothing when we, or the terminal, are gone, and the tail of the
file is in its error as ever.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_BYTES = 64 * 1024
POLL_S = (0.02, 0.2)  # nobody sees the first as a delay; a long build is not worth more than five looks a second


class Relay:
    """One file, read up to where it has grown, and said by `say`."""

    __slots__ = ("_path", "_position", "_say", "pause_s")

    def __init__(self, path: str, say: Callable[[bytes], object]) -> None:
        self._path = path
        self._position = 0
        self._say = say
        self.pause_s = POLL_S[0]

    def pump(self) -> None:
        """Says what was written since the last time."""
        self.pause_s = min(self.pause_s * 2, POLL_S[1])
        try:
            with open(self._path, "rb", buffering=0) as file:
                file.seek(self._position)
                while data := file.read(CHUNK_BYTES):
                    self._position += len(data)
                    self.pause_s = POLL_S[0]
                    self._say(data)
        except FileNotFoundError:
            return
