"""HTTP out: operation "request" of the connector "http".

Arguments: `method`, `url` (text or secret), `headers`, `query` (records), `timeout` (a duration for one attempt with
all its redirects; 30 s; where a file is moved the time in which nothing does), `retries` (further tries, 2), `full`,
`follow` (true), `pages`, `auth`, `ok` (statuses that raise nothing), `insecure`, `secret` (the paths of the answer
that are secret, or true: all of it), `save` (a path that the body of a good answer goes to); and of the body `body`
(any value), `form`, `multipart` (records), `attach` (a record of paths) or `file` (a path). Only `method` and `url`
must be there. Proxies are those that the environment of the attempt names. With `output`, "fold" or "stream", the
answer is read as a stream of values (`http_stream`).

Each attempt runs on one of at most 64 worker threads. A watchdog thread answers an attempt whose time is up, and
`cancel` a cancelled one, even where its worker is stuck (looking up a name cannot be interrupted). Who answers first
wins; a worker that comes too late finds that out. A stream has a thread of its own, for it may last for days. All
threads are daemons: nothing keeps the process from exiting.
"""

from __future__ import annotations

import time
from functools import partial
from threading import Lock, Thread

from fmsh.connectors import http_answer, http_message
from fmsh.connectors.base import AttemptId, Cancelled, Done, Failed, Items
from fmsh.connectors.http_cookies import Cookies
from fmsh.connectors.http_proxy import proxy_for
from fmsh.connectors.http_threads import Watchdog, Workers
from fmsh.connectors.http_transport import Enough, Line, Route, Transport, TransportError
from fmsh.connectors.sealing import hide_echoes, seal_all, seal_paths
from fmsh.values import Duration, Raised, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.connectors.base import Attempt, Outcome, Post
    from fmsh.connectors.http_answer import Answer, Policy, Progress
    from fmsh.connectors.http_message import Outgoing
    from fmsh.connectors.http_save import Download
    from fmsh.connectors.http_stream import ValueStream
    from fmsh.connectors.sealing import Seal
    from fmsh.values import Secret, Value

REDIRECTS_MAX = 10
PAGES_MAX = 1000
TIMEOUT_DEFAULT = Duration(30 * 10**9)
REDIRECT_STATUSES = frozenset((301, 302, 303, 307, 308))


class Exchange:
    """One attempt. `answer` hands over its outcome: the first one counts, and says so."""

    __slots__ = (
        "_is_answered",
        "_lock",
        "cookies",
        "download",
        "environment",
        "follows",
        "id",
        "is_insecure",
        "line",
        "outgoing",
        "policy",
        "post",
        "seal",
        "secret_paths",
        "stream",
        "timeout",
    )

    def __init__(self, attempt: Attempt, post: Post, outgoing: Outgoing, policy: Policy) -> None:
        arguments = attempt.arguments
        follow = arguments.get("follow")
        self.id = attempt.id
        self.post = post
        self.outgoing = outgoing
        self.policy = policy
        self.timeout: Duration = arguments.get("timeout") or TIMEOUT_DEFAULT
        self.follows = follow is None or bool(follow)
        self.is_insecure = bool(arguments.get("insecure"))
        self.secret_paths = arguments.get("secret")  # True: all of the answer
        self.download: Download | None = None
        self.stream: ValueStream | None = None
        self.seal: Seal | None = None  # set where the answer may hold a secret
        self.environment: dict[str, str] = {}  # what it says of proxies
        self.cookies = Cookies({}, str)
        self.line = Line(float("inf"))
        self._is_answered = False
        self._lock = Lock()

    def begin(self) -> None:
        """Its time begins; where a file is moved it is that in which nothing does."""
        self.line.silence_s = self.timeout.seconds if self.streams else 0.0
        self.line.begin(time.monotonic() + self.timeout.seconds)

    def hand_over(self, items: Items) -> None:
        if not self.is_answered:
            made = items.items if self.seal is None else hide_echoes(items.items, self.outgoing.secrets, self.seal)
            self.post(self.id, Items(made, items.position))

    def answer(self, outcome: Outcome | None) -> bool:
        """`None`: dropped without an outcome."""
        with self._lock:
            if self._is_answered:
                return False
            self._is_answered = self.line.is_over = True
        if outcome is not None:
            self.post(self.id, outcome)
        return True

    @property
    def is_answered(self) -> bool:
        return self._is_answered

    @property
    def streams(self) -> bool:
        """Whether it moves a file, which takes as long as it takes: then the time-out is one of silence."""
        body = self.outgoing.body
        return self.download is not None or (body is not None and body.whole is None)


