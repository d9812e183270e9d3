"""The file of an exported job: JSON lines that people and other programs can read.

    {"fmsh_export":1,"fmsh":"0.1.0","at":"2026-11-24T10:00:00.000Z","job":{"uid":…,"number":12,"state":"waiting",…}}
    {"line":"program","hash":…,"name":"release.fmsh","text":…,"tree":[…]}       the source and its versioned tree
    {"line":"snapshot","seq":7,"state":{…}}                                     the last one, if there is one
    {"line":"blob","hash":…,"text":…}                                           before the first event that names it
    {"line":"event","seq":1,"epoch":1,"at_ms":…,"type":"JobStarted","step":null,"data":{…},"hash":"…"}
    {"line":"output","step":3,"attempt":1,"name":"out","text":…}                a piece of a file of a process, in order
    {"line":"callback",…}  {"line":"delivered","id":…}  {"line":"inbox",…}      addresses, what came, what waits there
    {"line":"end","lines":9,"digest":"…"}

Invariants
- Nothing secret is in it: values that are secret are references, here as in the store.
- `hash` of an event is BLAKE2b over the hash before it and the line's own content; before the first stands the hash of
  the job's identity. The digest is BLAKE2b over all lines before the last, ends of lines included. They are not keyed:
  they find a cut or a changed file, not a forger; an import verifies them, and hashes anew under its store's key.
- The file is whole only with its last line, which is written after the job was marked as moved where it came from. So
  there is no moment at which a whole file exists and the job can still go on there.
- Numbers of jobs, absolute paths of the store and owners do not matter to the importer. Kinds of lines and fields that
  it does not know are an error, not a loss: whoever adds some raises FORMAT.
- It is written and read as a stream: memory is that of the largest value, not of the job.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from fmsh.errors import FmshError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO, Protocol
else:
    Protocol = object

FORMAT = 1
DIGEST_BYTES = 32
HASH_BYTES = 16
BUFFER_BYTES = 1 << 18
OUTPUT_FILES = ("terms", "claim", "out", "err", "status")  # of an attempt, in the order in which they came to be


class BadFile(FmshError):
    """The file is no whole export that this fmsh can read. Nothing was imported."""


class Line(msgspec.Struct, tag_field="line", forbid_unknown_fields=True):
    pass


class Child(msgspec.Struct, forbid_unknown_fields=True):
    uid: str
    number: int
    state: str


class JobData(msgspec.Struct, forbid_unknown_fields=True):
    """A job's row, as far as it means something elsewhere. `number` is how it was called there."""

    uid: str
    number: int
    key: str | None
    name: str | None
    tags: msgspec.Raw
    source: str
    command: str
    program: str
    parent: str | None
    children: list[Child]
    created_at_ms: int
    ended_at_ms: int | None
    detached: bool
    state: str
    wake_at_ms: int | None
    steps: int
    waiting_for: msgspec.Raw
    exit_status: int | None
    head: int
    epoch: int
    trimmed_seq: int
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # left out where the row has none: null is a value
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Header(msgspec.Struct, forbid_unknown_fields=True):
    fmsh_export: int
    fmsh: str
    at: str
    job: JobData


class ProgramLine(Line, tag="program"):
    hash: str
    name: str
    text: str
    tree: msgspec.Raw


class SnapshotLine(Line, tag="snapshot"):
    seq: int
    state: msgspec.Raw


class Content(Line, omit_defaults=True):
    """A line that holds bytes: as `text` where they are UTF-8, else as `data` in base64."""

    text: str | None = None
    data: bytes | None = None

    @property
    def content(self) -> bytes:
        return self.text.encode() if self.text is not None else self.data or b""


class BlobLine(Content, tag="blob", kw_only=True):
    hash: str


class EventLine(Line, tag="event"):
    seq: int
    epoch: int
    at_ms: int
    type: str
    step: int | None
    data: msgspec.Raw
    hash: str


class OutputLine(Content, tag="output", kw_only=True):
    step: int
    attempt: int
    name: str


class CallbackLine(Line, tag="callback"):
    handle: str
    token_hash: bytes
    expires_at_ms: int | None
    methods: list[str]
    many: bool
    used_by: str | None
    used_at_ms: int | None
    options: msgspec.Raw = msgspec.Raw(b"{}")


class DeliveredLine(Line, tag="delivered"):
    id: str
    at_ms: int


class InboxLine(Line, tag="inbox"):
    at_ms: int
    kind: str
    data: msgspec.Raw


class EndLine(Line, tag="end"):
    lines: int
    digest: str


AnyLine = (
    ProgramLine | SnapshotLine | BlobLine | EventLine | OutputLine | CallbackLine | DeliveredLine | InboxLine | EndLine
)


