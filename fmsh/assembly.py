"""The composition root: settings become a store, connectors and builtins, and these an engine.

Nothing is imported or made before it is needed: a line that runs one process never pays for HTTP, encryption or JSON.
`Assembly` is made once in a process; the daemon and the shell differ in its arguments only.
"""

from __future__ import annotations

import os

from fmsh.clock import SystemClock
from fmsh.engine.engine import Engine
from fmsh.engine.loop import Loop
from fmsh.errors import ConnectorError, SourceError, UsageError
from fmsh.lang.compiler import compile_program
from fmsh.lang.parser import parse
from fmsh.lang.tree import from_data, to_data
from fmsh.machine.effects import PLUGIN_PREFIX
from fmsh.machine.library import Library
from fmsh.secrets import OPERATIONS, Secrets
from fmsh.spans import Source
from fmsh.store.base import NewCallback, NewProgram
from fmsh.store.sqlite import SqliteStore
from fmsh.values import Raised

try:
    from _blake2 import blake2b  # a tenth of the cost of importing hashlib
except ImportError:  # an interpreter without its own copy of BLAKE2
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Literal

    from fmsh.connectors.base import Attempt, AttemptId, Connector, Terminal
    from fmsh.connectors.callback import Address
    from fmsh.connectors.http_answer import Progress
    from fmsh.connectors.process import ProcessConnector
    from fmsh.errors import StoreError
    from fmsh.lang.checking import Checked
    from fmsh.lang.lines import Before
    from fmsh.lang.modules import Module
    from fmsh.lang.syntax import Program as Tree
    from fmsh.machine.code import Program
    from fmsh.machine.library import Streaming
    from fmsh.settings import Settings
    from fmsh.values import Value


# ---- Programs --------------------------------------------------------------------------------------------------------


def _find_builtin(name: str) -> Any:
    from fmsh.builtins import table

    return table.find(name)


def _builtin_names() -> Iterator[str]:
    from fmsh.builtins import table

    return table.names()


def _functions() -> dict[str, Callable[..., Any]]:
    from fmsh.builtins import display, operators
    from fmsh.builtins.fitting import fit

    found = {name: getattr(operators, name) for name in operators.__all__}
    return found | {"fit": fit, "display": _display, "shown": display.shown, "printed": display.printed}


def _display(value: Value) -> str:
    from fmsh.builtins.display import plain_display

    return plain_display(value)


def _standard(name: str) -> Source | None:
    from fmsh.builtins import table

    if name not in table.IN_FMSH:
        return None
    file = f"{table.MODULES[name]}.fmsh"
    with open(os.path.join(os.path.dirname(__file__), "stdlib", file), encoding="utf-8") as text:
        return Source(f"stdlib/{file}", text.read())


def _streaming() -> Streaming:
    from fmsh.builtins import json_forms, streaming
    from fmsh.builtins.program_lines import line_texts
    from fmsh.machine.library import Streaming

    kinds = streaming.FOLDS, streaming.TEXT_STAGES, streaming.CHOOSING_STAGES
    return Streaming(streaming.STAGES, streaming.Chain, json_forms.parts, *kinds, line_texts)


LIBRARY = Library(_find_builtin, _builtin_names, _functions, _display, _standard, _streaming)


def make_program(source: Source) -> tuple[NewProgram, Program]:
    """Parses, checks and compiles a source with its modules. Raises: SourceError with every problem found."""
    try:
        tree, files = parse_files(source)
    except SourceError as problem:
        errors = [each for each in check(source).problems if each.severity == "error"]
        raise SourceError(errors, incomplete=problem.incomplete) from None
    return _made(source, tree, files, None)


def make_line(
    source: Source, definitions: Mapping[str, str], variables: Sequence[str]
) -> tuple[NewProgram, Program, dict[str, str]]:
    """The same for a line of a session with what the lines before left; gives what it defines itself, too."""
    from fmsh.lang import lines
    from fmsh.lang.modules import gather

    tree = parse(source)
    defined = lines.definitions_of(source, tree, lambda path: os.path.abspath(os.path.expanduser(path)))
    others = {name: text for name, text in definitions.items() if name not in defined}
    beside = Source("session", "\n".join(lines.needed_by(tree, others)))
    beside_tree = parse(beside)
    files = gather(source, tree, read_module, beside=(beside, beside_tree))
    index = next(number for number, file in enumerate(files) if file.source is beside)
    before = lines.Before(lines.seen_by([tree, beside_tree], variables), index, tuple(variables))
    return *_made(source, tree, files, before), defined