class HttpConnector:
    """Sends requests. `reveal` gives the text of a secret, `sealer` what makes one of a text in any thread.

    Both are called in `start`, in the caller's thread; so is `on_file`, for each attempt that moves a file, with its
    name and its progress.
    """

    def __init__(
        self,
        reveal: Callable[[Secret], str],
        sealer: Callable[[], Seal],
        transport: Transport | None = None,
        on_file: Callable[[str, Progress], object] | None = None,
    ) -> None:
        self._reveal = reveal
        self._sealer = sealer
        self._on_file = on_file
        self._transport = transport or Transport()
        self._exchanges: dict[AttemptId, Exchange] = {}
        self._lock = Lock()
        self._work = Workers(self._run)
        self._watchdog = Watchdog(self._time_is_up)

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == "request", attempt.operation
        try:
            policy = http_answer.policy_of(attempt.arguments, attempt.is_once)
            outgoing = http_message.build(attempt.arguments, attempt.idempotency_key, self._reveal, attempt.directory)
            proxies = _proxy_variables(attempt, self._reveal)
            download = _download(attempt)
        except Raised as failure:
            return post(attempt.id, Failed(failure.error))
        if attempt.is_resumed and attempt.is_once:
            reason = "fmsh ended while it was in flight, so it is not known whether it was done, and it stands in once"
            return post(attempt.id, http_answer.failed_for_good(outgoing, "lost", reason))
        exchange = Exchange(attempt, post, outgoing, policy)
        exchange.environment, exchange.download = proxies, download
        if attempt.kept:
            exchange.cookies = Cookies(attempt.kept, self._reveal)
        if outgoing.secrets or exchange.secret_paths is not None:
            exchange.seal = self._sealer()
        if attempt.make_chain is not None:
            exchange.stream = _stream(attempt, exchange)
        with self._lock:
            self._exchanges[attempt.id] = exchange
        if exchange.stream is not None:
            return Thread(target=self._run_stream, args=(exchange,), name="fmsh-http-stream", daemon=True).start()
        if exchange.streams and self._on_file is not None:
            self._on_file(_file_name(attempt.arguments), exchange.line)
        return self._work.put(exchange)

    def read(self, id: AttemptId, position: Value) -> None:
        """Asks a stream for its next items, which are those after its position."""
        with self._lock:
            exchange = self._exchanges.get(id)
        if exchange is not None and exchange.stream is not None:
            exchange.stream.ask()

    def forget(self, id: AttemptId) -> None:
        """Leaves a stream to somebody else."""
        self._end(id, None)

    def cancel(self, id: AttemptId) -> None:
        self._end(id, Cancelled())

    def _end(self, id: AttemptId, outcome: Outcome | None) -> None:
        with self._lock:
            exchange = self._exchanges.get(id)
        if exchange is not None and self._finish(exchange, outcome):
            self._cut(exchange)

    def close(self) -> None:
        with self._lock:
            exchanges = list(self._exchanges.values())
        for exchange in exchanges:
            if self._finish(exchange, None):
                self._cut(exchange)
        self._work.close()
        self._watchdog.close()
        self._transport.close()

    def _finish(self, exchange: Exchange, outcome: Outcome | None) -> bool:
        """Answers an attempt, if nobody did so yet."""
        with self._lock:
            if self._exchanges.get(exchange.id) is exchange:
                del self._exchanges[exchange.id]
        if isinstance(outcome, Done | Failed):
            kept = partial(exchange.cookies.changes, self._sealer)
            outcome = outcome.replace(timings=exchange.line.timings(), kept=kept)
        return exchange.answer(outcome)

    def _cut(self, exchange: Exchange) -> None:
        """Frees the worker of an answered attempt; one that is stuck in a name look-up is not counted any more."""
        exchange.line.cut()
        if exchange.stream is not None:
            exchange.stream.wake()
        self._work.abandon(exchange)

    def _time_is_up(self, exchange: Exchange) -> None:
        if not exchange.is_answered and self._finish(exchange, _timed_out(exchange)):
            self._cut(exchange)

    def _run(self, exchange: Exchange) -> None:
        """What a worker does with an attempt."""
        if exchange.is_answered:
            return
        exchange.begin()
        self._watchdog.add(exchange)
        try:
            outcome = _without_secrets(exchange, _saved(exchange, self._outcome(exchange)))
        except Exception as error:  # the border: whatever goes wrong here must be answered
            outcome = http_answer.failed_for_good(exchange.outgoing, "network", f"{type(error).__name__}: {error}")
        finally:
            if exchange.download is not None:
                exchange.download.abandon()
        self._finish(exchange, outcome)

    def _run_stream(self, exchange: Exchange) -> None:
        """What the thread of a stream does: one answer after another."""
        stream = exchange.stream
        assert stream is not None
        try:
            outcome = stream.before_all()
            while outcome is None and not exchange.is_answered:
                exchange.begin()
                self._watchdog.add(exchange)
                outcome = stream.ended(*self._stretch(exchange, stream.next_request()))
            outcome = outcome and _without_secrets(exchange, outcome)
        except Exception as error:  # the border, as above
            outcome = http_answer.failed_for_good(exchange.outgoing, "network", f"{type(error).__name__}: {error}")
        self._finish(exchange, outcome)

    def _stretch(self, exchange: Exchange, outgoing: Outgoing) -> tuple[Outcome | None, int | None]:
        """One answer of a stream, as far as it came or was wanted: what it would come to by itself, and its status."""
        try:
            outgoing, answer = self._final_answer(exchange, outgoing)
        except _NoAnswer as failure:
            return failure.outcome, None
        except Enough:
            return None, None
        outcome = http_answer.outcome_of(outgoing, answer, exchange.policy, elapsed_ns=0, now_s=time.time())
        return outcome, answer.status

    def _outcome(self, exchange: Exchange) -> Outcome:
        started_ns = time.monotonic_ns()
        policy = exchange.policy
        try:
            outgoing, answer = self._final_answer(exchange, exchange.outgoing)
            elapsed_ns = time.monotonic_ns() - started_ns
            outcome = http_answer.outcome_of(outgoing, answer, policy, elapsed_ns=elapsed_ns, now_s=time.time())
            if policy.has_pages and isinstance(outcome, Done):
                return self._with_pages(exchange, outgoing, answer, outcome)
            return outcome
        except _NoAnswer as failure:
            return failure.outcome

    def _final_answer(self, exchange: Exchange, outgoing: Outgoing) -> tuple[Outgoing, Answer]:
        """The answer after all redirects, and the request that got it. Raises: _NoAnswer."""
        for _ in range(REDIRECTS_MAX + 1):
            try:
                outgoing = exchange.cookies.sent_with(outgoing, time.time())
                route = Route(proxy_for(outgoing.url, exchange.environment), exchange.is_insecure)
                answer = self._transport.exchange(
                    outgoing,
                    route,
                    exchange.line,
                    is_fresh=exchange.policy.is_once,
                    sink=exchange.stream or exchange.download,
                )
                exchange.cookies.take(outgoing.url, answer.cookies, time.time())
                following = _redirect(outgoing, answer) if exchange.follows else None
            except TransportError as error:
                raise _NoAnswer(_failure(exchange, outgoing, error)) from None
            except Raised as failure:
                raise _NoAnswer(_failed(outgoing, failure)) from None
            if following is None:
                return outgoing, answer
            outgoing = following
        reason = f"redirected more than {REDIRECTS_MAX} times (REDIRECTS_MAX), last to {outgoing.shown_url}"
        raise _NoAnswer(http_answer.failed_for_good(exchange.outgoing, "http", reason))

    def _with_pages(self, exchange: Exchange, outgoing: Outgoing, answer: Answer, first: Done) -> Outcome:
        """Joins the first page with those after it. Each has the whole time-out. Raises: _NoAnswer."""
        policy = exchange.policy
        bodies = [http_answer.body_of(first.value, policy)]
        count = len(answer.body)
        try:
            while (address := http_answer.next_page(answer)) is not None:
                if len(bodies) == PAGES_MAX:
                    raise raised("limit", f"there are more than {PAGES_MAX} pages (PAGES_MAX)")
                exchange.line.deadline = time.monotonic() + exchange.timeout.seconds
                following = http_message.redirected(outgoing, 307, http_message.parse_url(address, outgoing.url))
                outgoing, answer = self._final_answer(exchange, following)
                count += len(answer.body)
                if count > http_answer.RESPONSE_BYTES_MAX:
                    raise http_answer.too_large()
                page = http_answer.outcome_of(outgoing, answer, policy, elapsed_ns=0, now_s=time.time())
                if not isinstance(page, Done):
                    return page
                bodies.append(http_answer.body_of(page.value, policy))
            joined = http_answer.joined_pages(bodies, outgoing)
        except Raised as failure:
            return _failed(outgoing, failure)
        return Done(http_answer.with_body(first.value, policy, joined))


