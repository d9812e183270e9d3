"""A session: the lines at a prompt, each a job of its own that starts where the one before it ended.

Variables, directory, environment and definitions are rows of the store. A line that ends in its own foreground leaves
its changes there, in the commit of its end; one that goes on elsewhere (Ctrl-Z, a closed terminal) leaves nothing.
"""

from __future__ import annotations

import os
import sys

from fmsh import wire
from fmsh.assembly import make_line
from fmsh.engine.sessions import NOT_OF_A_SESSION, SessionLine
from fmsh.errors import UsageError
from fmsh.shell import script
from fmsh.shell.foreground import Foreground, Place, Start
from fmsh.shell.options import Options
from fmsh.spans import Source
from fmsh.store.base import Session as StoredSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.engine.engine import Ended
    from fmsh.machine.code import Program
    from fmsh.settings import Settings
    from fmsh.values import Secret, Value

SOURCE = script.TYPED
STOPPED = 148  # as in bash: 128 and SIGTSTP
# What a session that is resumed has of the terminal that it is resumed in.
OF_THE_TERMINAL = ("TERM", "COLORTERM", "COLUMNS", "LINES", "DISPLAY", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")


class Session:
    """An interactive session over the store. `status` is that of the last line."""

    def __init__(self, settings: Settings, *, resumes: bool) -> None:
        """Begins a session, or goes on with the last one. Raises: StoreError."""
        self.foreground = Foreground(settings, is_prompt=True)
        self.store = self.foreground.assembly.store
        self.status = 0
        self.last_s = 0.0  # how long the last line took
        self.has_ended = False
        self.has_warned = False  # that ending it ends programs
        self._lost_directory = ""  # of which was said that it cannot be gone to
        stored = self.store.session() if resumes else None
        self.is_resumed = stored is not None
        if resumes and not self.is_resumed:
            sys.stderr.write("fmsh: there is no session to go on with, so a new one begins\n")
        self._stored = stored or self._begin()
        if self.is_resumed:
            self._go_to_directory()

    def close(self) -> None:
        """Ends what is stopped at this terminal; what goes on in the background is the daemon's from here on."""
        self.foreground.end_aside()
        self.foreground.close()

    def _begin(self) -> StoredSession:
        place = self.foreground.place()
        environment = wire.encode(dict(place.environment))
        now_ms = self.foreground.assembly.clock.wall_ms()
        started = StoredSession(os.urandom(8).hex(), now_ms, place.directory, place.time_zone, environment, {})
        self.store.create_session(started)
        return started

    # -- what it holds

    @property
    def directory(self) -> str:
        return self._stored.directory

    @property
    def definitions(self) -> dict[str, str]:
        """The texts of its definitions, by their names in `fmsh.lang.lines`."""
        return self._stored.definitions

    def names(self) -> list[str]:
        """The names of its variables."""
        return self.store.session_names(self._stored.id)

    def value(self, name: str) -> Value:
        """The value of a variable. Raises: KeyError."""
        return wire.decode(self.store.session_variables(self._stored.id, [name])[name])

    def environment(self) -> dict[str, str | Secret]:
        """The environment of its lines."""
        environment: dict[str, str | Secret] = wire.decode(self._stored.environment_json)
        if self.is_resumed:
            environment |= {name: os.environ[name] for name in OF_THE_TERMINAL if name in os.environ}
        return environment

    # -- lines

    def run(self, text: str) -> int:
        """Runs a line; gives its exit status. Raises: SourceError, StoreError, and what else starting a job raises."""
        try:
            text.encode()
        except UnicodeEncodeError as problem:
            byte = f"\\u{{{ord(text[problem.start]):x}}}"
            hint = f'in double quotes it is written "{byte}"'
            raise UsageError(
                f"character {problem.start + 1} of this line is a byte that is no text", hint=hint
            ) from None
        return self._run(Source(SOURCE, text), text.strip())

    def run_file(self, path: str) -> int:
        """Runs a file as if it had been typed as one line. Raises: UsageError, and what `run` raises."""
        return self._run(script.read_source(path), path)

    def _run(self, source: Source, command: str) -> int:
        names = self.names()
        stored, program, defined = make_line(source, self.definitions, names)
        variables = self._variables(program, names)
        line = SessionLine(self._stored.id, tuple(defined.items()))
        place = Place(self.environment(), self._stored.directory, self._stored.time_zone)
        start = Start(stored, program, command, [], variables, session_line=line, place=place)
        options = Options(text=source.text)
        number, ended = self.foreground.run(start)
        self._look_at_end(number, ended, program, options)
        self._stored = self.store.session(self._stored.id) or self._stored
        if ended is not None and ended.state == "succeeded":
            self._tell_what_is_not_kept(program, source)
        self._go_to_directory()
        return self.status

    def go_on(self, job_id: int) -> int:
        """Brings a job that was put aside back to the foreground; gives its exit status, or that of its next stop."""
        aside = self.foreground.aside
        assert aside is not None
        program, command = aside.program(job_id), aside.command(job_id)
        sys.stdout.write(command + "\n")
        sys.stdout.flush()
        self._look_at_end(job_id, self.foreground.go_on(job_id), program, Options(text=command))
        return self.status

    def _look_at_end(self, number: int, ended: Ended | None, program: Program, options: Options) -> None:
        aside = self.foreground.aside
        if ended is not None:
            self.status = script.finish(number, ended, self.foreground, program, options)
            self.has_ended = ended.by_exit
        elif aside is not None and number in aside.stopped:
            sys.stderr.write(f"\n{aside.about(number)}\n")
            self.status = STOPPED
        else:
            self.status = script.left_or_attached(number, self.foreground, options)

    def evaluate(self, text: str, given: dict[str, Value], **options: Any) -> Value:
        """Computes a line that has no effect, with more variables, and without a job: `options` as in `compute`.

        Raises: SourceError; FmshError if it fails or asks for an effect.
        """
        names = self.names()
        _, program, _ = make_line(Source(SOURCE, text), self.definitions, [*names, *given])
        return self.compute(program, self._variables(program, names) | given, **options)

    def compute(self, program: Program, variables: dict[str, Value], **options: Any) -> Value:
        """The value of a program with variables, here and without a job: `options` and errors are `pure.evaluate`'s."""
        from fmsh.machine.facts import Facts
        from fmsh.shell.pure import evaluate

        facts = Facts(0, None, None, [], self._stored.directory, self._stored.time_zone, variables)
        return evaluate(program, facts, self.environment(), **options)

    def _variables(self, program: Program, names: list[str]) -> dict[str, Value]:
        seen = [name for name in names if name in program.codes[program.main].variables]
        texts = self.store.session_variables(self._stored.id, seen) if seen else {}
        return {name: wire.decode(text) for name, text in texts.items()}

    def _tell_what_is_not_kept(self, program: Program, source: Source) -> None:
        kept = set(self.names())
        for name in NOT_OF_A_SESSION:
            if f"let {name}" in source.text and _declares(source, name):
                sys.stderr.write(f"fmsh: ${name} ends with its line, for every line has its own: choose another name\n")
        for name in program.codes[program.main].variables:
            if name not in kept and name not in NOT_OF_A_SESSION and " " not in name:
                sys.stderr.write(
                    f"fmsh: ${name} ends with its line, like the task, channel or block that it holds"
                    " (`&` starts a job for later lines, `def` keeps a function)\n"
                )

    def _go_to_directory(self) -> None:
        """This process goes where the session is, so that paths are completed from there."""
        directory = self._stored.directory
        try:
            os.chdir(directory)
            self._lost_directory = ""
        except OSError as problem:
            reason = os.strerror(problem.errno or 0).lower()
            if directory != self._lost_directory:
                sys.stderr.write(f"fmsh: cannot go to {directory}: {reason}\n")
            self._lost_directory = directory


def _declares(source: Source, name: str) -> bool:
    """Whether a `let` of a source, outside of its functions, declares a name."""
    from fmsh.lang import syntax as s
    from fmsh.lang.parser import parse
    from fmsh.lang.tree import walk

    lets = (node for node in walk(parse(source)) if isinstance(node, s.Let))
    return any(getattr(part, "name", None) == name for let in lets for part in walk(let.pattern))
