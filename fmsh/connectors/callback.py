"""The callback connector: "open" gives a handle with an address that only its holder knows; "reply" answers a call.

The store keeps the SHA-256 of the token alone. Opening again after a crash gives a new token: nobody has seen the old
one, since the handle was not recorded. An address with a name has a token made of the name, the same each time.
`base_url()` makes sure that our own listener is bound, raising ConnectorError when it cannot be.
"""

from __future__ import annotations

from fmsh.connectors.base import Done, Failed, refused_by_store
from fmsh.errors import FmshError, StoreBusy, StoreFull, StoreTaken
from fmsh.record import Record
from fmsh.values import Handle, Raised, Secret, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Attempt, AttemptId, Outcome, Post
    from fmsh.values import Duration, Value

    Reply = Callable[[int, str, Value, int | None], bool]  # job id, request id, value, status → whether it was kept

TOKEN_BYTES = 32
METHODS = ("POST", "PUT")
SCHEMES = ("standard", "github", "stripe", "slack")


class Address(Record):
    """What is to be opened. `options`: how it serves its callers, `{"verify", "secret", "reply"}` as far as given."""

    job_id: int
    handle_id: str
    token_hash: bytes
    expires_at_ms: int | None
    methods: tuple[str, ...]
    is_many: bool
    options: dict[str, Value]


class CallbackConnector:
    """Opens addresses; it holds nothing, so there is nothing to cancel.

    `token(bytes)` is random; `named(name)` is the same for a name; `secret(value)` gives the secret that is meant, and
    raises Raised if there is none.
    """

    def __init__(
        self,
        open: Callable[[Address], None],
        base_url: Callable[[], str],
        token: Callable[[int], bytes],
        *,
        named: Callable[[str], bytes] | None = None,
        secret: Callable[[Value], Secret] | None = None,
        reply: Reply | None = None,
    ) -> None:
        self._open = open
        self._base_url = base_url
        self._token = token
        self._named = named
        self._secret = secret
        self._reply = reply

    def start(self, attempt: Attempt, post: Post) -> None:
        act = self._opened if attempt.operation == "open" else self._replied
        try:
            post(attempt.id, act(attempt))
        except Raised as problem:
            post(attempt.id, Failed(problem.error))
        except (StoreFull, StoreBusy) as error:
            post(attempt.id, refused_by_store(error))
        except FmshError as error:
            message = f"callback: {error.message}" + (f" ({error.hint})" if error.hint else "")
            post(attempt.id, Failed(error_value("callback", message)))

    def _opened(self, attempt: Attempt) -> Outcome:
        from base64 import urlsafe_b64encode
        from hashlib import sha256

        arguments = attempt.arguments
        methods = _methods(arguments.get("methods"))
        if methods is None:
            return Failed(error_value("type", "--methods takes POST, PUT or both, such as --methods POST,PUT"))
        options = self._options(arguments)
        name = _name(arguments.get("name"))
        base_url = self._base_url()
        secret = self._token(TOKEN_BYTES) if name is None or self._named is None else self._named(name)
        token = urlsafe_b64encode(secret).rstrip(b"=").decode()
        id = str(attempt.id.step)
        is_many = bool(arguments.get("many"))
        expires_at_ms = _expiry(attempt.requested_at_ms, arguments.get("ttl"))
        hash = sha256(token.encode()).digest()
        try:
            self._open(Address(attempt.id.job_id, id, hash, expires_at_ms, methods, is_many, options))
        except StoreTaken as error:
            hint = "one job at a time has the address of a name: wait for that one, or use another name"
            return Failed(error_value("callback", f"callback --name {name}: {error.message}", hint=hint))
        fields: dict[str, Value] = {"id": id, "url": f"{base_url}/cb/{token}"}
        fields |= {flag: True for flag, is_on in (("many", is_many), ("full", arguments.get("full"))) if is_on}
        if options.get("reply"):
            fields["full"] = True
        return Done(Handle("callback", id, fields))

    def _options(self, arguments: dict[str, Value]) -> dict[str, Value]:
        """How the address serves its callers. Raises: Raised."""
        options: dict[str, Value] = {"reply": True} if arguments.get("reply") else {}
        scheme, secret = arguments.get("verify"), arguments.get("secret")
        if scheme is None and secret is None:
            return options
        if scheme not in SCHEMES:
            hint = "such as `callback --verify github --secret HOOK_SECRET`"
            raise Raised(error_value("type", f"--verify takes {', '.join(SCHEMES)}", hint=hint))
        if secret is None or self._secret is None:
            hint = "keep it with `fmsh secret set NAME`, and name it"
            raise Raised(error_value("type", f"--verify {scheme} needs --secret NAME", hint=hint))
        return options | {"verify": scheme, "secret": self._secret(secret)}

    def _replied(self, attempt: Attempt) -> Outcome:
        arguments = attempt.arguments
        status, request = arguments.get("status"), arguments["request"]
        id = request.get("id") if isinstance(request, dict) else request
        if not isinstance(id, str) or self._reply is None:
            hint = "such as `let request = await $hook; reply $request {ok: true}`"
            return Failed(error_value("type", "`reply` takes what came to a `callback --reply`", hint=hint))
        if status is not None and (type(status) is not int or not 200 <= status <= 599):
            return Failed(error_value("type", "--status takes a status of HTTP, from 200 to 599"))
        if _holds_secret(arguments.get("value")):
            hint = "what is sent is read by others: `reveal` makes plain text of a secret"
            return Failed(error_value("type", "a reply cannot hold a secret", hint=hint))
        if not self._reply(attempt.id.job_id, id, arguments.get("value"), status):
            return Failed(error_value("callback", "that request was answered before, and otherwise"))
        return Done(None)

    def cancel(self, id: AttemptId) -> None:
        """Does nothing: an attempt is over when `start` returns."""

    def close(self) -> None:
        """Does nothing: nothing is held."""


def _methods(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return METHODS
    methods = tuple(part.strip().upper() for part in given.split(","))
    return methods if methods and all(method in METHODS for method in methods) else None


def _name(given: Value) -> str | None:
    if given is not None and not (isinstance(given, str) and given.strip()):
        raise Raised(error_value("type", "--name takes a name, such as --name ci"))
    return given


def _expiry(requested_at_ms: int, ttl: Duration | None) -> int | None:
    return None if ttl is None else requested_at_ms + ttl.milliseconds


def _holds_secret(value: Value) -> bool:
    if type(value) is dict:
        return any(map(_holds_secret, value.values()))
    return any(map(_holds_secret, value)) if type(value) is list else isinstance(value, Secret)
