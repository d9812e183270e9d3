"""The answers to what a job observes: the clock, randomness, files and homes. A replay sees the same.

An observation cannot fail in the machine's eyes but by `Raised`, which becomes an error of the program.
"""

from __future__ import annotations

import os
import stat

from fmsh.values import raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.values import Value


def observe(operation: str, arguments: dict[str, Value]) -> Value:
    """Answers one question. Raises: Raised when it has no answer (a pattern without a match, a missing directory)."""
    return _ANSWERS[operation](arguments)


def _now(arguments: dict[str, Value]) -> Value:
    from datetime import datetime

    return datetime.now().astimezone()


def _random(arguments: dict[str, Value]) -> Value:
    import random

    system = random.SystemRandom()
    start, end = arguments.get("from"), arguments.get("to")
    if start is None:
        return system.random()
    if end is None:
        start, end = 0, start
    if type(start) is not int or type(end) is not int or start > end:
        raise raised("type", "random takes two whole numbers, the smaller first", hint="such as `random 1 6`")
    return system.randint(start, end)


def _uuid(arguments: dict[str, Value]) -> Value:
    import uuid

    return str(uuid.uuid4())


def _home(arguments: dict[str, Value]) -> Value:
    user = arguments["user"]
    found = _of_home(f"~{user}", arguments)
    if found.startswith("~"):
        raise raised("name", f"there is no user {user!r}", hint="quote the ~ if it is meant as it is")
    return found


def _of_home(path: str, arguments: dict[str, Value]) -> str:
    """Puts a home for the `~` that a path begins with: the job's own, or that of a user."""
    user, slash, rest = path.partition("/")
    if user == "~" and arguments.get("HOME"):
        return f"{arguments['HOME']}{slash}{rest}"
    return os.path.expanduser(path)


def _directory(arguments: dict[str, Value]) -> Value:
    """The absolute path of a directory to change to, from the task's own; `-` is the one before."""
    wanted = arguments["path"]
    if wanted == "-":
        wanted = arguments.get("OLDPWD")
        if wanted is None:
            raise raised("path", "there is no directory before this one", hint="`cd -` goes back to it")
    path = os.path.normpath(os.path.join(arguments["base"], _of_home(wanted, arguments)))
    if not os.path.isdir(path):
        kind = "is not a directory" if os.path.exists(path) else "does not exist"
        raise raised("path", f"cannot change to {arguments['path']}: it {kind}")
    return path


def _glob(arguments: dict[str, Value]) -> Value:
    import glob

    pattern, base = arguments["pattern"], arguments["base"]
    found = sorted(glob.glob(pattern, root_dir=base, recursive="**" in pattern))
    if not found:
        raise raised("glob", f"no path matches {pattern}", hint="quote it if it is meant as it is")
    return found


def _absolute(arguments: dict[str, Value]) -> Value:
    return os.path.normpath(os.path.join(arguments["base"], arguments["path"]))


def _exists(arguments: dict[str, Value]) -> Value:
    path = arguments["path"]
    return path != "" and os.path.exists(os.path.join(arguments["base"], path))


def _program(arguments: dict[str, Value]) -> Value:
    """The path of the program that a command would run, or null; PATH as the job has it."""
    name, base = arguments["name"], arguments["base"]
    places = [""] if "/" in name else (arguments["path"] or os.defpath).split(os.pathsep)
    for place in places:
        found = os.path.join(base, place, name)
        if name and "\0" not in found and os.path.isfile(found) and os.access(found, os.X_OK):
            return os.path.normpath(found)
    return None


READ_BYTES_MAX = 256 * 1024 * 1024  # what may become a value, as for the output of a command


def _read(arguments: dict[str, Value]) -> Value:
    """The text of a regular file; another could keep everybody waiting."""
    name = arguments["path"]
    try:
        fd = os.open(os.path.join(arguments["base"], name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as problem:
        raise raised("path", f"cannot read {name}: {os.strerror(problem.errno or 0).lower()}", path=name) from None
    try:
        _check_readable(os.fstat(fd), name)
        with open(fd, "rb", buffering=0, closefd=False) as file:
            return file.read().decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)


def _check_readable(found: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise raised("path", f"cannot read {name}: it is a directory", path=name)
    if not stat.S_ISREG(found.st_mode):
        hint = f"let a command read it: `cat {name} | …`"
        raise raised("path", f"cannot read {name} here: it is not a regular file", hint=hint, path=name)
    if found.st_size > READ_BYTES_MAX:
        message = f"{name} is larger than {READ_BYTES_MAX >> 20} MiB (READ_BYTES_MAX)"
        raise raised("limit", message, hint=f"read it as a stream: `cat {name} | lines | …`", path=name)


def _writable(arguments: dict[str, Value]) -> Value:
    """Nothing, if a file can be written there as far as one can tell."""
    name = arguments["path"]
    reason = why_not_writable(os.path.realpath(os.path.join(arguments["base"], name)))
    if reason:
        raise raised("path", f"cannot write to {name}: {reason}", path=name)
    return None


def _followed(arguments: dict[str, Value]) -> Value:
    """Where a file is followed from: `{path, from: {inode, at}}`."""
    name, begin = arguments["path"], arguments.get("from", "end")
    if begin not in ("start", "end"):
        raise raised("type", f"--from is `start` or `end`, not {begin!r}")
    path = os.path.join(arguments["base"], name)
    try:
        found = os.stat(path)
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as problem:
        raise raised("path", f"cannot follow {name}: {os.strerror(problem.errno or 0).lower()}", path=name) from None
    if not stat.S_ISREG(found.st_mode):
        hint = f"what comes through it is read by `cat {name}`"
        raise raised("path", f"cannot follow {name}: it is not a regular file", hint=hint, path=name)
    return {"path": path, "from": {"inode": found.st_ino, "at": found.st_size if begin == "end" else 0}}


def why_not_writable(path: str) -> str:
    """Why a file cannot be written or made there; "" if it can, as far as one can tell. `path` is without links."""
    if os.path.isdir(path):
        return "it is a directory"
    if os.path.exists(path):
        return "" if os.access(path, os.W_OK) else "permission denied"
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        return f"{above} is not a directory" if os.path.exists(above) else f"the directory {above} does not exist"
    return "" if os.access(above, os.W_OK | os.X_OK) else f"permission denied in {above}"


def _turn(arguments: dict[str, Value]) -> Value:
    from fmsh import schedule

    return schedule.plan(arguments["schedule"], arguments["turn"], _now({}))


def _is_turn(arguments: dict[str, Value]) -> Value:
    from fmsh import schedule

    return schedule.check(arguments["schedule"], arguments["turn"], _now({}))


_ANSWERS: dict[str, Callable[[dict[str, Value]], Value]] = {
    "now": _now,
    "random": _random,
    "uuid": _uuid,
    "home": _home,
    "directory": _directory,
    "glob": _glob,
    "absolute": _absolute,
    "exists": _exists,
    "program": _program,
    "read": _read,
    "writable": _writable,
    "followed": _followed,
    "turn": _turn,
    "is_turn": _is_turn,
}
