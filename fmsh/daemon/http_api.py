"""The HTTP server of the daemon: callbacks of the world on a TCP port, the user's own programs on a Unix socket.

`HttpServer` binds both sockets, then serves them with uvicorn in one thread, whose event loop never waits for the disk
(`store_thread`). The applications are in `callbacks` and `control`, the bounds on connections in `connections`.

Without an address of the user's choice the port is a free one at first and then kept in the store, because addresses
that were given out must go on working: if it is taken later, the server does not move elsewhere but says so, serves the
Unix socket alone, and tries again each second.
"""

from __future__ import annotations

import asyncio
import threading
from urllib.parse import urlsplit

import uvicorn

from fmsh import configuration
from fmsh.daemon.callbacks import BODY_BYTES_MAX, HostGuard, host_name, public_app
from fmsh.daemon.connections import ConnectionLimits, ConnectionTable, GuardedProtocol
from fmsh.daemon.control import ControlRoutes, Whereabouts, control_app
from fmsh.daemon.metrics import Metrics
from fmsh.daemon.sockets import Address, ControlSocket, address_of, listen_tcp, parse_address
from fmsh.daemon.store_thread import StoreThread
from fmsh.daemon.streams import Ending
from fmsh.daemon.tokens import TokenGuard
from fmsh.errors import DaemonError
from fmsh.record import Record
from fmsh.values import raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from fmsh.daemon.callbacks import Reveal
    from fmsh.daemon.starting import Starting
    from fmsh.store.base import EventStore
    from fmsh.values import Secret

LISTEN_SETTING = "listen"
LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
START_TIMEOUT_S = 20.0
LISTEN_AGAIN_S = 1.0
THREAD_GRACE_S = 0.5  # for the thread to end after the last connection
HEADER_BYTES_MAX = 32 << 10


class HttpSettings(Record):
    """`listen`: HOST:PORT, or None for the kept port of 127.0.0.1. `public_url`: how the world reaches that.

    `note`: what those who find the socket are to know of the daemon without asking it.
    """

    socket_path: str
    version: str
    listen: str | None = None
    public_url: str | None = None
    note: str = ""
    body_bytes_max: int = BODY_BYTES_MAX
    limits: ConnectionLimits = ConnectionLimits()


