"""What goes into a process from a stream: another connector's items, which are lines, written as fast as it reads.

The source is an attempt of that connector under the same id, which nobody else knows; nothing of it is recorded, since
the process could not be gone on with anyway. A crash of ours must not look like the end of the input: between our pipe
and the first stage stands a stage more (`stage`), which ends only where a file, made before we close the pipe, says
that this is the end. Else it keeps the pipe open, and whoever takes over ends the process: it is `lost`.

When the reader has ended, the source is cancelled, and that is no failure. When the source fails, what came before is
written, and the process is ended without having seen the end of its input.
"""

from __future__ import annotations

import os
from collections import deque
from threading import get_ident

from fmsh.connectors import spool, wrapper
from fmsh.connectors.base import Done, Failed, Items
from fmsh.connectors.ticking import Ticker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.connectors.base import AttemptId, Outcome
    from fmsh.connectors.running import Running
    from fmsh.values import ErrorValue, Value

PAUSES_S = (0.001, 0.1)  # until a pipe has room, items come from another thread, or the reader is gone
WRITE_BYTES = 256 * 1024
PIPE_BYTES = 1 << 20
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
# $1: the directory of the attempt, $2 cat, $3 sleep. A signal to end is for all of the process: this stage, whose end
# would look like the end of the input, goes after the one that reads it, of which `status.new` tells. It says when it
# is ready for such a signal: before, nobody sends one because the source failed.
GO_LAST = (
    'trap "" TERM INT; while :; do'
    ' while read -r index status; do [ "$index" != 1 ] || exit 143; done < "$1/status.new"; "$3" 0.05; done'
)
PASS_ON = (
    f"exec 2> /dev/null; trap '{GO_LAST}' TERM INT; : > \"$1/{spool.READY_MARK}\"; "
    f'"$2" || exit; [ -e "$1/{spool.END_MARK}" ] || while :; do "$3" 86400; done'
)


def stage(directory: str) -> Sequence[str]:
    """The command of the stage that reads our pipe."""
    return [wrapper.SHELL, "-c", PASS_ON, "fmsh-feed", directory, wrapper.program("cat"), wrapper.program("sleep")]


def open_pipe(directory: str) -> tuple[int, int]:
    """Makes the pipe of a fresh attempt: what the first stage reads, and what we write. Raises: OSError."""
    for mark in (spool.READY_MARK, spool.END_MARK):
        if os.path.exists(f"{directory}/{mark}"):
            os.unlink(f"{directory}/{mark}")
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(write_end, False)
    try:
        import fcntl

        fcntl.fcntl(write_end, SET_PIPE_SIZE, PIPE_BYTES)
    except OSError:  # more than this user may have: it is smaller, and that is all
        pass
    return read_end, write_end


class Feed:
    """The input of one running attempt. `sources` gives a connector by name; `fail` is called with `failure` set."""

    def __init__(
        self,
        running: Running,
        fd: int,
        sources: Callable[[str], Any],
        *,
        after: Callable[[float, Callable[[], None]], object],
        fail: Callable[[], None],
    ) -> None:
        self.failure: ErrorValue | None = None
        self._id = running.attempt.id
        self._fd = fd
        self._directory = running.directory
        self._fail = fail
        self._arrived: deque[Outcome | Items] = deque()
        self._pending = memoryview(b"")
        self._position: Value = None
        self._is_asked = self._is_over = False
        self._thread = get_ident()
        self._ticker = Ticker(after, self._look, PAUSES_S)
        arguments = dict(running.attempt.arguments["input"]["fed"])
        connector, operation = arguments.pop("source")
        self._source = sources(connector)
        arguments["output"] = "stream"
        make_chain = running.attempt.make_input
        inner = {"operation": operation, "arguments": arguments, "make_chain": make_chain, "position": None}
        self._source.start(running.attempt.replace(**inner, terminal=None), self._post)
        self._ticker.soon()

    def close(self) -> None:
        """Lets go of it; a process that still runs does not take that for the end of its input."""
        self._ticker.stop()
        if not self._is_over:
            self._is_over = True
            self._source.cancel(self._id)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _post(self, _id: AttemptId, answer: Outcome | Items) -> None:
        """From any thread."""
        self._arrived.append(answer)
        if get_ident() == self._thread:
            self._ticker.soon()

    def _look(self) -> bool | None:
        """Writes what there is, and asks for more when all is written."""
        if self._fd < 0:
            return None
        while self._arrived:
            self._take(self._arrived.popleft())
        try:
            if self._pending:
                self._pending = self._pending[os.write(self._fd, self._pending[:WRITE_BYTES]) :]
                return True
        except BlockingIOError:
            return self._is_read()
        except BrokenPipeError:
            self._end()
            return None
        if self.failure is not None:
            if not os.path.exists(f"{self._directory}/{spool.READY_MARK}"):
                return self._is_read()
            self._fail()
            return None
        if self._is_over:
            self._end()
            return None
        if not self._is_asked:
            self._is_asked = True
            self._source.read(self._id, self._position)
        return self._is_read()

    def _is_read(self) -> bool | None:
        """Nothing can be done now, which is the end where nobody reads any more."""
        if spool.ended_stages(self._directory) & {0, 1}:  # our own stage, or the one that reads it
            self._end()
            return None
        return False

    def _take(self, answer: Outcome | Items) -> None:
        self._is_asked = False
        if isinstance(answer, Items):
            self._position = answer.position
            text = "".join(answer.items)  # its last stage makes lines
            self._pending = memoryview(text.encode("utf-8", "surrogateescape"))
            return
        self._is_over = True
        if isinstance(answer, Failed):
            self.failure = answer.error
        else:
            assert isinstance(answer, Done), answer

    def _end(self) -> None:
        """The input ends here: the source has, or the reader."""
        os.close(os.open(f"{self._directory}/{spool.END_MARK}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.close()
