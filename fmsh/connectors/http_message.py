"""What is sent: the arguments of a request turned into an address, headers and bytes. Secrets become text here.

Pure but for `reveal`. What cannot be sent raises `values.Raised`. It knows nothing of sockets and answers.
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode, urlsplit

import fmsh
from fmsh.connectors import http_body
from fmsh.connectors.http_body import Body
from fmsh.record import Record
from fmsh.values import REDACTED, Duration, ErrorValue, Handle, Secret, SecretReference, raised, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fmsh.values import Value

BODY_METHODS = ("POST", "PUT", "PATCH")
BODY_ARGUMENTS = {
    "body": "a body",
    "form": "--form",
    "file": "--file",
    "multipart": "--multipart",
    "attach": "--attach",
}
USER_AGENT = f"fmsh/{getattr(fmsh, '__version__', '0')}"

LABEL_MAX = 63  # characters between the dots of a host's name: RFC 1035

# What RFC 3986 lets stand in a path or query, and "%", because an address is taken as already encoded.
URL_SAFE = "!$&'()*+,;=:@/?%-._~[]"

# Query parameters that are secret by their name, whoever made the address.
SECRET_PARAMETERS = frozenset(
    (
        *("access_token", "api_key", "apikey", "auth", "client_secret", "id_token", "key", "passwd", "password"),
        *("refresh_token", "secret", "sig", "signature", "token", "x-amz-security-token", "x-amz-signature"),
    )
)


class Url(Record):
    """An address taken apart. `host` as it is written to DNS, `target` as it stands in the request line."""

    scheme: str
    host: str
    port: int
    target: str
    userinfo: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        return (self.scheme, self.host, self.port)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == default_port(self.scheme) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


class Outgoing(Record):
    """A request as it is sent. `own` are the headers that we add; `given` the caller's, which stay with their origin.

    `secrets` are the texts that were revealed for it: no message may hold them.
    """

    method: str
    url: Url
    own: dict[str, str]
    given: dict[str, str]
    body: Body | None
    secrets: tuple[str, ...] = ()

    @property
    def plain_url(self) -> str:
        """The address without the secrets that were revealed for it."""
        text = str(self.url)
        for secret in self.secrets:
            for form in (secret, quote(secret, safe=URL_SAFE), quote(secret, safe="")):
                text = text.replace(form, REDACTED)
        return text

    @property
    def shown_url(self) -> str:
        """The address as messages show it: parameters that are secret by their name are hidden too."""
        return _redact_parameters(self.plain_url)

    @property
    def what(self) -> str:
        return f"{self.method} {self.shown_url}"


class Revealer:
    """Gives the text of secrets and remembers it, so that it can be kept out of messages."""

    def __init__(self, reveal: Callable[[Secret], str]) -> None:
        self._reveal = reveal
        self.texts: list[str] = []

    def __call__(self, value: Value) -> Value:
        """The text of a secret; any other value as it is."""
        if not isinstance(value, Secret):
            return value
        text = self._reveal(value)
        for part in value.parts:
            if isinstance(part, SecretReference):
                self.texts.append(self._reveal(Secret((part,))))
        return text


def build(
    arguments: Mapping[str, Value], idempotency_key: str, reveal: Callable[[Secret], str], directory: str
) -> Outgoing:
    """Makes the request; paths are in `directory`. Raises: Raised for what cannot be sent, or a missing secret.

    Source: RFC 9110; draft-ietf-httpapi-idempotency-key-header for that header.
    """
    revealer = Revealer(reveal)
    method = str(arguments["method"]).upper()
    url = with_query(parse_url(str(revealer(arguments["url"]))), arguments.get("query") or {}, revealer)
    body = _body(arguments, revealer, directory, boundary=f"fmsh-{idempotency_key}")
    own = {"Host": url.authority, "User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
    if arguments.get("save") is not None:
        own["Accept-Encoding"] = "identity"
    if body is not None and body.content_type:
        own["Content-Type"] = body.content_type
    if body is not None or method in BODY_METHODS:
        own["Content-Length"] = str(body.length if body is not None else 0)
    if method in ("POST", "PATCH"):
        own["Idempotency-Key"] = idempotency_key
    given = {name: _header(name, revealer(value)) for name, value in (arguments.get("headers") or {}).items()}
    if url.userinfo:
        revealer.texts.append(url.userinfo)
        given["Authorization"] = basic(url.userinfo)
    if arguments.get("auth") is not None:
        given["Authorization"] = _authorization(arguments["auth"], revealer)
    secrets = tuple(text for text in revealer.texts if text)
    return Outgoing(method, url, own, given, body, secrets)


def parse_url(text: str, base: Url | None = None) -> Url:
    """Takes an address apart; `base` resolves a relative one. Raises: Raised when it is none, or not of HTTP."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise raised("type", "an address must not hold control characters")
    shown = text.partition("?")[0].rpartition("@")[2]
    try:
        if base is not None:
            from urllib.parse import urljoin

            text = urljoin(str(base), text)
        parts = urlsplit(text)
        port = parts.port
        host = (parts.hostname or "").encode("idna" if not (parts.hostname or "").isascii() else "ascii").decode()
    except (ValueError, UnicodeError):
        raise raised("type", f"not an address: {shown}") from None
    if ":" not in host and not all(0 < len(label) <= LABEL_MAX for label in host.removesuffix(".").split(".") if host):
        raise raised("type", f"not the name of a host: {host[: LABEL_MAX + 1]}")
    if parts.scheme not in ("http", "https") or not host:
        raise raised("type", f"an address must begin with http:// or https:// and a host, this does not: {shown}")
    target = quote(parts.path or "/", safe=URL_SAFE) + (f"?{quote(parts.query, safe=URL_SAFE)}" if parts.query else "")
    userinfo = parts.netloc.rpartition("@")[0]
    return Url(parts.scheme, host, port or default_port(parts.scheme), target, userinfo)