def as_content(data: bytes) -> dict[str, Any]:
    """Gives the field of a line that holds these bytes."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"data": data}


def raw(text: str) -> msgspec.Raw:
    """Puts JSON text into a line as it is. An end of line in it, which only stands between tokens, becomes a space."""
    return msgspec.Raw(text.replace("\n", " ").encode() if "\n" in text else text.encode())


def text_of(data: msgspec.Raw) -> str:
    return str(memoryview(data), "utf-8")


def optional_raw(text: str | None) -> msgspec.Raw | msgspec.UnsetType:
    return msgspec.UNSET if text is None else raw(text)


def optional_text(data: msgspec.Raw | msgspec.UnsetType) -> str | None:
    return None if data is msgspec.UNSET else text_of(data)


def identity(job: JobData) -> bytes:
    """Gives the link before the first event: what of a job never changes, wherever it is."""
    fields = (job.uid, job.key, job.name, text_of(job.tags), job.source, job.command, job.program, job.created_at_ms)
    return blake2b(msgspec.json.encode(fields), digest_size=HASH_BYTES).digest()


def link(before: bytes, event: EventLine) -> bytes:
    """Gives the hash of an event that follows the event with the hash `before`."""
    text = f"{event.seq}\n{event.epoch}\n{event.at_ms}\n{event.step}\n{event.type}\n".encode()
    return blake2b(before + text + bytes(event.data), digest_size=HASH_BYTES).digest()


class Sink(Protocol):
    def write(self, data: bytes, /) -> int | None: ...


class Writer:
    """Writes the lines of one file. Nothing of it is kept back in a buffer that others could flush later."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._encode = msgspec.json.Encoder().encode
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._lines = 0
        self._buffer = bytearray()

    def add(self, line: Header | Line) -> None:
        data = self._encode(line)
        self._buffer += data
        self._buffer += b"\n"
        self._lines += 1
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Passes on all that was added. Raises: OSError; then the file is not whole."""
        data, self._buffer = bytes(self._buffer), bytearray()
        self._digest.update(data)
        self._write(data)

    def end(self) -> None:
        """Makes the file whole."""
        self.flush()
        self._write(self._encode(EndLine(self._lines, self._digest.hexdigest())) + b"\n")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._sink.write(view) or 0 :]  # type: ignore[arg-type]  # a view is as good as bytes


class Reader:
    """Reads a file from its beginning: the header, then `lines()`, which ends only if the file is whole.

    What the lines mean is not looked at: whoever uses them before the end uses what may be damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self._file = file
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._lines = 0
        self._decoder = msgspec.json.Decoder(AnyLine)
        self.header = self._header()

    def _header(self) -> Header:
        data = self._next()
        _require_format(data)
        try:
            return msgspec.json.decode(data, type=Header)
        except msgspec.MsgspecError as fault:
            raise self._damaged(str(fault)) from None

    def lines(self) -> Iterator[AnyLine]:
        """Gives the lines between the header and the end, each verified. Raises: BadFile."""
        before, seq = identity(self.header.job), max(0, self.header.job.trimmed_seq - 1)
        while True:
            digest, data = self._digest.hexdigest(), self._next()
            try:
                line = self._decoder.decode(data)
            except msgspec.MsgspecError as fault:
                raise self._damaged(str(fault)) from None
            if isinstance(line, EndLine):
                self._finish(line, digest, seq)
                return
            if isinstance(line, EventLine):
                before, seq = link(before, line), seq + 1
                if line.seq != seq or before.hex() != line.hash:
                    raise self._damaged(f"event {line.seq} is not what was written")
            yield line

    def _finish(self, end: EndLine, digest: str, seq: int) -> None:
        if end.digest != digest or end.lines != self._lines - 1:
            raise self._damaged("the lines before the last are not what was written")
        if seq != self.header.job.head:
            raise self._damaged(f"it ends with event {seq} of {self.header.job.head}")
        if self._file.read(1):
            raise self._damaged("it goes on after its end")

    def _next(self) -> bytes:
        data = self._file.readline()
        if not data.endswith(b"\n"):
            if not self._lines:
                _require_format(data)
            raise BadFile(
                f"the file is cut short: it ends within or before line {self._lines + 1}, without a last line",
                hint="Nothing was imported. Export the job again: one that was moved can be written once more.",
            )
        self._digest.update(data)
        self._lines += 1
        try:
            data.decode()
        except UnicodeDecodeError as fault:
            raise self._damaged(str(fault)) from None
        return data

    def _damaged(self, what: str) -> BadFile:
        return BadFile(
            f"the file is damaged at line {self._lines}: {what}",
            hint="Nothing was imported. Export the job again: one that was moved can be written once more.",
        )


def _require_format(data: bytes) -> None:
    if not data.startswith(b'{"fmsh_export":'):
        raise BadFile("this is no file of `fmsh jobs export`", hint='Such a file begins with {"fmsh_export": …')
    try:
        header: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return  # cut or damaged, which is found where it is
    if header["fmsh_export"] != FORMAT:
        raise BadFile(
            f"the file has format {header['fmsh_export']!r} (fmsh {header.get('fmsh')}); this fmsh reads {FORMAT}",
            hint="Use a newer fmsh.",
        )
