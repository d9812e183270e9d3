"""What came back: the body decoded within bounds, errors as values, and whether a failure may be tried again.

Pure: no sockets, no clock but what is handed in.
"""

from __future__ import annotations

import json
import re
import zlib

from fmsh.connectors.base import Done, Failed
from fmsh.record import Record
from fmsh.values import Duration, ErrorValue, Raised, error_value, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fmsh.connectors.base import Outcome
    from fmsh.connectors.http_message import Outgoing
    from fmsh.values import Value

_LINK = re.compile(r"<([^>]*)>((?:[^,\"]|\"[^\"]*\")*)")
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)

RESPONSE_BYTES_MAX = 64 * 1024 * 1024
ERROR_BODY_BYTES_MAX = 1024 * 1024
ENCODINGS_MAX = 5  # that of curl
WINDOW_BYTES = (1024, 65536)  # of what is compressed, handed over at once: at the beginning of a member, and at most
JSON_DEPTH_MAX = 200  # everything that walks a value later does so within Python's recursion limit of 1000
RETRIES_DEFAULT = 2

RETRYABLE_STATUSES = frozenset((429, 502, 503, 504))
# After these nothing was done. A 500, 502 or 504 may stand for work that was done, so POST and PATCH end there.
UNDONE_STATUSES = frozenset((429, 503))
REPEATABLE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))

TEXT_TYPES = (
    "text/",
    "application/xml",
    "application/javascript",
    "application/x-www-form-urlencoded",
    "application/yaml",
)


