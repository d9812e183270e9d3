"""The daemon's process: an engine that serves all jobs that are detached, waiting or orphaned, and the HTTP server.

TERM and INT mean: hand everything back, cancel nothing, end within 2 s. What happens is written to `daemon.log`, one
JSON object a line. When a newer fmsh has migrated the store, the process becomes the fmsh that is installed now: mostly
that is the newer one, and otherwise it says what it cannot open, and ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import fmsh
from fmsh.assembly import Assembly
from fmsh.daemon import activate
from fmsh.daemon.http_api import HttpServer, HttpSettings
from fmsh.daemon.keeping import Keeper
from fmsh.daemon.starting import Starting
from fmsh.errors import ConnectorError, DaemonError, FmshError, StoreTooNew
from fmsh.secrets import Secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from fmsh.errors import StoreError
    from fmsh.settings import Settings

STOP_GRACE_S = 0.3  # for requests that are being answered; those that wait were told when the jobs were
SWITCH_INTERVAL_S = 0.0005  # so that a job that only computes does not keep the HTTP server waiting; Python has 5 ms
LOG_BYTES_MAX = 4 << 20
LOG_FILES_MAX = 3
INHERITED_FDS_MAX = 1024  # by whom we were started; shells rarely use numbers above 9


class Log:
    """The daemon's log: rotated, private, safe to call from any thread. Raises: DaemonError: it cannot be written."""

    def __init__(self, path: str) -> None:
        import logging.handlers

        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        except OSError as fault:
            raise DaemonError(f"{path} cannot be written: {os.strerror(fault.errno or 0).lower()}") from fault
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES_MAX)
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger = logging.Logger("fmsh.daemon")
        self._logger.addHandler(handler)

    def write(self, event: str, **fields: object) -> None:
        import json
        from datetime import UTC, datetime

        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._logger.info(json.dumps({"at": at, "event": event, "pid": os.getpid(), **fields}, default=str))


def run(settings: Settings) -> int:
    """Serves until it is asked to stop. Raises: StoreError, DaemonError when it cannot begin."""
    os.chdir("/")  # where it was started must stay free to be unmounted, and its pipes to be closed
    os.closerange(3, INHERITED_FDS_MAX)
    umask = os.umask(0o077)  # that of our user, for the commands of jobs that have none of their own
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stopping = threading.Event()
    server: HttpServer | None = None

    def callback_url() -> str:
        assert server is not None
        try:
            return server.public_url
        except DaemonError as error:
            raise ConnectorError(error.message, hint=error.hint) from error

    assembly = Assembly(
        settings, kind="daemon", callback_url=callback_url, report=_report, stalled=_stalled, umask=umask
    )
    log = Log(settings.log_path)

    def stop() -> None:
        stopping.set()
        assert server is not None
        server.expect_stop()
        keeper.expect_stop()
        assembly.engine.wake()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop()

    http_settings = HttpSettings(
        settings.socket_path, fmsh.__version__, settings.listen, settings.public_url, activate.our_note(settings)
    )
    server = HttpServer(
        settings=http_settings,
        open_store=assembly.store.reopen,
        on_stop=stop,
        reveal=lambda store, secret: Secrets(store, settings.key_path).reveal(secret),
        starting=Starting(assembly, umask),
    )
    keeper = Keeper(assembly.store.reopen, settings.fx_directory, log.write)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    is_outdated = False
    try:
        server.start()
        keeper.start()
        problem = server.listen_problem
        listen = str(server.address) if problem is None else problem.message
        log.write("started", version=fmsh.__version__, listen=listen)
        assembly.engine.serve(stopping.is_set)
    except StoreTooNew as error:
        is_outdated = True
        log.write("outdated", message=error.message)
    except FmshError as error:
        log.write("failed", message=error.message, hint=error.hint)
        raise
    finally:
        keeper.stop(STOP_GRACE_S)
        server.stop(STOP_GRACE_S)
        assembly.close()
        log.write("stopped")
    if is_outdated:
        os.umask(umask)
        os.execv(sys.executable, [sys.executable, "-m", "fmsh", "daemon", "run"])
    return 0


def _report(text: str) -> None:
    sys.stderr.write(text + "\n")


def _stalled(error: StoreError | None) -> None:
    sys.stderr.write("the store takes commits again\n" if error is None else f"waiting: {error.message}\n")
