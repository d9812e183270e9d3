"""What the prompt knows of commands, for colours and completion: those of fmsh, of the session, of the system."""

from __future__ import annotations

import os

from fmsh.assembly import LIBRARY
from fmsh.lang.forms import FORMS
from fmsh.lang.keywords import KEYWORDS
from fmsh.lang.lines import COMMAND, called_as
from fmsh.machine.signature import Signature
from fmsh.shell import help, own_arguments
from fmsh.shell.candidates import World
from fmsh.shell.described import Described
from fmsh.shell.functions import functions_of
from fmsh.shell.help import VERBS
from fmsh.shell.outputs import Outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.code import Program
    from fmsh.shell.described import Offer
    from fmsh.shell.session import Session
    from fmsh.values import Value

OWN_COMPLETIONS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "completions")
OF_SESSION = "of this session"
BUDGET = 100_000  # instructions of a completion: a tenth of a second


class Knowledge:
    """Of one session. The programs of the system are looked up once for each value of PATH.

    `outputs`: what programs wrote that completions ask for.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.outputs = Outputs()
        self._described = Described([f"{session.foreground.settings.config_directory}/completions", OWN_COMPLETIONS])
        self._built_in: dict[str, str] = {}
        self._functions: dict[str, Signature] | None = None  # of this prompt, like the next two
        self._environment: dict[str, str] = {}
        self._first_words: frozenset[str] = frozenset()  # of commands: asked for each word at each key
        self._path = ""
        self._programs: frozenset[str] = frozenset()

    def world(self) -> World:
        """What a prompt knows, which looks at the session anew."""
        session = self._session
        self._functions, self._first_words = None, frozenset()
        environment = session.environment()
        self._environment = {name: text for name, text in environment.items() if isinstance(text, str)}
        return World(
            self.commands,
            self.programs,
            self.signature,
            self.arguments,
            session.names(),
            session.value,
            self._evaluate,
            self.environment,
            session.directory,
        )

    def environment(self) -> dict[str, str]:
        """That of the session, without what is secret."""
        return self._environment

    def _evaluate(self, pipeline: str) -> Value:
        text = f"let found = ({pipeline})\n$found"
        return self._session.evaluate(text, {}, store=self._session.store, budget=BUDGET)

    def commands(self) -> dict[str, str]:
        """Names of one or two words, with what they do."""
        if not self._built_in:
            statements = {name: about for name, (_, about) in KEYWORDS.items() if name.isalpha()}
            self._built_in = statements | VERBS
            self._built_in |= {name: help.first_line(name) for name in [*FORMS, *LIBRARY.names()]}
        definitions = self._session.definitions.items()
        own = {called_as(name): _about(text) for name, text in definitions}
        helps = {name: found.help.partition("\n")[0] for name, found in self._own_functions().items()}
        return self._built_in | own | {name: text or OF_SESSION for name, text in helps.items()}

    def _own_functions(self) -> dict[str, Signature]:
        if self._functions is None:
            self._functions = functions_of(self._session.definitions)
        return self._functions

    def signature(self, name: str) -> Signature | None:
        if name in FORMS:
            return FORMS[name].signature
        found = LIBRARY.find(name)
        return self._own_functions().get(name) if found is None else found.signature

    def arguments(self, name: str, words: list[str], word: str) -> Offer | None:
        """What may stand behind the words of a command. Raises: FmshError, NotYet."""
        if name == "jobs":
            name, words = "fmsh", ["jobs", *words]
        own = own_arguments.offer_of(self._session, name, words, word, self)
        if own is not None:
            return own
        alias = self._session.definitions.get(f"{COMMAND}{name}", "")
        if alias.startswith("alias "):
            name, *given = alias.partition("=")[2].split()
            words = [*given, *words]

        def evaluate(program: Program, variables: dict[str, Value]) -> Value:
            return self._session.compute(program, variables, answer=self.outputs.answer, budget=BUDGET)

        found = self._described.offer(name, words, word, evaluate)
        if found is None and self.signature(name) is None and name in self.programs():
            return self._described.other([name, *words, word], evaluate)
        return found

    def programs(self) -> frozenset[str]:
        path = self._environment.get("PATH", "")
        if path != self._path:
            self._path = path
            self._programs = frozenset(name for place in path.split(os.pathsep) for name in _executables(place))
        return self._programs

    def is_command(self, name: str) -> bool:
        name = name.removeprefix("^")
        if "\0" in name:
            return False
        if "/" in name:
            return os.access(os.path.join(self._session.directory, os.path.expanduser(name)), os.X_OK)
        if not self._first_words:
            self._first_words = frozenset(command.partition(" ")[0] for command in self.commands())
        return name in self._first_words or name in self.programs()


def _about(text: str) -> str:
    """What a definition of the session is, at least."""
    if text.startswith("alias "):
        return text.partition("=")[2].strip()
    return OF_SESSION


def _executables(place: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place) if not entry.is_dir()]
    except OSError:
        return []