def default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def with_query(url: Url, query: Mapping[str, Value], reveal: Callable[[Value], Value]) -> Url:
    """Adds parameters: a list repeats its name, null leaves it out."""
    pairs = _pairs(query, reveal, "--query")
    if not pairs:
        return url
    joint = "&" if "?" in url.target else "?"
    return url.replace(target=url.target + joint + urlencode(pairs, quote_via=quote, safe=""))  # type: ignore[no-any-return]


def headers_for(outgoing: Outgoing) -> dict[str, str]:
    """All headers; what the caller gave replaces ours of the same name, whatever its case."""
    taken = {name.lower() for name in outgoing.given}
    return {name: value for name, value in outgoing.own.items() if name.lower() not in taken} | outgoing.given


def redirected(outgoing: Outgoing, status: int, url: Url) -> Outgoing:
    """The request that follows a redirect. Another origin gets none of the caller's headers, and no secret.

    Raises: Raised where the body would hand a secret over.
    Source: RFC 9110, 15.4: 303 turns all but HEAD into GET; 301 and 302 turn POST into GET; 307 and 308 change nothing.
    """
    own, method, body = dict(outgoing.own), outgoing.method, outgoing.body
    own["Host"] = url.authority
    given = outgoing.given if url.origin == outgoing.url.origin else {}
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        dropped = ("content-type", "content-length", "idempotency-key", "content-encoding")
        own = {name: value for name, value in own.items() if name.lower() not in dropped}
        given = {name: value for name, value in given.items() if name.lower() not in dropped}
    if body is not None and url.origin != outgoing.url.origin and body.holds(outgoing.secrets):
        raise raised(
            "http", f"a redirect would hand a secret of the body to {url.authority}; if that is right, ask there"
        )
    return outgoing.replace(method=method, url=url, own=own, given=given, body=body)  # type: ignore[no-any-return]