def _made(source: Source, tree: Tree, files: list[Module], before: Before | None) -> tuple[NewProgram, Program]:
    program = compile_program(source, tree, LIBRARY, files=files, before=before)
    data: Any
    if files:
        from fmsh.lang.modules import files_to_data

        data = files_to_data(files)
    else:
        data = to_data(tree)
    if before is not None:
        data |= {"before": {"variables": list(before.variables), "file": before.file}}
    tree_json = _compact_json(data)
    program_hash = hash_of_program(source.name, source.text, tree_json)
    return NewProgram(program_hash, source.name, source.text, tree_json), program.replace(hash=program_hash)


def hash_of_program(name: str, text: str, tree_json: str) -> str:
    """Names a program by its content."""
    return blake2b(f"{name}\0{text}\0{tree_json}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def check(source: Source) -> Checked:
    """All problems of a source and its modules, warnings too."""
    from fmsh.lang.checking import check_source

    return check_source(source, LIBRARY, read_module)


def load_program(stored: NewProgram) -> Program:
    """Compiles a stored program from its trees, so that a newer parser never changes it."""
    import json

    data = json.loads(stored.tree_json)
    source = Source(stored.name, stored.text)
    files: list[Module] = []
    before: Before | None = None
    if isinstance(data, dict):
        from fmsh.lang.modules import files_from_data

        files = files_from_data(data, source)
    if isinstance(data, dict) and "before" in data:
        from fmsh.lang.lines import Before

        before = Before(tuple(data["before"]["variables"]), data["before"]["file"])
    tree = files[0].tree if files else from_data(data)
    return compile_program(source, tree, LIBRARY, program_hash=stored.hash, files=files, before=before)


def parse_files(source: Source) -> tuple[Tree, list[Module]]:
    """Parses a source and, if it uses modules, all files of the program."""
    tree = parse(source)
    if "use" not in source.text:
        return tree, []
    from fmsh.lang.modules import gather, uses

    return tree, gather(source, tree, read_module) if next(uses(tree), None) else []


def read_module(written: str, user: str) -> tuple[str, Source]:
    """Reads the module that a file names, relative to that file; gives what the module is known by, and its source.

    Raises: UsageError.
    """
    path = os.path.join(os.path.dirname(user), os.path.expanduser(written))
    name = os.path.normpath(path)
    try:
        with open(name, "rb") as file:
            text = file.read().decode().removeprefix("\ufeff")
    except OSError as problem:
        reason = os.strerror(problem.errno or 0).lower()
        message = f"the module {written} cannot be read: {reason}"
        raise UsageError(message, hint=f"it is looked for at {os.path.abspath(name)}") from problem
    except UnicodeDecodeError as problem:
        raise UsageError(f"the module {written} is not UTF-8 text: byte {problem.start} is wrong") from problem
    return os.path.realpath(name), Source(name, text)


def _compact_json(data: list[Any] | dict[str, Any]) -> str:
    """Plain data as JSON, without importing json for a short line."""
    from fmsh import wire

    return wire.encode_plain(data)


def observe_plainly(operation: str, arguments: dict[str, Value]) -> Value:
    """Answers what a job observes of this machine: with a value or an error."""
    from fmsh.observing import observe

    try:
        return observe(operation, arguments)
    except Raised as problem:
        return problem.error


# ---- The assembly ----------------------------------------------------------------------------------------------------


class Connectors:
    """The connectors by name, each made when it is first asked for; `plug_in` makes those that others wrote."""

    def __init__(
        self,
        makers: Mapping[str, Callable[[], Connector]],
        plug_in: Callable[[str], Connector],
        wrap: Callable[[str, Connector], Connector] | None,
    ) -> None:
        self._makers = makers
        self._plug_in = plug_in
        self._wrap = wrap
        self._made: dict[str, Connector] = {}

    def get(self, name: str) -> Connector | None:
        if name not in self._made:
            if name.startswith(PLUGIN_PREFIX):
                made = self._plug_in(name.removeprefix(PLUGIN_PREFIX))
            elif name in self._makers:
                made = self._makers[name]()
            else:
                return None
            self._made[name] = made if self._wrap is None else self._wrap(name, made)
        return self._made[name]

    def close(self) -> None:
        for connector in self._made.values():
            connector.close()


class Assembly:
    """One store, one loop, one engine.

    `callback_url` gives the base of callback addresses once our own listener is bound; it raises ConnectorError where
    that cannot be. `wrap` may put something around a connector that sees its attempts, such as an account of them.
    `relay` hears what captured processes say on their stderr. `umask` is for the processes of jobs that have none.
    `on_question` hears of a job that asks a person, `on_file` of a file that goes up or down, `on_child` of a new job.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        kind: Literal["shell", "daemon"],
        callback_url: Callable[[], str],
        display: Callable[[str, str, Value], object] | None = None,
        terminal: Terminal | None = None,
        report: Callable[[str], object] | None = None,
        stalled: Callable[[StoreError | None], object] | None = None,
        wrap: Callable[[str, Connector], Connector] | None = None,
        on_stopped: Callable[[AttemptId], None] | None = None,
        relay: Callable[[bytes], object] | None = None,
        umask: int | None = None,
        on_question: Callable[[int], None] | None = None,
        on_file: Callable[[str, Progress], object] | None = None,
        on_child: Callable[[], object] | None = None,
    ) -> None:
        self._on_child = on_child or (lambda: None)
        self._on_question = on_question
        self._on_file = on_file
        self.settings = settings
        self.store = SqliteStore.open(settings.state_directory, kind=kind)
        self.loop = Loop()
        self.clock = SystemClock()
        self._callback_url = callback_url
        self._on_stopped = on_stopped
        self._relay = relay
        self._umask = umask
        self._processes: ProcessConnector | None = None
        self.secrets = Secrets(self.store, settings.key_path)
        makers: dict[str, Callable[[], Connector]] = {
            "process": self._process,
            "timer": self._timer,
            "http": self._http,
            "callback": self._callback,
            "job": self._job,
            "signal": self._exchange("signal", send="signal"),
            "topic": self._exchange("topic", publish="publish", subscribe="subscribe"),
            "function": self._exchange("function", call="call"),
            "lock": self._exchange("lock", claim="claim_lock"),
            "limit": self._exchange("limit", claim="claim_place", reserve="reserve"),
            "person": self._person,
            "file": self._file,
            "follow": self._reading("follow"),
            "times": self._reading("times"),
            "range": self._reading("range"),
        }
        self.connectors = Connectors(makers, self._plugin, wrap)
        self.engine = Engine(
            self.store,
            self.connectors,  # type: ignore[arg-type]  # a mapping as far as `get`
            self.loop,
            load_program=load_program,
            observe=self._observe,
            clock_ms=self.clock.wall_ms,
            display=display,
            terminal=terminal,
            is_daemon=kind == "daemon",
            report=report,
            stalled=stalled,
            trim=self._trim,
        )

    def close(self) -> None:
        self.connectors.close()
        self.store.close()

    def _trim(self, job_id: int, now_ms: int) -> int:
        from fmsh import retention

        keep_ms = self.settings.value(retention.EVENTS)
        return retention.trim_behind(self.store, self.settings.fx_directory, job_id, keep_ms, now_ms=now_ms)

    def _observe(self, operation: str, arguments: dict[str, Value]) -> Value:
        if operation == "jobs":
            from fmsh.engine.listing import jobs_seen

            return jobs_seen(self.store, arguments)
        if operation not in OPERATIONS:
            return observe_plainly(operation, arguments)
        try:
            return self.secrets.observe(operation, arguments)
        except Raised as problem:
            return problem.error

    # -- connectors

    def _process(self) -> Connector:
        from fmsh.connectors.process import ProcessConnector

        loop = self.loop
        self._processes = ProcessConnector(
            self.settings.fx_directory,
            loop.watch,
            loop.unwatch,
            self.secrets.reveal,
            loop.after,
            on_stopped=self._on_stopped,
            umask=self._umask,
            relay=self._relay,
            sealer=self.secrets.sealer,
            **self._output_limit(),
            sources=self.connectors.get,
        )
        return self._processes

    def _output_limit(self) -> dict[str, int]:
        """What was chosen; the default costs no import."""
        name = "limits.output"
        return {"output_bytes_max": self.settings.value(name)} if name in self.settings.chosen else {}

    def resume_process(self, id: AttemptId, *, in_foreground: bool) -> None:
        """Lets a process that was stopped at the terminal go on: with the terminal, or without."""
        if self._processes is not None:
            self._processes.resume(id, in_foreground=in_foreground)

    def _timer(self) -> Connector:
        from fmsh.connectors.timer import TimerConnector

        return TimerConnector(self.loop.after, self.clock)

    def _http(self) -> Connector:
        from fmsh.connectors.http_request import HttpConnector

        return HttpConnector(self.secrets.reveal, self.secrets.sealer, on_file=self._on_file)

    def _callback(self) -> Connector:
        from fmsh.connectors.callback import CallbackConnector

        return CallbackConnector(
            self._open_callback,
            self._callback_url,
            os.urandom,
            named=self.secrets.token,
            secret=self.secrets.chosen,
            reply=self._reply,
        )

    def _file(self) -> Connector:
        from fmsh.connectors.files import FileConnector

        return FileConnector(self.secrets.reveal, self._umask)

    def _reading(self, name: str) -> Callable[[], Connector]:
        def make() -> Connector:
            from fmsh.connectors.reading_kinds import make

            return make(name, self.loop.after, self.clock)

        return make

    def _plugin(self, name: str) -> Connector:
        from fmsh.connectors.plugin import Plugin, World

        loop = self.loop
        world = World(self.secrets.reveal, lambda seconds, callback: loop.submit(loop.after, seconds, callback))
        return Plugin(name, lambda: self._package_of(name), world, loop.submit)

    def _package_of(self, name: str) -> str:
        """What `config.toml` says now: a daemon need not start again for a new connector. Raises: UsageError."""
        from fmsh import configuration

        path = self.settings.config_directory + "/config.toml"
        package = configuration.read(path).get(f"connectors.{name}")
        if package is None:
            hint = f'name its package in {path}: [connectors] {name} = "PACKAGE"'
            raise UsageError(f"there is no connector {name}", hint=hint)
        return package

    def _exchange(self, name: str, **acts: str) -> Callable[[], Connector]:
        """Gives the maker of a connector whose operations are functions of `fmsh.exchange`."""

        def make() -> Connector:
            from functools import partial

            from fmsh import exchange
            from fmsh.connectors.messages import MessageConnector

            return MessageConnector(
                name, {key: partial(getattr(exchange, act), self.store) for key, act in acts.items()}
            )

        return make

    def _person(self) -> Connector:
        from fmsh.connectors.messages import MessageConnector

        return MessageConnector("ask", {"ask": self._ask})

    def _ask(self, attempt: Attempt) -> Value:
        from fmsh import exchange

        handle = exchange.question(attempt)
        if self._on_question is not None:
            self._on_question(attempt.id.job_id)
        return handle

    def _open_callback(self, new: Address) -> None:
        from fmsh import wire

        options_json = wire.encode(new.options) if new.options else "{}"
        self.store.open_callback(
            NewCallback(
                new.job_id, new.handle_id, new.token_hash, new.expires_at_ms, new.methods, new.is_many, options_json
            )
        )

    def _reply(self, job_id: int, request_id: str, value: Value, status: int | None) -> bool:
        from fmsh import wire

        data_json = wire.encode({"status": status, "value": value})
        is_new = self.store.reply(job_id, request_id, data_json)
        return is_new or self.store.reply_to(request_id) == data_json  # by us, before a crash

    def _job(self) -> Connector:
        from fmsh import child_jobs
        from fmsh.connectors.messages import MessageConnector

        acts = {
            "start": self._start_job,
            "run": lambda attempt: child_jobs.run(self.engine, attempt, make_program),
            "cancel": lambda attempt: child_jobs.cancel(self.store, attempt),
            "find": lambda attempt: child_jobs.find(self.store, attempt),
        }
        return MessageConnector("job", acts)

    def _start_job(self, attempt: Attempt) -> Value:
        from fmsh import child_jobs

        if not self.settings.may_start_daemon:
            raise ConnectorError("a job in the background needs the daemon, and FMSH_NO_DAEMON=1 forbids it")
        handle = child_jobs.start(self.engine, attempt)
        self._on_child()
        return handle
