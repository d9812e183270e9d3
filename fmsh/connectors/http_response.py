"""The answer on one connection, read strictly: what breaks the rules is an error, never taken for something else.

`http.client` forgives too much for what strangers send: a chunk of size -1 is read to the end without a bound, a line
that is no header ends the head and with it the length, of two lengths the first counts, and a head that breaks off is
taken for a whole one. Source: RFC 9112, sections 4 to 7.
"""

from __future__ import annotations

import http.client
import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LINE_BYTES_MAX = 65536  # that of http.client
TRAILER_LINES_MAX = 100  # as many as there may be headers
CHUNK_DIGITS_MAX = 16  # of a size below 2**64
HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")
# What the parser of mail, which reads the head, says of lines that are no headers.
BROKEN_HEADS = ("MissingHeaderBodySeparatorDefect", "FirstHeaderLineIsContinuationDefect", "InvalidHeaderDefect")


class NotHttp(http.client.HTTPException):
    """What a server sent breaks the rules; the text says which, and begins in lower case."""


class _Counted(io.RawIOBase):
    """Knows how much has come, so that a reader over it can tell how far it is behind."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        self._received += count or 0
        return count

    def tell(self) -> int:
        return self._received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _WholeLines(io.BufferedReader):
    """Raises IncompleteRead where a line is cut off."""

    has_begun = False

    @property
    def is_ahead(self) -> bool:
        """Whether it has read what nobody has taken."""
        return self.raw.tell() > self.tell()

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        is_cut = not line.endswith(b"\n") and (size is None or size < 0 or len(line) < size)
        if is_cut and (line or self.has_begun):
            raise http.client.IncompleteRead(line)
        self.has_begun = True
        return line


class Response(http.client.HTTPResponse):
    """Skips all interim answers, where `http.client` knows only 100 and takes 103 for the answer.

    `will_close` is also set where more came than belongs to this answer: the next one could not be told from that.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.fp: Any = _WholeLines(_Counted(self.fp.detach()))

    def begin(self) -> None:
        """Raises: HTTPException."""
        super().begin()
        if self.status == 101:
            raise NotHttp("it changes to another protocol, which was not asked for")
        if any(type(defect).__name__ in BROKEN_HEADS for defect in self.msg.defects):
            raise NotHttp("a line of its head is no header")
        for name in self.msg:
            if not name or name != name.strip() or " " in name or "\t" in name:
                raise NotHttp(f"this is not the name of a header: {name[:40]!r}")
        has_length = self._check_length()
        codings = self._listed("transfer-encoding")
        if codings and [coding.lower() for coding in codings] != ["chunked"]:
            raise NotHttp(f"its transfer is encoded as {', '.join(codings)[:40]}, which is not understood")
        if codings and has_length:
            self.will_close = True
        if self.status in (204, 304) or self._method == "HEAD":  # type: ignore[attr-defined]
            self.chunked = False

    def _check_length(self) -> bool:
        """Whether there is a length. Raises: NotHttp for several, and for what is none."""
        lengths = set(self._listed("content-length"))
        for length in lengths:
            if len(lengths) > 1 or not (length.isascii() and length.isdigit() and len(length) < 19):
                raise NotHttp(f"its length cannot be {' and '.join(sorted(lengths))[:40]}")
        if lengths and self.length is None and not self.chunked:
            self.length = int(lengths.pop())
            self.will_close = self._check_close()  # type: ignore[attr-defined]
        return bool(lengths)

    def _listed(self, name: str) -> list[str]:
        return [item.strip() for value in self.msg.get_all(name, ()) for item in value.split(",")]

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not version.startswith("HTTP/1."):
                raise NotHttp(f"its version is {version[:40]}")
            if not 101 < status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def _read_next_chunk_size(self) -> int:
        line: bytes = self.fp.readline(LINE_BYTES_MAX + 1)
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits.lstrip(b"0")) > CHUNK_DIGITS_MAX or not HEX_DIGITS.issuperset(digits):
            raise NotHttp("a chunk of it has no size that can be")
        if not line.endswith(b"\n"):
            raise NotHttp("the line before a chunk of it has no end")
        return int(digits, 16)

    def _safe_read(self, amount: int) -> bytes:
        data: bytes = super()._safe_read(amount)  # type: ignore[misc]
        if amount == 2 and self.chunked and self.chunk_left == 0 and data != b"\r\n":
            raise NotHttp("a chunk of it is longer than it says")
        return data

    def _read_and_discard_trailer(self) -> None:
        for _ in range(TRAILER_LINES_MAX):
            if self.fp.readline(LINE_BYTES_MAX + 1) in (b"\r\n", b"\n"):
                return
        raise NotHttp(f"more than {TRAILER_LINES_MAX} lines follow its last chunk")

    def _close_conn(self) -> None:
        """Lets go of the connection when all is read."""
        if self.fp is not None and not self.fp.closed and self.fp.is_ahead:
            self.will_close = True
        super()._close_conn()  # type: ignore[misc]
