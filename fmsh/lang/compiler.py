"""The compiler: a syntax tree becomes code, and everything that can be known before the first effect is checked.

It finds all problems of a program, not the first only: a problem is noted, a null takes the place of what was wrong,
and compiling goes on. `compile_program` raises them together.

It must not know what an effect does: a request is a connector's name, an operation's name and arguments.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic, SourceError
from fmsh.lang import statements
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body, Label
from fmsh.lang.generated import Generator, Placeholder
from fmsh.lang.tree import walk
from fmsh.machine.code import Code, Program, ScriptParameters, Unit
from fmsh.machine.signature import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.lang.syntax import Node
    from fmsh.machine.library import Library, PureCommand
    from fmsh.spans import Source


class Compiler:
    """What is known while one program is compiled."""

    def __init__(self, source: Source, library: Library) -> None:
        self.source = source
        self.library = library
        self.generator = Generator(library.functions)
        self.codes: dict[int, Code] = {}
        self.problems: list[Diagnostic] = []
        self.purity: dict[int, bool] = {}
        self.aliases: dict[str, s.Command] = {}

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

    def find_builtin(self, command: s.Command) -> tuple[PureCommand, int] | None:
        """The pure command that is called, and how many of the arguments belong to its name (`from json`: one)."""
        name = self.literal_name(command)
        if not name or command.is_external:
            return None
        if command.arguments:
            second = literal_word(command.arguments[0])
            found = self.library.find(f"{name} {second}") if second else None
            if found is not None:
                return found, 1
        found = self.library.find(name)
        return None if found is None else (found, 0)


def literal_word(node: Node) -> str:
    """The text of an argument that is a plain word, else ""."""
    if isinstance(node, s.Word) and len(node.parts) == 1 and not node.is_text:
        node = node.parts[0]
    if isinstance(node, s.Literal) and isinstance(node.value, str):
        return node.value
    return ""


def compile_program(source: Source, tree: s.Program, library: Library, *, program_hash: str = "") -> Program:
    """Compiles a numbered tree. Raises: SourceError with every problem that is an error."""
    program, problems = check_program(source, tree, library, program_hash=program_hash)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise SourceError(errors)
    return program


def check_program(
    source: Source, tree: s.Program, library: Library, *, program_hash: str = ""
) -> tuple[Program, list[Diagnostic]]:
    """Compiles a tree and gives all its problems, warnings too. With errors among them the program is not usable."""
    c = Compiler(source, library)
    main = Body(tree.body.id, "main", None)
    for name in ("args", "job", "in"):
        main.declare(name, tree.body)
    parameters = statements.script_parameters(c, main, tree)
    statements.compile_body(c, main, tree.body)
    c.add(main)
    functions = c.generator.finish()
    for code in c.codes.values():
        _finish(code, functions)
    unit = Unit(source, [node.span for node in walk(tree)], 0)
    signature = Signature(source.name, tuple(parameters), "any", False, tree.help)
    slots = {parameter.name: main.names[parameter.name] for parameter in parameters}
    script = ScriptParameters(signature, slots)
    problems = sorted(c.problems, key=lambda problem: problem.span[0])
    return Program(program_hash, main.code.id, c.codes, (unit,), script), problems


def _finish(code: Code, functions: dict[str, Callable[..., Any]]) -> None:
    """Puts functions and places where placeholders and labels stand."""

    def resolve(operand: Any) -> Any:
        if isinstance(operand, Placeholder):
            return functions[operand.name]
        return operand.pc if isinstance(operand, Label) else operand

    code.instructions = [tuple(map(resolve, instruction)) for instruction in code.instructions]
    made: Any = code.make_function
    code.make_function = resolve(made)