class Answer(Record):
    """A whole answer. `headers` by name in lower case; `body` as it was transferred, not yet uncompressed.

    `is_saved`: the body went into a file. `cookies`: each `Set-Cookie` by itself.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    is_saved: bool = False
    cookies: tuple[str, ...] = ()


class Progress:
    """How far an attempt came: whether a server may have seen a request, and the status of an answer that began.

    Of a file that goes up or down, how many bytes have gone, and of how many (None: nobody knows).
    """

    was_sent = False
    status: int | None = None
    bytes_done = 0
    bytes_all: int | None = None
    is_over = False


class Policy(Record):
    """What the caller said about failures and about the shape of the result."""

    retries: int
    is_once: bool
    is_full: bool
    has_pages: bool
    accepted: tuple[int, ...]


def policy_of(arguments: Mapping[str, Value], is_once: bool) -> Policy:
    """Raises: Raised for statuses that are none."""
    retries = arguments.get("retries")
    return Policy(
        RETRIES_DEFAULT if retries is None else int(retries),
        is_once,
        bool(arguments.get("full")),
        bool(arguments.get("pages")),
        _statuses(arguments.get("ok")),
    )


def _statuses(ok: Value) -> tuple[int, ...]:
    """What `--ok` names: a status, a list of them, or a word like `404,409`."""
    items = ok.split(",") if isinstance(ok, str) else ok if isinstance(ok, list) else [] if ok is None else [ok]
    try:
        statuses = tuple(int(item) for item in items if not isinstance(item, bool | float))
    except (ValueError, TypeError):
        statuses = ()
    if len(statuses) < len(items) or any(not 100 <= status <= 599 for status in statuses):
        raise raised("type", "--ok takes statuses", hint="such as --ok 404 or --ok 404,409")
    return statuses


def outcome_of(outgoing: Outgoing, answer: Answer, policy: Policy, *, elapsed_ns: int, now_s: float) -> Outcome:
    """Turns a whole answer into the outcome of the attempt."""
    if answer.status >= 400 and answer.status not in policy.accepted:
        return _refused(outgoing, answer, policy, now_s)
    try:
        body = None if outgoing.method == "HEAD" or answer.is_saved else decode(answer)
    except Raised as failure:
        return Failed(_about(outgoing, failure.error, answer))
    if policy.is_full:
        fields = {"status": answer.status, "headers": answer.headers, "body": body}
        return Done(fields | {"url": outgoing.plain_url, "elapsed": Duration(elapsed_ns)})
    return Done(None if answer.status >= 400 else body)


def body_of(value: Value, policy: Policy) -> Value:
    """The decoded body in the value of a good answer, whichever shape the caller asked for."""
    return value["body"] if policy.is_full else value


def with_body(value: Value, policy: Policy, body: Value) -> Value:
    """The same value with another body."""
    return value | {"body": body} if policy.is_full else body


def next_page(answer: Answer) -> str | None:
    """The address of the page after this one, as its `Link` header says. Source: RFC 8288."""
    for link in _LINK.finditer(answer.headers.get("link", "")):
        relations = _REL.search(link[2])
        if relations is not None and "next" in (relations[1] or relations[2]).lower().split():
            return link[1]
    return None


def joined_pages(bodies: list[Value], outgoing: Outgoing) -> Value:
    """The lists of all pages as one. Raises: Raised where there are several pages and one is no list."""
    if len(bodies) == 1:
        return bodies[0]
    if not all(isinstance(body, list) for body in bodies):
        raise raised("type", f"{outgoing.what}: --pages joins lists, and a page is none", hint="leave out --pages")
    return [item for body in bodies for item in body]


def no_answer(outgoing: Outgoing, policy: Policy, progress: Progress, *, kind: str, reason: str) -> Failed:
    """The outcome where no whole answer came. `kind`: "network" or "timeout"."""
    if policy.is_once and progress.was_sent:
        message = f"{reason}, so it is not known whether it was done, and it stands in once: it is not sent again"
        return Failed(_about(outgoing, error_value("lost", f"{outgoing.what}: {message}"), None))
    is_done_perhaps = progress.status is not None and progress.status not in UNDONE_STATUSES
    is_safe = outgoing.method in REPEATABLE_METHODS or not is_done_perhaps
    error = _about(outgoing, error_value(kind, f"{outgoing.what}: {reason}", retryable=True), None)
    return Failed(error, is_safe and not policy.is_once, attempts_max=policy.retries + 1)


def failed_for_good(outgoing: Outgoing, kind: str, reason: str) -> Failed:
    return Failed(_about(outgoing, error_value(kind, f"{outgoing.what}: {reason}"), None))


def _refused(outgoing: Outgoing, answer: Answer, policy: Policy, now_s: float) -> Failed:
    """An answer of 400 and over."""
    is_retryable = answer.status in RETRYABLE_STATUSES
    is_safe = answer.status in UNDONE_STATUSES or outgoing.method in REPEATABLE_METHODS
    error = error_value(
        "http", f"{outgoing.what} was answered with {answer.status}{_reason(answer.status)}", retryable=is_retryable
    )
    error = _about(outgoing, error, answer)
    error.fields["body"] = _error_body(answer)
    if not is_retryable or not is_safe or policy.is_once:
        return Failed(error)
    wait_ms = retry_after_ms(answer.headers.get("retry-after"), now_s)
    return Failed(error, True, retry_after_ms=wait_ms, attempts_max=policy.retries + 1)


def _reason(status: int) -> str:
    from http import HTTPStatus

    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _about(outgoing: Outgoing, error: ErrorValue, answer: Answer | None) -> ErrorValue:
    """Adds what was asked and, as far as it came, what was answered."""
    fields: dict[str, Value] = {"method": outgoing.method, "url": outgoing.shown_url}
    if answer is not None:
        fields |= {"status": answer.status, "headers": answer.headers}
    message = error.message if outgoing.what in error.message else f"{outgoing.what}: {error.message}"
    return ErrorValue(error.fields | fields | {"message": message})


def _error_body(answer: Answer) -> Value:
    """The body of a refusal, if it can be decoded; what is broken or long is given as text or bytes, cut."""
    try:
        if len(answer.body) <= ERROR_BODY_BYTES_MAX:
            return decode(answer, limit=ERROR_BODY_BYTES_MAX)
    except Raised:
        pass
    try:
        plain = uncompress(answer, limit=RESPONSE_BYTES_MAX)[:ERROR_BODY_BYTES_MAX]
    except Raised:
        return answer.body[:ERROR_BODY_BYTES_MAX]
    return plain.decode("utf-8", "surrogateescape")


def retry_after_ms(header: str | None, now_s: float) -> int | None:
    """How long the server asks to wait: a number of seconds or a date. Source: RFC 9110, 10.2.3."""
    if header is None:
        return None
    if header.isascii() and header.isdigit() and len(header) < 10:
        return int(header) * 1000
    from email.utils import parsedate_to_datetime

    try:
        return max(0, -int((now_s - parsedate_to_datetime(header).timestamp()) * 1000 // 1))  # rounded up: never early
    except (ValueError, TypeError, OverflowError):
        return None


def decode(answer: Answer, *, limit: int = RESPONSE_BYTES_MAX) -> Value:
    """The body as a value: JSON as what it says, text as a string, other as bytes, nothing as null. Raises: Raised."""
    data = uncompress(answer, limit=limit)
    content_type, _, parameters = answer.headers.get("content-type", "").partition(";")
    content_type = content_type.strip().lower()
    if not data:
        return "" if content_type.startswith("text/") and answer.status != 204 else None
    if content_type == "application/json" or content_type.endswith("+json"):
        return parse_json(data)
    if content_type.startswith(TEXT_TYPES):
        return _decode_text(data, parameters)
    return data


def encodings(headers: Mapping[str, str]) -> list[str]:
    """How a body is compressed, the outermost first. Raises: Raised for a way that is not known."""
    names = [name.strip().lower() for name in headers.get("content-encoding", "").split(",")]
    names = [name for name in reversed(names) if name and name != "identity"]
    if len(names) > ENCODINGS_MAX:
        raise raised(
            "limit", f"the answer is encoded {len(names)} times over, {ENCODINGS_MAX} are allowed (ENCODINGS_MAX)"
        )
    for name in names:
        if name not in ("gzip", "x-gzip", "deflate"):
            raise raised("parse", f"the answer is encoded as {name}, which was not asked for and is not understood")
    return names


def uncompress(answer: Answer, *, limit: int) -> bytes:
    """Undoes gzip and deflate, never holding more than `limit` bytes. Raises: Raised for more, or for broken data."""
    data = answer.body
    for name in encodings(answer.headers):
        try:
            data = _inflate(data, limit)
        except zlib.error:
            raise falsely_encoded(name) from None
    if len(data) > limit:
        raise too_large(limit)
    return data


def falsely_encoded(name: str) -> Raised:
    return raised("parse", f"the answer says that it is encoded as {name}, but it is not")


def inflater(beginning: bytes) -> zlib._Decompress:
    """What undoes gzip or zlib, whichever it is, or deflate without a header, which some servers send as "deflate"."""
    return zlib.decompressobj(47 if beginning[:1] in (b"\x1f", b"\x78") else -15)


def too_large(limit: int = RESPONSE_BYTES_MAX) -> Raised:
    return raised("limit", f"the answer is larger than {limit >> 20} MiB (RESPONSE_BYTES_MAX)")


def _inflate(data: bytes, limit: int) -> bytes:
    """Raises: zlib.error for what is broken or cut; Raised for what is larger than `limit`.

    A member is given its data bit by bit, for it hands back what comes after its end: all of it for each of a
    million members would take hours.
    """
    pieces: list[bytes] = []
    total = at = 0
    while at < len(data):
        member = inflater(data[at : at + 1])
        window, rest = WINDOW_BYTES[0], b""
        while not member.eof:
            given = rest or data[at : at + window]
            if not given:
                raise zlib.error("cut")
            at += 0 if rest else len(given)
            piece = member.decompress(given, limit - total + 1)
            rest = member.unconsumed_tail
            total += len(piece)
            if total > limit:
                raise too_large(limit)
            pieces.append(piece)
            window = min(window * 2, WINDOW_BYTES[1])
        at -= len(member.unused_data)
        while data[at : at + 1] == b"\0":
            at += 1
    return b"".join(pieces)


def _decode_text(data: bytes, parameters: str) -> str:
    charset = "utf-8"
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"')
    try:
        return data.decode(charset)
    except (LookupError, UnicodeError):
        return data.decode("utf-8", "surrogateescape")


def parse_json(data: bytes) -> Value:
    """Reads JSON strictly. Raises: Raised (parse, limit) for broken text, NaN, a key given twice, too much depth."""
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_record, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise raised("parse", f"the answer says that it is JSON, but it is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise raised("parse", f"the answer says that it is JSON, but it is broken at {place}: {error.msg}") from None
    except ValueError:
        raise raised("limit", "the answer holds a number with more digits than Python reads") from None
    except RecursionError:
        raise _too_deep() from None
    for depth, _ in enumerate(_levels(value)):
        if depth >= JSON_DEPTH_MAX:
            raise _too_deep()
    return value


def _levels(value: Value) -> Iterator[list[Value]]:
    """The lists and records of a value, level by level."""
    level = [value] if isinstance(value, dict | list) else []
    while level:
        yield level
        children = (child for item in level for child in (item.values() if type(item) is dict else item))
        level = [child for child in children if type(child) is dict or type(child) is list]


def _too_deep() -> Raised:
    return raised("limit", f"the JSON of the answer is nested more than {JSON_DEPTH_MAX} deep (JSON_DEPTH_MAX)")


def _record(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    record = dict(pairs)
    if len(record) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise raised("parse", f"the JSON of the answer has the key {twice!r} twice in one record")
    return record


def _refuse_constant(name: str) -> Value:
    raise raised("parse", f"the answer says that it is JSON, but it holds {name}, which JSON has not")
