"""The directory of one attempt of a process: its locks, its outputs, its status. This is all that survives us.

    fx/<job uid>/<step>-<attempt>/
        wrapper.lock   flock held by the wrapper: it lives
        command.lock   flock held by the wrapper and by the commands that it started: one of them lives
        terms          only where there is no room for it in a file for all: see `terms`
        claim          made with O_EXCL by the wrapper, its first act: pid, boot id and mode
        out, err       what the command wrote, unless it went to the terminal; `out.cut`, `err.cut`: see `cutting`
        status.new     allocated before the start, so that a full disk cannot lose it; a line per stage: index, status;
                       and a line for a Ctrl-C that came while the stages ran or after they had ended
        status         status.new, moved here after the outputs and it itself were synced. Where there are no outputs,
                       and one stage, status.new is the status, though only in the boot in which it was written

A claim counts only if it is whole: it is written before the command is started, so one that was cut short says that
this did not happen. (After a crash of the machine it may be cut or missing all the same; `terms` says if that matters.)

Readers look at the files only; whoever wants to start or settle an attempt takes `wrapper.lock` first. When the outcome
is committed only outputs are kept, and of these only what the outcome does not hold.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from fmsh.values import Value

# A status line is at most "999 255\n"; the least size is one that a file system allocates anyway.
STATUS_BYTES_PER_STAGE = 8
STATUS_BYTES_MIN = 512
INTERRUPTED_BYTES = 32  # two lines
INTERRUPTED_DURING = "INT during"
INTERRUPTED_AFTER = "INT after"
DIED_OF_INTERRUPT = 128 + 2
OUTPUTS = ("out", "err")
END_MARK = "fed"  # made when a process that reads a stream has been given all of it
READY_MARK = "ready"  # made when the stage before such a process outlives a signal to end
STDERR_TAIL_BYTES = 2048  # of what a process says on stderr this much is in its outcome
LOCKS = ("wrapper.lock", "command.lock")
BLOCK_BYTES = 512  # of `st_blocks`, whatever the file system's own are


class SpoolPaths(Record):
    out: str
    err: str


class Claim(Record):
    """Who started the attempt. `mode` is "terminal" or "spool"."""

    pid: int
    boot_id: str
    mode: str


def spool_paths(fx_directory: str, job_uid: str, step: int, attempt: int) -> SpoolPaths:
    """Names the files that hold what a process wrote. They need not exist: its output may have gone to the terminal."""
    directory = attempt_directory(fx_directory, job_uid, step, attempt)
    return SpoolPaths(f"{directory}/out", f"{directory}/err")


def attempt_directory(fx_directory: str, job_uid: str, step: int, attempt: int) -> str:
    return f"{fx_directory}/{job_uid}/{step}-{attempt}"


def unrecorded(directory: str, arguments: Mapping[str, Value], outcome: Value) -> set[str]:
    """Names the outputs of an attempt that its outcome does not hold: what was displayed, and what was too much."""
    recorded = outcome if isinstance(outcome, dict) else {}
    is_streamed = arguments.get("output") in ("fold", "stream")  # then it is consumed
    is_captured = is_streamed or arguments.get("output") == "capture"
    kept = set(OUTPUTS)
    if is_streamed or (is_captured and isinstance(recorded.get("output"), str)):
        kept.discard("out")
    is_told = is_captured or not os.path.exists(f"{directory}/out")  # or was passed on to where the display was not
    if "errors" in recorded or (is_told and recorded and size_of(f"{directory}/err") <= STDERR_TAIL_BYTES):
        kept.discard("err")
    return kept


def settle(directory: str, *, kept: Collection[str]) -> None:
    """Removes what nobody needs of an attempt once its outcome is committed: all but the outputs that are `kept`."""
    try:
        names = os.listdir(directory)
        for name in names:
            if name.removesuffix(".cut") not in kept:
                os.unlink(f"{directory}/{name}")
        if not any(name.removesuffix(".cut") in kept for name in names):
            os.rmdir(directory)
            os.rmdir(os.path.dirname(directory))
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def job_directory(fx_directory: str, job_uid: str) -> str:
    return f"{fx_directory}/{job_uid}"


def remove_job(fx_directory: str, job_uid: str, *, is_kept: Callable[[int], bool] | None = None) -> int:
    """Removes what is left of a job's attempts, but those of steps that are kept; gives the bytes that became free.

    An attempt whose wrapper or command still runs stays.
    """
    directory = job_directory(fx_directory, job_uid)
    freed = 0
    for name in _names_in(directory):
        step = name.partition("-")[0]
        if is_kept is None or (step.isdigit() and not is_kept(int(step))):
            freed += _remove_attempt(f"{directory}/{name}")
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ENOTDIR):
            raise
    return freed


def _names_in(directory: str) -> list[str]:
    """Lists a directory; nothing if it is none, or a link to one, which is not ours."""
    try:
        return [] if os.path.islink(directory) else os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_attempt(directory: str) -> int:
    is_running = any(os.path.exists(f"{directory}/{name}") and is_locked(directory, name) for name in LOCKS)
    return 0 if is_running else _remove_tree(directory)


def _remove_tree(path: str) -> int:
    """Removes a file or directory with all that is in it, following no link; gives the bytes that became free."""
    try:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(path)
            return found.st_blocks * BLOCK_BYTES
        freed = sum(_remove_tree(f"{path}/{name}") for name in _names_in(path))
        os.rmdir(path)
        return freed + found.st_blocks * BLOCK_BYTES
    except OSError as error:  # somebody else removes it too, or something has just been put there
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise
        return 0


def make_directory(directory: str) -> None:
    """Makes the directory of an attempt and those above it. One that exists is fine."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_directory(os.path.dirname(directory))
        make_directory(directory)