class HttpServer:
    """Serves from `start` to `stop`. `on_stop` is called, in the server's thread, when the daemon is asked to end.

    `starting` starts jobs for those who ask for them. `reveal` gives the text of a secret with which callers sign, in
    the thread of the store that is given to it.
    """

    def __init__(
        self,
        *,
        settings: HttpSettings,
        open_store: Callable[[], EventStore],
        on_stop: Callable[[], None],
        reveal: Reveal | None = None,
        starting: Starting | None = None,
    ) -> None:
        self._starting = starting
        self._metrics = Metrics(settings.version)
        self._reveal = reveal or _reveal_nothing
        self._settings = settings
        self._open_store = open_store
        self._on_stop = on_stop
        self._control: ControlSocket | None = None
        self._servers: list[_StartingServer] = []
        self._tables: list[ConnectionTable] = []
        self._thread: threading.Thread | None = None
        self._store: StoreThread | None = None
        self._wake: Callable[[], object] | None = None
        self._ending = Ending()
        self._grace_s = 0.0
        self.address: Address | None = None  # where callbacks arrive; None while that cannot be
        self.listen_problem: DaemonError | None = None

    @property
    def public_url(self) -> str:
        """The base of callback addresses, without a slash at its end. Raises: DaemonError while none can arrive."""
        if self.address is None:
            problem = self.listen_problem
            assert problem is not None
            raise DaemonError(f"callbacks cannot arrive: {problem.message}", hint=problem.hint)
        return (self._settings.public_url or f"http://{self.address}").rstrip("/")

    def start(self) -> None:
        """Binds the sockets and starts the thread; returns when they listen, or the public one is known to be taken.

        Raises: DaemonError when another daemon lives or the address makes no sense; StoreError.
        """
        if self._settings.listen is not None:
            parse_address(self._settings.listen)
        _check_public_url(self._settings.public_url)
        self._control = ControlSocket(self._settings.socket_path, note=self._settings.note)
        try:
            self._store = StoreThread(self._open_store)
            kept = self._store.call_and_wait(lambda events: events.setting(LISTEN_SETTING))
            listener = self._listen(kept)
            if listener is not None and self._settings.listen is None and not kept:
                self._store.call_and_wait(lambda events: events.set_setting(LISTEN_SETTING, str(self.address)))
        except BaseException:
            self._close()
            raise
        self._serve(self._store, listener, self._control)

    def expect_stop(self) -> None:
        """Has all who wait here answered at once. New requests are still taken. To be called from anywhere."""
        self._ending.is_near = True

    def stop(self, grace_s: float) -> None:
        """Stops listening, lets requests end for at most `grace_s`, and closes everything."""
        self.expect_stop()
        self._grace_s = grace_s
        if self._wake is not None:
            self._wake()
        if self._thread is not None:
            self._thread.join(grace_s + THREAD_GRACE_S)
            for server in self._servers:
                server.force_exit = True
            self._thread.join(THREAD_GRACE_S)
            self._thread = None
        self._close()

    def _listen(self, kept: str | None) -> socket.socket | None:
        """Gives the public listener at the wanted, the kept or a free address; None where it is taken."""
        wanted = self._settings.listen or kept
        try:
            listener = listen_tcp(parse_address(wanted) if wanted else Address("127.0.0.1", 0))
        except DaemonError as problem:
            self.listen_problem = problem
            return None
        self.address, self.listen_problem = address_of(listener), None
        return listener

    def _serve(self, store: StoreThread, listener: socket.socket | None, control: ControlSocket) -> None:
        callbacks = public_app(
            store, body_bytes_max=self._settings.body_bytes_max, reveal=self._reveal, ending=self._ending
        )
        routes = ControlRoutes(
            store,
            whereabouts=self._whereabouts,
            on_stop=self._on_stop,
            metrics=self._metrics,
            ending=self._ending,
            starting=self._starting,
        )
        own = control_app(routes)
        public = HostGuard(TokenGuard(own, callbacks, store), hosts=self._hosts)
        started = threading.Semaphore(0)
        self._tables = [ConnectionTable(self._settings.limits) for _ in range(2)]
        apps: tuple[tuple[str, ASGIApp], ...] = (("control", own), ("public", public))
        self._servers = [
            _StartingServer(_config(self._metrics.watch(app, side), table), started)
            for (side, app), table in zip(apps, self._tables, strict=True)
        ]
        arguments = (store, control.listener, listener, started)
        self._thread = threading.Thread(target=self._run, args=arguments, name="http", daemon=True)
        self._thread.start()
        expected = self._servers if listener is not None else self._servers[:1]
        for _ in expected:
            started.acquire(timeout=START_TIMEOUT_S)
        if not all(server.started for server in expected):
            self.stop(0.0)
            raise DaemonError("the HTTP server did not start", hint="daemon.log says more.")

    def _run(
        self,
        store: StoreThread,
        control: socket.socket,
        listener: socket.socket | None,
        started: threading.Semaphore,
    ) -> None:
        async def serve_all() -> None:
            stopping, loop = asyncio.Event(), asyncio.get_running_loop()
            self._wake = lambda: loop.is_closed() or loop.call_soon_threadsafe(stopping.set)
            own, public = self._servers
            own.stopping = public.stopping = stopping
            ending = asyncio.create_task(self._end_late_ones(stopping))
            await asyncio.gather(own.serve([control]), self._serve_public(store, public, listener, stopping))
            ending.cancel()

        try:
            asyncio.run(serve_all())
        finally:
            started.release(len(self._servers))  # whoever waits for a start that failed need not wait longer

    async def _serve_public(
        self, store: StoreThread, server: uvicorn.Server, listener: socket.socket | None, stopping: asyncio.Event
    ) -> None:
        """Serves the public listener as soon as it can be had."""
        while listener is None and not stopping.is_set():
            try:
                await asyncio.wait_for(stopping.wait(), LISTEN_AGAIN_S)
            except TimeoutError:
                listener = self._listen(await store.call(lambda events: events.setting(LISTEN_SETTING)))
        if listener is not None:
            await server.serve([listener])

    async def _end_late_ones(self, stopping: asyncio.Event) -> None:
        """Ends the connections whose requests have not ended in time; uvicorn would make faults of them."""
        await stopping.wait()
        await asyncio.sleep(self._grace_s)
        for table in self._tables:
            table.abort_all()

    def _hosts(self) -> frozenset[str]:
        names = set() if self.address is None else {self.address.host.lower()}
        if self._settings.public_url:
            names.add(host_name(urlsplit(self._settings.public_url).netloc.rpartition("@")[2]))
        return LOOPBACK_NAMES | names

    def _whereabouts(self) -> Whereabouts:
        problem = self.listen_problem
        return Whereabouts(
            self._settings.version,
            None if self.address is None else str(self.address),
            None if self.address is None else self.public_url,
            self._settings.socket_path,
            None if problem is None else f"{problem.message}. {problem.hint}",
        )

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._store is not None:
            self._store.close()
            self._store = None


def _check_public_url(text: str | None) -> None:
    """Sees that callbacks get addresses which can be called. Raises: DaemonError."""
    try:
        if text is not None:
            configuration.web_address(text)
    except ValueError as wanted:
        hint = "It is that of FMSH_PUBLIC_URL, or `public_url` in config.toml."
        raise DaemonError(f"the public address must be {wanted}, and is {text!r}", hint=hint) from None


def _reveal_nothing(store: EventStore, secret: Secret) -> str:
    raise raised("secret", "this server has no secrets")


class _StartingServer(uvicorn.Server):
    """Says when it has started, and sleeps until `stopping` is set: uvicorn's own looks ten times a second."""

    stopping: asyncio.Event

    async def main_loop(self) -> None:
        await self.stopping.wait()

    def __init__(self, config: uvicorn.Config, started: threading.Semaphore) -> None:
        super().__init__(config)
        self._said_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._said_started.release()


def _config(app: ASGIApp, table: ConnectionTable) -> uvicorn.Config:
    """Configures uvicorn: our protocol, nothing logged but faults (a path holds a token), no headers believed."""
    return uvicorn.Config(
        app,
        http=GuardedProtocol.for_table(table),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
    )