def to_json(value: Value, reveal: Callable[[Value], Value]) -> str:
    """Writes a value as JSON, as it is displayed: a duration as `1h30m`, a datetime in RFC 3339. Raises: Raised."""

    def write_other(other: Value) -> Value:
        if isinstance(other, Secret):
            return reveal(other)
        if isinstance(other, range):
            return list(other)
        if isinstance(other, ErrorValue):
            return other.fields
        if isinstance(other, Handle):
            return other.fields_
        return _plain_text(other, "a JSON body")

    try:
        return json.dumps(value, default=write_other, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        raise raised("type", "a JSON body cannot hold nan or an infinite number") from None
    except RecursionError:
        raise raised("limit", "the body is nested too deeply to be written as JSON") from None


def _body(
    arguments: Mapping[str, Value], reveal: Callable[[Value], Value], directory: str, boundary: str
) -> Body | None:
    given = [name for name in BODY_ARGUMENTS if arguments.get(name) is not None]
    if set(given) - {"multipart", "attach"} and len(given) > 1:
        named = " and ".join(BODY_ARGUMENTS[name] for name in given)
        raise raised("type", f"a request has one body, this one has {named}", hint="leave one out")
    if "form" in given:
        pairs = _pairs(arguments["form"], reveal, "--form")
        return Body("application/x-www-form-urlencoded", (urlencode(pairs, errors="surrogateescape").encode(),))
    if "file" in given:
        return http_body.of_file(str(arguments["file"]), directory)
    if given and "body" not in given:
        return _multipart(arguments, reveal, directory, boundary)
    return _body_of(reveal(arguments.get("body")), reveal)


def _multipart(arguments: Mapping[str, Value], reveal: Callable[[Value], Value], directory: str, boundary: str) -> Body:
    fields = {
        name: to_json(value, reveal) if isinstance(value, dict | list | range) else _plain_text(reveal(value), "a form")
        for name, value in (arguments.get("multipart") or {}).items()
        if value is not None
    }
    return http_body.multipart(fields, arguments.get("attach") or {}, directory, boundary)


def _body_of(value: Value, reveal: Callable[[Value], Value]) -> Body | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return Body("application/octet-stream", (value,))
    if isinstance(value, str):
        return Body("text/plain; charset=utf-8", (text_bytes(value),))
    if isinstance(value, dict | list | range | bool | int | float | ErrorValue):
        try:
            return Body("application/json", (to_json(value, reveal).encode(),))
        except UnicodeEncodeError:
            raise raised("type", "a JSON body cannot hold text that is not UTF-8: send it as bytes") from None
    return Body("text/plain; charset=utf-8", (_plain_text(value, "a body").encode(),))


def _pairs(record: Mapping[str, Value], reveal: Callable[[Value], Value], where: str) -> list[tuple[str, str]]:
    return [
        (name, _plain_text(reveal(item), where))
        for name, value in record.items()
        for item in (value if isinstance(value, list | range) else [value])
        if item is not None
    ]


def _plain_text(value: Value, where: str) -> str:
    """One value as text, as the display writes it. Raises: Raised for what has none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Duration):
        return str(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    from fmsh.values import kind_of

    raise raised("type", f"{where} cannot hold a {kind_of(value)}: convert it to text first")


def _header(name: str, value: Value) -> str:
    if name.lower() in ("content-length", "transfer-encoding"):
        raise raised("type", f"the header {name} follows from the body and cannot be set")
    text = _plain_text(value, f"the header {name}")
    if not name or not name.isascii() or any(character in name for character in " \t\r\n:") or not name.isprintable():
        raise raised("type", f"not the name of a header: {name!r}")
    if any(character in text for character in "\r\n\0"):
        raise raised("type", f"the header {name} must not hold a line break")
    return text.strip(" \t")


def _authorization(auth: Value, reveal: Callable[[Value], Value]) -> str:
    """`bearer:NAME` and `basic:user:NAME` name a secret; in a text that is a secret, NAME is the secret's text."""

    def secret(name: str) -> str:
        return name if isinstance(auth, Secret) else str(reveal(Secret((SecretReference(name),))))

    text = str(reveal(auth))
    scheme, _, rest = text.partition(":")
    if scheme == "bearer" and rest:
        return f"Bearer {_header('Authorization', secret(rest))}"
    if scheme == "basic" and ":" in rest:
        user, _, name = rest.partition(":")
        return basic(f"{user}:{secret(name)}")
    if isinstance(auth, Secret):
        return f"Bearer {_header('Authorization', text)}"
    raise raised("type", "--auth must be bearer:NAME or basic:user:NAME, where NAME is that of a secret")


def basic(userinfo: str) -> str:
    """The value of an Authorization header for `user:password`, percent-encoded as in an address."""
    from binascii import b2a_base64
    from urllib.parse import unquote_to_bytes

    return "Basic " + b2a_base64(unquote_to_bytes(userinfo), newline=False).decode()


def _redact_parameters(text: str) -> str:
    """Hides the values of parameters like `token=…`, wherever an address stands in the text."""
    for joint in "?&":
        head, *rest = text.split(joint)
        text = joint.join([head, *(_redact_parameter(part) for part in rest)])
    return text


def _redact_parameter(part: str) -> str:
    name, equals, value = part.partition("=")
    if not equals or name.lower() not in SECRET_PARAMETERS:
        return part
    end: Sequence[int] = [index for index in map(value.find, "&# ") if index >= 0]
    return f"{name}={REDACTED}{value[min(end) :] if end else ''}"
