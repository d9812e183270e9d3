"""The values of a streamed answer: server-sent events and lines of JSON, and where in them we are.

Pure: it knows no connection. Source: WHATWG HTML, 9.2, server-sent events.
"""

from __future__ import annotations

from hashlib import blake2b

from fmsh.connectors.http_answer import RESPONSE_BYTES_MAX, encodings, parse_json
from fmsh.values import Raised, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fmsh.values import Value

    Event = tuple[Value, str | bytes]  # the value, and the id of the last event that had one, or else what came

EVENT_BYTES_MAX = RESPONSE_BYTES_MAX
SEEN_MAX = 1000  # ids that are remembered, to notice a server that begins again
DIGEST_BYTES = 16
EVENT_STREAM = "text/event-stream"
LINES_OF_JSON = ("application/json", "application/x-ndjson", "application/jsonl", "application/x-jsonlines")
ACCEPT = f"{EVENT_STREAM}, {LINES_OF_JSON[1]}, */*;q=0.5"


def reader_for(headers: Mapping[str, str], *, is_full: bool, last_id: str | None) -> ServerSentEvents | Lines:
    """What reads an answer with these headers. Raises: Raised for what cannot be read."""
    if encodings(headers):
        raise raised("parse", "the stream is compressed, which was not asked for")
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == EVENT_STREAM:
        return ServerSentEvents(is_full, last_id)
    return Lines(not (content_type in LINES_OF_JSON or content_type.endswith(("+json", "+jsonl"))))


class _Cutter:
    """Cuts what comes into lines. A line without end is kept in pieces, or each of a million would be copied anew."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self.size = 0  # of the line that has no end yet

    def lines(self, data: bytes) -> list[bytes]:
        first, *others = data.split(b"\n")
        self._rest.append(first)
        self.size += len(first)
        if not others:
            return []
        whole = b"".join(self._rest)
        self._rest, self.size = [others[-1]], len(others[-1])
        return [whole, *others[:-1]]

    def last(self) -> bytes:
        return b"".join(self._rest)


class ServerSentEvents:
    """`feed` gives the events that are whole. `is_full`: each is a record of `id`, `event` and `data`."""

    def __init__(self, is_full: bool, last_id: str | None) -> None:
        self._is_full = is_full
        self._last_id = last_id
        self._cutter = _Cutter()
        self._return = b""  # a CR at the end, which may be half of a line's end
        self._data: list[bytes] = []
        self._size = 0
        self._kind = ""
        self._has_begun = False
        self.retry_ms: int | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Raises: Raised."""
        data = self._return + data
        self._return = b"\r" if data.endswith(b"\r") else b""
        data = data[: len(data) - len(self._return)]
        lines = self._cutter.lines(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        if lines and not self._has_begun:
            lines[0], self._has_begun = lines[0].removeprefix(b"\xef\xbb\xbf"), True
        events = []
        for line in lines:
            if line:
                self._take(line)
            elif (event := self._dispatched()) is not None:
                events.append(event)
        _bound(self._cutter.size + self._size)
        return events

    def finish(self) -> list[Event]:
        """What is not whole at the end is no event."""
        return []

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value)
        elif field == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            self._last_id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit() and len(value) < 10:
            self.retry_ms = int(value)

    def _dispatched(self) -> Event | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data, self._size = "", [], 0
        if not data:
            return None
        came = b"\n".join(data)
        value = _data_value(came)
        made = {"id": self._last_id, "event": kind, "data": value} if self._is_full else value
        return made, came if self._last_id is None else self._last_id


