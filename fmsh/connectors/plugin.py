"""Connectors that others write: a Python package that `config.toml` names adds one, which programs reach by `perform`.

The package has a function `connector(world)`, which gives what `fmsh.connectors.base` calls a connector (one without
streams). Its requests have `arguments` of one field, `value`. `docs/plugins.md` is for whoever writes one.

A plug-in is not trusted to keep the rules: what it posts twice, or after its end, is dropped; what it posts that is no
outcome or no value of the language fails the step, before the store or another job could see it. A package is imported
when a step first needs it, in a thread of its own, so that neither a slow import nor one that never ends holds up other
jobs. One that cannot be had fails the step, and is looked for again by the next one: no restart is needed.
"""

from __future__ import annotations

import _thread
import sys

from fmsh.connectors.base import Cancelled, Done, Failed
from fmsh.errors import UsageError
from fmsh.record import Record
from fmsh.values import error_value, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.connectors.base import Attempt, AttemptId, Connector, Items, Outcome, Post
    from fmsh.values import Secret, Value

MAKER = "connector"
FOREIGN_KINDS = ("block", "error", "secret", "callback", "task", "job", "channel", "api", "handle")
DEPTH_MAX = 200  # lists and records within one another: what any document has, and no recursion that is a mistake


class World(Record):
    """What a plug-in is given of fmsh.

    `reveal(secret)` gives the text of a secret. `after(seconds, callback)` calls back once, in the engine's thread, so
    the callback must be as quick as `start`; it may be called from any thread.
    """

    reveal: Callable[[Secret], str]
    after: Callable[[float, Callable[[], None]], object]


class _Refused(Exception):
    """A plug-in cannot be had; the message says why, and what to do."""


class Plugin:
    """A connector around a plug-in. `package()` says what is imported, or raises UsageError.

    `submit(callback, …)` calls back in the engine's thread; it is the only thing used in the thread that imports.
    """

    def __init__(
        self,
        name: str,
        package: Callable[[], str],
        world: World,
        submit: Callable[..., object],
    ) -> None:
        self._name = name
        self._package = package
        self._world = world
        self._submit = submit
        self._connector: Connector | None = None
        self._waiting: dict[AttemptId, tuple[Attempt, Post]] = {}  # until the package is there
        self._running: dict[AttemptId, Post] = {}
        self._is_loading = False
        self._is_closed = False

    def start(self, attempt: Attempt, post: Post) -> None:
        if self._connector is not None:
            self._start(self._connector, attempt, post)
            return
        self._waiting[attempt.id] = attempt, post
        if not self._is_loading:
            self._is_loading = True
            _thread.start_new_thread(self._load, ())

    def cancel(self, id: AttemptId) -> None:
        if id in self._waiting:
            _, post = self._waiting.pop(id)
            post(id, Cancelled())
        elif id in self._running and self._connector is not None:
            self._connector.cancel(id)

    def settled(self, id: AttemptId, job_uid: str, arguments: Mapping[str, Value], outcome: Value) -> None:
        settle = getattr(self._connector, "settled", None)
        if settle is not None:
            settle(id, job_uid, arguments, outcome)

    def close(self) -> None:
        self._is_closed = True
        self._waiting.clear()
        self._running.clear()
        if self._connector is not None:
            self._connector.close()

    # -- loading

    def _load(self) -> None:
        """Runs in a thread of its own."""
        found: Connector | str
        try:
            found = self._made(self._package())
        except _Refused as refusal:
            found = str(refusal)
        except UsageError as problem:
            found = problem.message + (f" ({problem.hint})" if problem.hint else "")
        self._submit(self._loaded, found)

    def _made(self, package: str) -> Connector:
        import importlib

        importlib.invalidate_caches()  # it may have been installed since we looked
        label = f"the connector {self._name}: the package {package}"
        try:
            module = importlib.import_module(package)
        except ModuleNotFoundError as fault:
            if fault.name is not None and (package == fault.name or package.startswith(f"{fault.name}.")):
                raise _Refused(f"{label} is not installed for {sys.executable}: install it there") from None
            raise _Refused(f"{label} cannot be imported: it needs the module {fault.name}") from None
        except Exception as fault:  # the package is the user's, and can raise anything
            raise _Refused(f"{label} cannot be imported: {type(fault).__name__}: {fault}") from None
        make = getattr(module, MAKER, None)
        if not callable(make):
            raise _Refused(f"{label} has no function `{MAKER}`, so it is no connector for fmsh")
        try:
            made: Any = make(self._world)
        except Exception as fault:  # as above
            raise _Refused(f"{label} cannot be used: {type(fault).__name__}: {fault}") from None
        missing = [verb for verb in ("start", "cancel", "close") if not callable(getattr(made, verb, None))]
        if missing:
            raise _Refused(f"{label} gives a {type(made).__name__} without {' and '.join(missing)}: no connector")
        return made  # type: ignore[no-any-return]

    def _loaded(self, found: Connector | str) -> None:
        self._is_loading = False
        waiting, self._waiting = list(self._waiting.values()), {}
        if not isinstance(found, str):
            if self._is_closed:
                found.close()
                return
            self._connector = found
        for attempt, post in waiting:
            if isinstance(found, str):
                post(attempt.id, _refusal(attempt, found))
            else:
                self._start(found, attempt, post)

    # -- running

    def _start(self, connector: Connector, attempt: Attempt, post: Post) -> None:
        self._running[attempt.id] = post
        try:
            connector.start(attempt, self._post)
        except Exception as fault:  # a promise that was broken: the step fails, nothing else does
            self._post(attempt.id, _broken(self._name, f"{type(fault).__name__}: {fault}"))

    def _post(self, id: AttemptId, outcome: Outcome | Items) -> None:
        """What the plug-in calls, from any thread: hands on the first outcome of an attempt that runs, no other."""
        post = self._running.pop(id, None)
        if post is not None:
            post(id, _checked(self._name, outcome))


def _refusal(attempt: Attempt, message: str) -> Failed:
    if attempt.is_once and attempt.is_resumed:
        return Failed(error_value("lost", f"it is not known whether the step happened, and {message}"))
    return Failed(error_value("plugin", message))


def _broken(name: str, what: str) -> Failed:
    return Failed(error_value("plugin", f"the connector {name} is broken: {what}"))


def _checked(name: str, outcome: object) -> Outcome:
    if isinstance(outcome, Cancelled):
        return outcome
    if isinstance(outcome, Done):
        wrong = _why_no_value(outcome.value, 0)
        return _broken(name, f"it gives {wrong}") if wrong else Done(outcome.value)
    if isinstance(outcome, Failed):
        fields = getattr(outcome.error, "fields", None)
        wrong = _why_no_value(fields, 0) if isinstance(fields, dict) else "an error that is none"
        return _broken(name, f"it fails with {wrong}") if wrong else outcome
    return _broken(name, f"it posts a {type(outcome).__name__}, which is no outcome")


def _why_no_value(value: object, depth: int) -> str:
    """Says what is no value of the language in it, or one that only fmsh can make; "" if it is one."""
    if depth > DEPTH_MAX:
        return f"lists or records more than {DEPTH_MAX} deep"
    try:
        kind = kind_of(value)
    except TypeError:
        return f"a {type(value).__name__}, which is no value of the language"
    if kind in FOREIGN_KINDS or isinstance(value, range):
        return f"a {kind}, which only fmsh can make"
    if kind == "datetime" and value.utcoffset() is None:  # type: ignore[attr-defined]
        return "a datetime without its offset"
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        return "a record with a key that is no string"
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next(filter(None, (_why_no_value(part, depth + 1) for part in parts)), "")