class _NoAnswer(Exception):
    """There is no answer to go on with; `outcome` is that of the attempt."""

    def __init__(self, outcome: Failed) -> None:
        super().__init__()
        self.outcome = outcome


def _failed(outgoing: Outgoing, failure: Raised) -> Failed:
    return http_answer.failed_for_good(outgoing, failure.error.kind, failure.error.message)


def _download(attempt: Attempt) -> Download | None:
    """Raises: Raised where the file cannot be written."""
    if attempt.arguments.get("save") is None:
        return None
    from fmsh.connectors.http_save import Download

    return Download(attempt)


def _file_name(arguments: Mapping[str, Value]) -> str:
    """What to call the file that goes up or down."""
    path = arguments.get("save") or arguments.get("file")
    return str(path).rpartition("/")[2] if path is not None else "files"


def _stream(attempt: Attempt, exchange: Exchange) -> ValueStream:
    from fmsh.connectors.http_stream import ValueStream  # few requests are read so

    return ValueStream(
        attempt,
        exchange.outgoing,
        exchange.policy,
        exchange.line,
        hand_over=exchange.hand_over,
        is_wanted=lambda: not exchange.is_answered,
    )


def _saved(exchange: Exchange, outcome: Outcome) -> Outcome:
    """Puts the file in its place after a good answer, unless somebody else has answered meanwhile."""
    if exchange.download is None or not isinstance(outcome, Done) or exchange.is_answered:
        return outcome
    try:
        exchange.download.commit()
    except Raised as failure:
        return _failed(exchange.outgoing, failure)
    return outcome