class Lines:
    """Lines of JSON. `is_text`: a line that is no record and no list stays as it is."""

    retry_ms: int | None = None

    def __init__(self, is_text: bool) -> None:
        self._is_text = is_text
        self._cutter = _Cutter()

    def feed(self, data: bytes) -> list[Event]:
        """Raises: Raised."""
        lines = self._cutter.lines(data)
        _bound(self._cutter.size)
        return [(self._value(line), line) for line in lines if line.strip() or self._is_text]

    def finish(self) -> list[Event]:
        """The last line may have no end."""
        line = self._cutter.last()
        return [(self._value(line), line)] if line.strip() else []

    def _value(self, line: bytes) -> Value:
        if not self._is_text:
            return parse_json(line)
        line = line.removesuffix(b"\r")
        try:
            value = parse_json(line) if line[:1] in (b"{", b"[") else None
        except Raised:
            value = None
        return line.decode("utf-8", "surrogateescape") if value is None else value


def _data_value(data: bytes) -> Value:
    """The data of an event: JSON if it is such, else text. Raises: Raised (limit)."""
    try:
        return parse_json(data)
    except Raised as problem:
        if problem.error.kind != "parse":
            raise
        return data.decode("utf-8", "replace")


def _bound(size: int) -> None:
    if size > EVENT_BYTES_MAX:
        raise raised("limit", f"a value of the stream is larger than {EVENT_BYTES_MAX >> 20} MiB (EVENT_BYTES_MAX)")


# ---- Where we are ----------------------------------------------------------------------------------------------------


class Differs(Exception):
    """What came again is not what had come."""


class Place:
    """After `at` values, the last of which had the id `last_id`, if it had one.

    `has_ended_well`: so did the answer before, and only its server knows whether that was all. `is_new`: the answer
    that is being read has brought nothing new yet.
    """

    def __init__(self, position: Any) -> None:
        self.last_id: str | None = position.get("id")
        self.at: int = position.get("at", 0)
        self._first, self._digest = position.get("digests", ("", ""))  # of the first value without an id, and of all
        self._seen: dict[str, None] = {} if self.last_id is None else {self.last_id: None}
        self._again_at, self._again_digest = 0, ""  # of what comes again, because it has no ids
        self._is_catching_up = False
        self.has_ended_well = False
        self.is_new = True

    def position(self) -> dict[str, Value]:
        return {"id": self.last_id, "at": self.at, "digests": [self._first, self._digest]}

    @property
    def is_behind(self) -> bool:
        """Whether what came again is not all there yet."""
        return self._is_catching_up and self.last_id is None and self._again_at < self.at

    def begin(self) -> None:
        """An answer begins: from its beginning, or after the last id."""
        self.is_new = True
        self._is_catching_up = self.at > 0
        self._again_at, self._again_digest = 0, ""

    def unknown(self, events: list[Event]) -> list[Event] | None:
        """What of these events is new; None where the answer before was the end. Raises: Differs."""
        if not self._is_catching_up or not events:
            return events
        if self.last_id is None:
            return self._behind(events)
        new = [event for event in events if event[1] not in self._seen]
        if len(new) < len(events) and self.has_ended_well:
            return None  # the server does not know of Last-Event-ID
        self._is_catching_up = not new
        return new

    def note(self, events: list[Event]) -> None:
        """These have been taken."""
        for _, mark in events:
            if isinstance(mark, str):
                self.last_id = mark
                self._seen[mark] = None
                continue
            self._digest = _digest(self._digest, mark)
            self._first = self._first or self._digest
        while len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        if events:
            self.at += len(events)
            self.is_new = self.has_ended_well = False

    def _behind(self, events: list[Event]) -> list[Event]:
        """What follows the values that come again."""
        for index, (_, mark) in enumerate(events):
            if self._again_at == self.at:
                self._is_catching_up = False
                return events[index:]
            if isinstance(mark, str):
                raise Differs
            self._again_at += 1
            self._again_digest = _digest(self._again_digest, mark)
            wanted = {1: self._first, self.at: self._digest}
            if self._again_digest != wanted.get(self._again_at, self._again_digest):
                raise Differs
        return []


def _digest(before: str, came: bytes) -> str:
    return blake2b(before.encode() + came, digest_size=DIGEST_BYTES).hexdigest()
