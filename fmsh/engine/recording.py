"""Between events and what the store keeps of them: the wire form, and blobs for what is large.

A text over `INLINE_MAX` that is a field of an event, or a field of such a field, is a blob of the same commit as it is,
and the event has `{"$blob_text": hash}` in its place. An event whose data is over `INLINE_MAX` even so is kept as
`{"$blob": hash}`, and all its data as a blob. No event has a field that begins with `$`, and the wire form writes no
such record of a user's, so neither can be mistaken for anything else.
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
TEXT_PREFIX = '{"$blob_text":"'
REFERENCE_END = '"}'
HASH_BYTES = 32
HASH_DIGITS = 2 * HASH_BYTES


class Recording:
    """The events of a job that are not committed yet, with the blobs that they name."""

    __slots__ = ("blobs", "events")

    def __init__(self) -> None:
        self.events: list[NewEvent] = []
        self.blobs: list[tuple[str, bytes]] = []

    def add(self, event: Event, *, at_ms: int, step: int | None = None) -> None:
        """Adds an event at the end."""
        self._add(type(event).__name__, event, at_ms, step)

    def begin_with(self, event: Event, *, at_ms: int) -> None:
        """Puts an event before all others; it must be a small one."""
        self.events.insert(0, NewEvent(type(event).__name__, at_ms, events.encode(event), None))

    def add_request(self, request: Request, *, at_ms: int) -> None:
        """Adds the RequestMade of a request; its fields are the same, so the hot path makes no second record."""
        self._add("RequestMade", request, at_ms, request.step)

    def _add(self, type_name: str, event: Event | Request, at_ms: int, step: int | None) -> None:
        data, kept = events.data_of(event), len(self.blobs)
        for name, value in data.items():
            if type(value) is str:
                if len(value) > INLINE_MAX:
                    data[name] = self._put_aside(value)
            elif type(value) is dict:
                for item in value.values():
                    if type(item) is str and len(item) > INLINE_MAX:
                        data[name] = {key: self._put_aside(each) for key, each in value.items()}
                        break
        data_json = wire.encode(data)
        if len(data_json) > INLINE_MAX:
            del self.blobs[kept:]  # the whole holds them
            data_json = f"{BLOB_PREFIX}{self.add_blob(events.encode(event).encode())}{REFERENCE_END}"
        self.events.append(NewEvent(type_name, at_ms, data_json, step))

    def _put_aside(self, value: Value) -> Value:
        """Makes a blob of a large text, and gives what stands for it. Everything else stays as it is."""
        if type(value) is not str or len(value) <= INLINE_MAX:
            return value
        try:
            return wire.Aside(self.add_blob(value.encode()))
        except UnicodeEncodeError:  # bytes that are not UTF-8: as the wire form writes them
            return value

    def add_blob(self, data: bytes) -> str:
        """Adds a blob and gives its hash."""
        blob_hash = hash_of(data)
        self.blobs.append((blob_hash, data))
        return blob_hash


def hash_of(data: bytes) -> str:
    """Names a blob by its content."""
    return blake2b(data, digest_size=HASH_BYTES).hexdigest()


def read(store: EventStore, stored: StoredEvent) -> Event:
    """Reads an event back, with its blob. Raises: StoreMissing: the blob has expired."""
    data_json = stored.data_json
    whole = whole_blob(data_json)
    if whole is not None:
        data_json = store.blob(whole).decode()
    elif TEXT_PREFIX in data_json:
        first, *rest = data_json.split(TEXT_PREFIX)
        texts = [wire.encode(store.blob(part[:HASH_DIGITS]).decode()) for part in rest]
        after = [part[HASH_DIGITS + len(REFERENCE_END) :] for part in rest]
        data_json = first + "".join(text + part for text, part in zip(texts, after, strict=True))
    return events.decode(stored.type, stored.step, data_json)


def whole_blob(data_json: str) -> str | None:
    """Names the blob that holds all data of an event, if one does."""
    return data_json[len(BLOB_PREFIX) : -len(REFERENCE_END)] if data_json.startswith(BLOB_PREFIX) else None


def blobs_named(data_json: str) -> list[str]:
    """Names the blobs without which an event cannot be read."""
    whole = whole_blob(data_json)
    return [part[:HASH_DIGITS] for part in data_json.split(TEXT_PREFIX)[1:]] if whole is None else [whole]


def value_json(value: Value) -> str | None:
    """Writes a job's value for its row; None if it is large: then only the JobEnded event has it."""
    if type(value) is str and len(value) > INLINE_MAX:
        return None
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