def _proxy_variables(attempt: Attempt, reveal: Callable[[Secret], str]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else reveal(value)
        for name, value in attempt.environment.items()
        if name.lower().endswith("_proxy")
    }


def _redirect(outgoing: Outgoing, answer: Answer) -> Outgoing | None:
    """The request that a redirect asks for; None if it is none. Raises: Raised for an address that makes no sense."""
    location = answer.headers.get("location")
    if answer.status not in REDIRECT_STATUSES or not location:
        return None
    url = http_message.parse_url(location, outgoing.url)
    return http_message.redirected(outgoing, answer.status, url)


def _without_secrets(exchange: Exchange, outcome: Outcome) -> Outcome:
    """The outcome with references in the place of what is secret in it."""
    seal, outgoing = exchange.seal, exchange.outgoing
    if seal is None:
        return outcome
    if isinstance(outcome, Failed):
        return outcome.replace(error=hide_echoes(outcome.error, outgoing.secrets, seal))  # type: ignore[no-any-return]
    if not isinstance(outcome, Done):
        return outcome
    value, paths = outcome.value, exchange.secret_paths
    if paths is not None and value is not None:
        try:
            body = _seal_body(http_answer.body_of(value, exchange.policy), paths, seal)
            value = http_answer.with_body(value, exchange.policy, body)
        except Raised as failure:
            return _failed(outgoing, failure)
    return Done(hide_echoes(value, outgoing.secrets, seal))


def _seal_body(body: Value, paths: Value, seal: Seal) -> Value:
    if paths is True:
        return seal_all(body, seal)
    return seal_paths(body, [paths] if isinstance(paths, str) else paths, seal)


def _failure(exchange: Exchange, outgoing: Outgoing, error: TransportError) -> Failed:
    if error.is_final:
        return http_answer.failed_for_good(outgoing, "network", error.reason)
    if error.is_timeout:
        return _timed_out(exchange)
    return http_answer.no_answer(outgoing, exchange.policy, exchange.line, kind="network", reason=error.reason)


def _timed_out(exchange: Exchange) -> Failed:
    what = "no whole answer" if exchange.line.was_sent else "no connection"
    reason = f"{what} within {exchange.timeout}; if it needs longer, give it --timeout"
    return http_answer.no_answer(exchange.outgoing, exchange.policy, exchange.line, kind="timeout", reason=reason)
