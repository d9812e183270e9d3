"""What is known while one program is compiled, and what the parts of the compiler need of one another.

The parts stand in layers: expressions, processes, pipelines, statements, forms. A lower one reaches a higher one only
through `Parts`, which `compiler` fills in: an expression may hold a pipeline, which may hold a statement.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic
from fmsh.lang import syntax as s
from fmsh.lang.bodies import find_function
from fmsh.lang.calls import plain_text
from fmsh.lang.generated import Generator
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable

    from fmsh.lang.bodies import Body, FunctionInfo, PythonBody
    from fmsh.lang.given import Form
    from fmsh.lang.modules import Module
    from fmsh.lang.piped import Piped
    from fmsh.lang.syntax import Node, Program
    from fmsh.lang.using import Namespace
    from fmsh.machine.code import Code
    from fmsh.machine.library import Library, PureCommand
    from fmsh.spans import Source


class Parts(Record):
    """The parts of the compiler that lower ones need; see the functions of these names."""

    chain: Callable[..., _ast.expr]
    compile_block: Callable[..., int]
    inline_body: Callable[..., _ast.expr]
    path_words: Callable[..., _ast.expr]
    control_stage: Callable[..., Piped]
    start_background: Callable[..., Piped]
    redirected: Callable[..., Piped]
    streamed: Callable[..., tuple[Piped, int] | None]
    input_read: Callable[..., tuple[Piped, int]]
    loop_over_stream: Callable[..., bool]
    is_streamed_request: Callable[..., bool]
    begun: Callable[..., tuple[Piped, int] | None]
    set_environment: Callable[..., None]
    announce_function: Callable[..., None]
    define_function: Callable[..., None]
    check_type_name: Callable[..., None]
    use: Callable[..., None]
    announce_use: Callable[..., None]
    call_standard: Callable[..., Piped]
    find_form: Callable[[str], Form | None]


class Compiler:
    """The state of one compilation. Functions of all parts take it first."""

    def __init__(self, source: Source, library: Library, parts: Parts, files: list[Module]) -> None:
        self.source = source
        self.files = files  # none but the main one, if the program uses no module
        self.tree: Program | None = None
        self.main: Body | None = None
        self.namespaces: dict[int, Namespace] = {}
        self.standard: dict[str, FunctionInfo] = {}  # functions of the standard library, by the name of their command
        self.library = library
        self.parts = parts
        self.generator = Generator(library.functions)
        self.codes: dict[int, Code] = {}
        self.problems: list[Diagnostic] = []
        self.purity: dict[int, bool] = {}
        self.aliases: dict[str, s.Command] = {}
        self.others: tuple[str, ...] = ()  # variables of a session that the program does not name
        self.secret_sources: set[int] = set()  # nodes of stages that feed `secret NAME`
        self.stream_inputs: dict[int, bool] = {}  # nodes of every `$in` that may be a source; whether it had better be

    def note_streamed_input(self, body: s.Body) -> bool:
        """Finds out whether the `$in` of a body may be a source, before any of it is compiled."""
        if "$in" not in self.source.text:
            return False
        from fmsh.lang.inputs import streamed_input  # few programs have any

        found = streamed_input(body)
        if found is not None:
            self.stream_inputs[found.id] = False
        return found is not None

    def enter_file(self, index: int) -> tuple[Source, dict[str, s.Command]]:
        """Compiles in another file from here on; gives what `leave_file` takes."""
        before = self.source, self.aliases
        self.source, self.aliases = self.files[index].source, {}
        return before

    def leave_file(self, before: tuple[Source, dict[str, s.Command]]) -> None:
        self.source, self.aliases = before

    def module_of(self, node: s.Use) -> int | None:
        """The index of the file that a `use` names."""
        return next((file.by_use[node.id] for file in self.files if node.id in file.by_use), None)

    def zone_slot(self, name: str) -> int:
        """The slot of the main program that holds the job's time zone."""
        assert self.main is not None
        if name not in self.main.names:
            self.main.names[name] = self.main.slot(name)
        return self.main.names[name]

    def problem(self, node: Node, message: str, hint: str = "", *, code: str = "check") -> None:
        """Notes an error. Compiling goes on."""
        self.problems.append(Diagnostic(self.source, node.span, message, hint, "error", code))

    def warn(self, node: Node, message: str, hint: str = "", *, code: str = "check") -> None:
        self.problems.append(Diagnostic(self.source, node.span, message, hint, "warning", code))

    def add(self, body: Body) -> int:
        """Keeps the code of a finished body; gives its id."""
        self.codes[body.code.id] = body.code
        return body.code.id

    def literal_name(self, command: s.Command) -> str:
        """The name of a command if it is plain text, else ""."""
        parts = command.name.parts
        if len(parts) == 1 and isinstance(parts[0], s.Literal):
            return str(parts[0].spelling if not isinstance(parts[0].value, str) else parts[0].value)
        return ""

    def find_function(self, b: Body | PythonBody, command: s.Command) -> tuple[FunctionInfo, int, int] | None:
        """The `def` that is called, how many scopes up it was defined, and how many arguments belong to its name."""
        name = self.literal_name(command)
        if self.namespaces and command.arguments:
            second = plain_text(command.arguments[0])
            found = find_function(b, f"{name} {second}") if second else None
            if found is not None:
                return *found, 1
        found = find_function(b, name)
        return None if found is None else (*found, 0)

    def find_form(self, command: s.Command) -> tuple[Form, int] | None:
        """The special form that is called, and how many of the arguments belong to its name (`path abs`: one)."""
        name = self.literal_name(command)
        second = plain_text(command.arguments[0]) if command.arguments else None
        found = self.parts.find_form(f"{name} {second}") if second else None
        if found is not None:
            return found, 1
        found = self.parts.find_form(name)
        return None if found is None else (found, 0)

    def find_builtin(self, command: s.Command) -> tuple[PureCommand, int] | None:
        """The pure command that is called, and how many of the arguments belong to its name (`from json`: one)."""
        name = self.literal_name(command)
        if not name or command.is_external:
            return None
        if command.arguments:
            second = plain_text(command.arguments[0])
            found = self.library.find(f"{name} {second}") if second else None
            if found is not None:
                return found, 1
        found = self.library.find(name)
        return None if found is None else (found, 0)
