"""The answers to what a job observes: the clock, randomness, files and homes. A replay sees the same.

An observation cannot fail in the machine's eyes but by `Raised`, which becomes an error of the program.
"""

from __future__ import annotations

import os

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
    found = os.path.expanduser(f"~{user}")
    if found.startswith("~"):
        raise raised("name", f"there is no user {user!r}", hint="quote the ~ if it is meant as it is")
    return found


def _directory(arguments: dict[str, Value]) -> Value:
    """The absolute path of a directory to change to, from the task's own."""
    path = os.path.normpath(os.path.join(arguments["base"], os.path.expanduser(arguments["path"])))
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


_ANSWERS: dict[str, Callable[[dict[str, Value]], Value]] = {
    "now": _now,
    "random": _random,
    "uuid": _uuid,
    "home": _home,
    "directory": _directory,
    "glob": _glob,
}
