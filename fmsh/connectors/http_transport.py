"""One request to one server and its answer, over kept connections, within a deadline. Blocking; used by worker threads.

Why `http.client` and not httpx: measured with 64 threads against a loopback server, answers of 11 bytes: 5300 per
second against 1140, and 27 ms against 140 to 230 ms to import, which a `-c` job with a single request pays. What
httpx would add is not wanted here (it hands a bomb's chunk over whole, and X-Api-Key to another origin) or not needed
(HTTP/2). The price is about a hundred lines: connections that are kept, and a deadline for a whole exchange.

A connection is used again only if nothing arrived on it meanwhile, and never inside `once`: that a server closed it
just then would leave the outcome unknown for no good reason.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from threading import Lock

from fmsh.connectors.http_answer import RESPONSE_BYTES_MAX, Answer, Progress, too_large
from fmsh.connectors.http_body import FileChanged
from fmsh.connectors.http_message import Outgoing, basic, headers_for
from fmsh.connectors.http_response import NotHttp, Response
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    from fmsh.connectors.http_message import Url
    from fmsh.connectors.http_save import Download
    from fmsh.connectors.http_stream import ValueStream
    from fmsh.values import Value

    Sink: TypeAlias = Download | ValueStream  # where the body of a good answer goes
    Key = tuple[tuple[str, str, int], Url | None, bool]

CHUNK_BYTES = 65536
KEPT_PER_ORIGIN_MAX = 64
KEPT_S_MAX = 30.0  # shorter than the idle limit of common servers and balancers (60 s nginx and AWS, 75 s others)
NO_TLS = "wrong version number"  # what OpenSSL says of an answer in plain text
REPEATABLE_UNSEEN = frozenset(("GET", "HEAD", "OPTIONS"))


class TransportError(Exception):
    """No whole answer; how far it came is told by the line. `is_final`: trying again would give the same."""

    def __init__(self, reason: str, *, is_timeout: bool = False, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_timeout = is_timeout
        self.is_final = is_final


class Enough(Exception):
    """Who takes the body wants no more of it."""


class Line(Progress):
    """What an exchange is using right now, so that another thread can cut it off, and how far it came."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline  # of time.monotonic()
        self.silence_s = 0.0  # if set, the deadline is that long after anything moved
        self.is_cut = False
        self._begun_s = time.monotonic()
        self._spent: dict[str, float] = {}
        self._socket: socket.socket | None = None
        self._lock = Lock()

    def use(self, sock: socket.socket | None) -> None:
        with self._lock:
            self._socket = sock
            if self.is_cut and sock is not None:
                _shut(sock)

    def cut(self) -> None:
        """Ends all waiting on the socket at once. The thread that waits sees an error or an end."""
        with self._lock:
            self.is_cut = True
            if self._socket is not None:
                _shut(self._socket)

    def begin(self, deadline: float) -> None:
        """The time of an attempt begins."""
        self.deadline = deadline
        self._begun_s, self._spent = time.monotonic(), {}

    def spend(self, what: str, since_s: float) -> float:
        """Notes where time went, of all exchanges of the attempt together; gives the time."""
        now_s = time.monotonic()
        self._spent[what] = self._spent.get(what, 0.0) + now_s - since_s
        return now_s

    def timings(self) -> dict[str, Value]:
        """Where the time of the attempt went, in milliseconds; a kept connection needs none to connect."""
        spent = dict(self._spent)
        spent["total"] = time.monotonic() - self._begun_s
        return {what: round(seconds * 1000, 1) for what, seconds in spent.items()}

    def arm(self) -> None:
        """Gives the socket as long as there is. Raises: TimeoutError when nothing remains."""
        remaining_s = self.remaining_s()
        with self._lock:
            if self._socket is not None and self._socket.fileno() >= 0:  # else all is read already
                self._socket.settimeout(remaining_s)

    def moved(self) -> None:
        """Notes that data went or came."""
        if self.silence_s:
            self.deadline = time.monotonic() + self.silence_s

    def remaining_s(self) -> float:
        """Raises: TimeoutError when nothing remains."""
        remaining = self.deadline - time.monotonic()
        if self.is_cut or remaining <= 0:
            raise TimeoutError
        return remaining


class Route(Record):
    """How a server is reached: through a proxy or not, and whether its certificate is looked at."""

    proxy: Url | None = None
    is_insecure: bool = False