def take_lock(directory: str, name: str) -> int | None:
    """Takes an flock without waiting: the descriptor that holds it, or None where somebody else does."""
    fd = os.open(f"{directory}/{name}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_locked(directory: str, name: str) -> bool:
    """Whether somebody holds a lock. It is had for a moment to find out, so only the settler of an attempt may ask."""
    fd = take_lock(directory, name)
    if fd is not None:
        os.close(fd)
    return fd is None


def read_claim(directory: str) -> Claim | None:
    """Reads who started the attempt; None if nobody did."""
    words = read_whole_words(f"{directory}/claim")
    if words is None or len(words) != 3 or not words[0].isdigit():
        return None
    return Claim(int(words[0]), words[1], words[2])


def clear_claim(directory: str) -> None:
    """Removes a claim that was cut short, which would keep the wrapper from its own. Only with `wrapper.lock` held."""
    try:
        os.unlink(f"{directory}/claim")
    except FileNotFoundError:
        pass


def allocate_status(directory: str, stage_count: int) -> int:
    """Makes `status.new` with room for a line per stage, and gives its descriptor. Raises: OSError on a full disk."""
    size = max(STATUS_BYTES_MIN, STATUS_BYTES_PER_STAGE * stage_count + INTERRUPTED_BYTES)
    fd = os.open(f"{directory}/status.new", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        else:
            os.pwrite(fd, bytes(size), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_statuses(directory: str, stage_count: int) -> list[int] | None:
    """Reads the status of each stage; None while the attempt goes on. A stage whose reporter was killed has 137."""
    found = _read_lines(f"{directory}/status")
    return None if found is None else [found.get(index, 137) for index in range(stage_count)]


def adopt_statuses(directory: str, stage_count: int, *, is_kept: bool = True) -> list[int] | None:
    """Finishes the work of a wrapper that ended without moving the status.

    Only with `wrapper.lock` held, and only in the boot in which the attempt ran: then every line is as it was written.
    `is_kept`: also for another boot. If not, nothing is synced where there are no outputs.
    """
    found = _read_lines(f"{directory}/status.new")
    if found is None or len(found) < stage_count:
        return None
    if not is_kept and not any(os.path.exists(f"{directory}/{name}") for name in OUTPUTS):
        return [found[index] for index in range(stage_count)]
    for name in ("out", "err", "status.new"):
        _sync(f"{directory}/{name}")
    os.rename(f"{directory}/status.new", f"{directory}/status")
    return [found[index] for index in range(stage_count)]


def written_statuses(directory: str) -> list[int]:
    """Reads the statuses that a wrapper that still lives has written."""
    return list((_read_lines(f"{directory}/status.new") or {}).values())


def ended_stages(directory: str) -> set[int]:
    """Which stages of a pipeline have ended, while its wrapper lives."""
    return set(_read_lines(f"{directory}/status.new") or {})


def was_interrupted(directory: str) -> bool:
    """Whether a Ctrl-C at the terminal ended the attempt, or came too late to end it.

    One that came while it ran, and that a stage did not die of, was for that stage to deal with.
    """
    path = f"{directory}/status" if os.path.exists(f"{directory}/status") else f"{directory}/status.new"
    try:
        with open(path, "rb") as file:
            lines = file.read().decode("latin-1").split("\n")
    except FileNotFoundError:
        return False
    died = DIED_OF_INTERRUPT in (_read_lines(path) or {}).values()
    return INTERRUPTED_AFTER in lines or (INTERRUPTED_DURING in lines and died)


def read_whole_words(path: str) -> Sequence[str] | None:
    """Reads a line; None if there is none, or no whole one."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            line = file.read()
    except FileNotFoundError:
        return None
    return line.split() if line.endswith("\n") else None


def size_of(path: str) -> int:
    """Gives the length of a file; 0 if there is no such file."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def read_text(path: str) -> str:
    """Reads a file that is to become a value."""
    with open(path, "rb", buffering=0) as file:
        return file.read().decode("utf-8", "surrogateescape")


def read_tail(path: str, size: int) -> bytes:
    """Reads the last `size` bytes of a file; nothing if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(fd, size, max(0, os.fstat(fd).st_size - size))
    finally:
        os.close(fd)


def _read_lines(path: str) -> dict[int, int] | None:
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    pairs = [line.split() for line in lines[:-1] if line[:1].isdigit()]
    return {int(pair[0]): int(pair[1]) for pair in pairs if len(pair) == 2}


def _sync(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
