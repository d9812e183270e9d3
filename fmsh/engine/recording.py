"""Between events and what the store keeps of them: the wire form, and blobs for what is large.

An event whose data is over `INLINE_MAX` is kept as `{"$blob": hash}`, and its data as a blob of the same commit. No
event has a field that begins with `$`, so the two cannot be mistaken for each other.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.machine import events
from fmsh.store.base import NewEvent

try:
    from _blake2 import blake2b  # a tenth of the cost of importing hashlib
except ImportError:  # an interpreter without its own copy of BLAKE2
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.effects import Request
    from fmsh.machine.events import Event
    from fmsh.store.base import EventStore, StoredEvent
    from fmsh.values import ErrorValue, Value

INLINE_MAX = 64 * 1024  # characters; ARCHITECTURE 8.5
BLOB_PREFIX = '{"$blob":"'
HASH_BYTES = 32


class Recording:
    """The events of a job that are not committed yet, with the blobs that they name."""

    __slots__ = ("blobs", "events")

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.blobs: list[tuple[str, bytes]] = []

    def add(self, event: Event, *, at_ms: int, step: int | None = None) -> None:
        """Adds an event at the end."""
        self._add(type(event).__name__, events.encode(event), at_ms, step)

    def begin_with(self, event: Event, *, at_ms: int) -> None:
        """Puts an event before all others; it must be a small one."""
        self.events.insert(0, NewEvent(type(event).__name__, at_ms, events.encode(event), None))

    def add_request(self, request: Request, *, at_ms: int) -> None:
        """Adds the RequestMade of a request; its fields are the same, so the hot path makes no second record."""
        self._add("RequestMade", events.encode(request), at_ms, request.step)  # type: ignore[arg-type]

    def _add(self, type_name: str, data_json: str, at_ms: int, step: int | None) -> None:
        if len(data_json) > INLINE_MAX:
            data_json = f'{BLOB_PREFIX}{self.add_blob(data_json)}"}}'
        self.events.append(NewEvent(type_name, at_ms, data_json, step))

    def add_blob(self, text: str) -> str:
        """Adds a blob and gives its hash."""
        data = text.encode()
        blob_hash = hash_of(data)
        self.blobs.append((blob_hash, data))
        return blob_hash


def hash_of(data: bytes) -> str:
    """Names a blob by its content."""
    return blake2b(data, digest_size=HASH_BYTES).hexdigest()


def read(store: EventStore, stored: StoredEvent) -> Event:
    """Reads an event back, with its blob. Raises: StoreMissing: the blob has expired."""
    data_json = stored.data_json
    if data_json.startswith(BLOB_PREFIX):
        data_json = store.blob(data_json[len(BLOB_PREFIX) : -2]).decode()
    return events.decode(stored.type, stored.step, data_json)


def value_json(value: Value) -> str | None:
    """Writes a job's value for its row; None if it is large: then only the JobEnded event has it."""
    written = wire.encode(value)
    return written if len(written) <= INLINE_MAX else None


def error_json(error: ErrorValue) -> str:
    """Writes a job's error for its row; of a large one only the fields that every error has, cut to size."""
    written = wire.encode(error)
    if len(written) <= INLINE_MAX:
        return written
    kept = {name: error.fields.get(name) for name in ("kind", "message", "where", "retryable")}
    kept["message"] = error.message[: INLINE_MAX // 16]
    return wire.encode(type(error)(kept))