class _Connection(http.client.HTTPConnection):
    """A connection to a server or its proxy, made within a deadline by trying each address of the host."""

    response_class = Response

    def __init__(self, url: Url, proxy: Url | None, context: ssl.SSLContext | None) -> None:
        super().__init__((proxy or url).host, (proxy or url).port)
        self._context = context
        self._server_name = url.host
        self.line: Line | None = None
        self.idle_since = 0.0
        if proxy is not None and context is not None:
            headers = {"Proxy-Authorization": basic(proxy.userinfo)} if proxy.userinfo else {}
            self.set_tunnel(url.host, url.port, headers)

    def connect(self) -> None:
        assert self.line is not None
        begun_s = time.monotonic()
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        begun_s = self.line.spend("dns", begun_s)
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            is_last = index == len(addresses) - 1
            sock = socket.socket(family, kind, protocol)
            try:
                # An address that swallows packets must leave time for the next one.
                sock.settimeout(self.line.remaining_s() / (1 if is_last else 2))
                self.line.use(sock)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                begun_s = self.line.spend("connect", begun_s)
                self.sock = sock
                self.sock = self._secured(sock)
                if self._context is not None:
                    self.line.spend("tls", begun_s)
                self.line.use(self.sock)
                return
            except OSError as error:
                self.line.use(None)
                sock.close()
                if is_last or self.line.is_cut or isinstance(error, ssl.SSLError):
                    raise

    def _secured(self, sock: socket.socket) -> socket.socket:
        if self._context is None:
            return sock
        assert self.line is not None
        sock.settimeout(self.line.remaining_s())
        if self._tunnel_host:  # type: ignore[attr-defined]
            self._tunnel()  # type: ignore[attr-defined]
        return self._context.wrap_socket(sock, server_hostname=self._server_name, suppress_ragged_eofs=False)

    @property
    def is_usable(self) -> bool:
        """Whether a kept connection is still open and silent. What arrives unasked is the server's goodbye."""
        if self.sock is None or time.monotonic() - self.idle_since > KEPT_S_MAX:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


