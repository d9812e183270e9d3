"""What every verb works with, and how it writes: people's text, bytes of processes, one JSON document."""

from __future__ import annotations

from fmsh.builtins.text import plain_json
from fmsh.errors import DaemonError
from fmsh.render import passing
from fmsh.render.cells import cut, harmless
from fmsh.retention import Limits
from fmsh.values import text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO

    from fmsh.machine.code import Program
    from fmsh.store.base import EventStore, Job, NewProgram


PIPE_CELLS = 100_000
TERMINAL_CELLS = 80  # where a terminal does not say


class Desk:
    """The store, the directory with what processes wrote, and the streams.

    `load_program` compiles a stored program, for the places of its nodes; without it places are null. `start_daemon`
    sees to it that jobs which nobody holds are run, and raises DaemonError if it may not, or cannot; `daemon_state`
    says whether it `runs`, was `stopped`, or `died`. `limits` gives how long things are kept. `keep_secret` keeps a
    text under a name in the store's vault.
    """

    __slots__ = (
        "_daemon_state", "_limits", "_passing", "_start_daemon", "fx_directory", "is_json", "keep_secret",
        "load_program", "stderr", "stdout", "store",
    )  # fmt: skip

    def __init__(
        self,
        store: EventStore,
        *,
        fx_directory: str,
        stdout: TextIO,
        stderr: TextIO,
        is_json: bool = False,
        load_program: Callable[[NewProgram], Program] | None = None,
        start_daemon: Callable[[EventStore], None] | None = None,
        daemon_state: Callable[[], str] | None = None,
        limits: Callable[[], Limits] | None = None,
        keep_secret: Callable[[EventStore, str, str], None] | None = None,
    ) -> None:
        self.store = store
        self.fx_directory = fx_directory
        self.stdout = stdout
        self.stderr = stderr
        self.is_json = is_json
        self.load_program = load_program
        self.keep_secret = keep_secret
        self._start_daemon = start_daemon
        self._daemon_state = daemon_state
        self._limits = limits
        self._passing = ""  # the line that goes away, while it is shown

    @property
    def limits(self) -> Limits:
        return Limits(None, None, None) if self._limits is None else self._limits()

    def see_to(self, job: Job) -> None:
        """Starts the daemon for a job that nobody holds; says so if that cannot be."""
        if self._start_daemon is None or (job.owner_id is not None and self.store.is_alive(job.owner_id)):
            return
        try:
            self._start_daemon(self.store)
        except DaemonError as problem:
            self.note(f"nobody runs job {job.id}, and it stays as it is until an fmsh does: {problem.message}")

    def daemon_state(self) -> str:
        """Whether the daemon `runs`, was `stopped`, or `died`; it runs as far as is known where nobody can tell."""
        return "runs" if self._daemon_state is None else self._daemon_state()

    @property
    def color(self) -> bool:
        import os

        return self.stdout.isatty() and not os.environ.get("NO_COLOR")

    @property
    def width(self) -> int:
        """The cells of a line: `COLUMNS`, else the terminal's; a pipe takes lines of any length."""
        import os

        columns = os.environ.get("COLUMNS", "")
        if columns.isascii() and columns.isdigit() and int(columns) > 0:
            return int(columns)
        if not self.stdout.isatty():
            return PIPE_CELLS
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or TERMINAL_CELLS
        except OSError:
            return TERMINAL_CELLS

    def say(self, text: str) -> None:
        """Writes text of our own, made visible already, to standard output."""
        self.stdout.write(text)

    def note(self, text: str) -> None:
        """Writes a line for people to standard error."""
        self.clear()
        self.stderr.write(f"fmsh: {text}\n")
        self.stderr.flush()

    def meanwhile(self, text: str) -> None:
        """Shows, at a terminal, a line that goes away when something else is written here; without a text none."""
        import os

        if text == self._passing or self.is_json or os.environ.get("TERM", "dumb") in ("dumb", ""):
            return
        if not (self.stdout.isatty() and self.stderr.isatty()):
            return
        self.clear()
        if text:
            width = self.width
            self.stderr.write(passing.drawn(cut(text, passing.room(width)), width, color=self.color))
            self.stderr.flush()
            self._passing = text

    def clear(self) -> bool:
        """Takes away the line of `meanwhile`; says whether there was one."""
        if not self._passing:
            return False
        self._passing = ""
        self.stderr.write(passing.GONE)
        self.stderr.flush()
        return True

    def write_document(self, document: Any) -> None:
        """Writes the one JSON document of `--json`."""
        self.stdout.write(plain_json(document) + "\n")

    def pass_on(self, stream: str, data: bytes | str) -> None:
        """Passes on what a job displayed: bytes of a process as they are, text made visible at a terminal."""
        self.clear()
        target = self.stderr if stream == "err" else self.stdout
        if isinstance(data, str):
            shown = harmless(data) if target.isatty() else data
            data = text_bytes(shown)
        target.flush()
        binary = getattr(target, "buffer", None)
        if binary is None:
            target.write(data.decode("utf-8", "replace"))
        else:
            binary.write(data)
            binary.flush()