class Transport:
    """Keeps connections by origin, for all threads."""

    def __init__(self, make_context: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._make_context = make_context
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._kept: dict[Key, list[_Connection]] = {}
        self._lock = Lock()

    def exchange(
        self, outgoing: Outgoing, route: Route, line: Line, *, is_fresh: bool, sink: Sink | None = None
    ) -> Answer:
        """Sends a request and reads its whole answer. `is_fresh`: over a new connection.

        The body of a good answer goes into `sink`, if there is one; what that raises passes.

        Raises: TransportError; Raised when the answer is too large.
        """
        key = (outgoing.url.origin, route.proxy, route.is_insecure)
        connection = None if is_fresh else self._take(key)
        if connection is not None:
            try:
                return self._exchange_on(connection, key, outgoing, line, sink)
            except TransportError as error:
                # A kept connection that fails before its first byte was closed under us: not a failure of the server.
                is_stale = line.status is None and not error.is_timeout and not line.is_cut
                if not is_stale or outgoing.method not in REPEATABLE_UNSEEN:
                    raise
        return self._exchange_on(self._make(outgoing.url, route), key, outgoing, line, sink)

    def close(self) -> None:
        with self._lock:
            for connections in self._kept.values():
                for connection in connections:
                    connection.close()
            self._kept.clear()

    def _exchange_on(
        self, connection: _Connection, key: Key, outgoing: Outgoing, line: Line, sink: Sink | None
    ) -> Answer:
        connection.line = line
        is_kept = False
        try:
            line.use(connection.sock)
            _connect(connection, outgoing)
            answer, is_kept = _converse(connection, outgoing, line, key[1], sink)
            return answer
        finally:
            line.use(None)
            connection.line = None
            if is_kept and not line.is_cut:
                self._keep(key, connection)
            else:
                connection.close()

    def _make(self, url: Url, route: Route) -> _Connection:
        if url.scheme != "https":
            return _Connection(url, route.proxy, None)
        with self._lock:
            context = self._contexts.get(route.is_insecure)
            if context is None:
                self._contexts[route.is_insecure] = context = self._make_context()
                if route.is_insecure:
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
        return _Connection(url, route.proxy, context)

    def _take(self, key: Key) -> _Connection | None:
        while True:
            with self._lock:
                connections = self._kept.get(key)
                if not connections:
                    return None
                connection = connections.pop()
            if connection.is_usable:
                return connection
            connection.close()

    def _keep(self, key: Key, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            connections = self._kept.setdefault(key, [])
            if len(connections) < KEPT_PER_ORIGIN_MAX:
                connections.append(connection)
                return
        connection.close()


def _connect(connection: _Connection, outgoing: Outgoing) -> None:
    """Raises: TransportError; nothing was sent then."""
    if connection.sock is not None:
        return
    host = outgoing.url.authority
    if connection.host != outgoing.url.host:
        host = f"{host} through the proxy {connection.host}"
    try:
        connection.connect()
    except TimeoutError:
        raise TransportError(f"no connection to {host} in time", is_timeout=True) from None
    except socket.gaierror as error:
        reason = f"the host {connection.host} was not found ({error.strerror})"
        raise TransportError(reason) from None
    except ssl.SSLCertVerificationError as error:
        reason = f"the certificate of {host} is not trusted ({error.verify_message})"
        raise TransportError(reason, is_final=True) from None
    except (OSError, UnicodeError) as error:
        reason = _reason(error)
        if reason == NO_TLS:
            reason += "; it does not speak TLS at this port: is it an address with http://?"
        raise TransportError(f"no connection to {host} ({reason})") from None


def _converse(
    connection: _Connection, outgoing: Outgoing, line: Line, proxy: Url | None, sink: Sink | None
) -> tuple[Answer, bool]:
    """Sends and reads: the answer, and whether the connection can be used again. Raises: TransportError, Raised."""
    line.was_sent, line.status = True, None
    host = outgoing.url.authority
    try:
        _send(connection, outgoing, line, proxy)
        line.arm()
        sent_s = time.monotonic()
        response = connection.getresponse()
        line.spend("first_byte", sent_s)
        assert isinstance(response, Response)
        line.status = response.status
        headers = _headers(response)
        is_saved = sink is not None and 200 <= response.status < 300
        if sink is not None and is_saved:
            sink.begin(headers)
            line.bytes_done, line.bytes_all = 0, response.length
            body = _pass_on(response, line, sink)
        else:
            body = _read_body(response, line)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        cookies = tuple(_text(value) for value in response.msg.get_all("set-cookie", ()))
        return Answer(response.status, headers, body, is_saved, cookies), not response.will_close
    except TimeoutError:
        raise TransportError(f"no answer from {host} in time", is_timeout=True) from None
    except FileChanged as error:
        raise TransportError(str(error), is_final=True) from None
    except http.client.RemoteDisconnected:
        raise TransportError(f"{host} closed the connection without an answer") from None
    except http.client.IncompleteRead:
        raise TransportError(f"{host} cut its answer off") from None
    except http.client.HTTPException as error:
        raise TransportError(f"what {host} sent is not HTTP: {_rule(error)}") from None
    except (OSError, ValueError, AttributeError) as error:
        # ValueError and AttributeError: what http.client makes of a socket that is closed under it.
        raise TransportError(f"{host} broke the connection off ({_reason(error)})") from None


def _send(connection: _Connection, outgoing: Outgoing, line: Line, proxy: Url | None) -> None:
    line.arm()
    is_relayed = proxy is not None and outgoing.url.scheme == "http"
    target = str(outgoing.url) if is_relayed else outgoing.url.target
    connection.putrequest(outgoing.method, target, skip_host=True, skip_accept_encoding=True)
    if is_relayed and proxy is not None and proxy.userinfo:
        connection.putheader("Proxy-Authorization", basic(proxy.userinfo))
    for name, value in headers_for(outgoing).items():
        connection.putheader(name, value.encode("utf-8", "surrogateescape"))
    body = outgoing.body
    whole = None if body is None else body.whole
    try:
        connection.endheaders(whole)
        if body is not None and whole is None:
            line.bytes_done, line.bytes_all = 0, body.length
            for chunk in body.chunks():
                line.arm()
                connection.send(chunk)
                line.bytes_done += len(chunk)
                line.moved()
    except (BrokenPipeError, ConnectionResetError):
        # A server may answer (413, say) and close before it has read all; its answer may still be there to be read.
        pass


def _read_body(response: Response, line: Line) -> bytes:
    pieces: list[bytes] = []
    total = 0
    for piece in _pieces(response, line):
        total += len(piece)
        if total > RESPONSE_BYTES_MAX:
            raise too_large()
        pieces.append(piece)
    return b"".join(pieces)


def _pass_on(response: Response, line: Line, sink: Sink) -> bytes:
    for piece in _pieces(response, line, is_live=sink.is_live):
        line.bytes_done += len(piece)
        sink.write(piece)
    return b""


def _pieces(response: Response, line: Line, *, is_live: bool = False) -> Iterator[bytes]:
    """The body bit by bit. `is_live`: each piece as soon as it is there; the connection is then of no further use."""
    response.will_close = response.will_close or is_live
    read = response.read1 if is_live else response.read
    while True:
        line.arm()
        piece = read(CHUNK_BYTES)
        if not piece:
            return
        line.moved()
        yield piece


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    """By name in lower case; one that comes several times is joined by commas. Bytes that are not ASCII are kept."""
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        text = _text(value)
        key = name.lower()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _text(value: str) -> str:
    return value.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def _rule(error: http.client.HTTPException) -> str:
    """Which rule was broken."""
    if isinstance(error, NotHttp):
        return str(error)
    if isinstance(error, http.client.BadStatusLine):
        return f"it begins with {str(error).rstrip()[:40]!r}"
    if isinstance(error, http.client.LineTooLong):
        return "a line of its head is too long"
    return str(error) or "it cannot be read"  # "got more than 100 headers"


def _reason(error: Any) -> str:
    text = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).lower().replace("_", " ") if isinstance(error, OSError) else str(text)


def _shut(sock: socket.socket) -> None:
    """Shuts a socket that another thread may wait on. By the plain method: TLS's own would pull its state away."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass
