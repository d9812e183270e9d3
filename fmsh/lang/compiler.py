"""The compiler: a syntax tree becomes code, and everything that can be known before the first effect is checked.

It finds all problems of a program, not the first only: a problem is noted, a null takes the place of what was wrong,
and compiling goes on. `compile_program` raises them together.

It must not know what an effect does: a request is a connector's name, an operation's name and arguments.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic, SourceError
from fmsh.lang import pipelines, processes, statements
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body, Label, PythonBody
from fmsh.lang.context import Compiler, Parts
from fmsh.lang.generated import Placeholder
from fmsh.lang.piped import SOURCES, is_range
from fmsh.lang.tree import walk
from fmsh.machine.code import Code, Program, ScriptParameters, Unit
from fmsh.machine.signature import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.lang.calls import Call
    from fmsh.lang.given import Form
    from fmsh.lang.lines import Before
    from fmsh.lang.modules import Module
    from fmsh.lang.piped import Piped
    from fmsh.machine.library import Library, PureCommand
    from fmsh.machine.signature import Parameter
    from fmsh.spans import Source


def _call_standard(c: Compiler, b: Body, pure: PureCommand, given: Call) -> Piped:
    from fmsh.lang import standard

    return standard.call_standard(c, b, pure, given)


def _find_form(name: str) -> Form | None:
    from fmsh.lang import forms  # only where a program has commands: start-up is short

    return forms.FORMS.get(name)


def _start_background(c: Compiler, b: Body, node: s.Chain) -> Piped:
    from fmsh.lang import background  # few programs have any

    return background.start_background(c, b, node)


def _redirected(c: Compiler, b: Body, stage: s.Command | s.Group, piped: Piped | None, mode: str) -> Piped:
    from fmsh.lang import redirections  # nor these

    return redirections.redirected(c, b, stage, piped, mode)


def _streamed(
    c: Compiler, b: Body, run: list[s.Command], rest: Sequence[s.Stage], piped: Piped | None, mode: str
) -> tuple[Piped, int] | None:
    from fmsh.lang import streams

    return streams.streamed(c, b, run, rest, piped, mode)


def _input_read(
    c: Compiler, b: Body, stage: s.ExpressionStage, rest: Sequence[s.Stage], mode: str
) -> tuple[Piped, int]:
    from fmsh.lang import streams

    return streams.input_read(c, b, stage, rest, mode)


def _loop_over_stream(c: Compiler, b: Body, node: s.For, compile_turn: Callable[[Body], int]) -> bool:
    from fmsh.lang import streams

    return streams.loop_over_stream(c, b, node, compile_turn)


def _is_streamed_request(c: Compiler, b: Body | PythonBody, stage: s.Stage) -> bool:
    if not isinstance(stage, s.Command):
        return False
    if c.literal_name(stage) not in SOURCES and not any(isinstance(part, s.Flag) for part in stage.arguments):
        return False  # most stages
    from fmsh.lang import requests

    return requests.is_streamed(c, b, stage)


def _begun(
    c: Compiler, b: Body | PythonBody, stage: s.Stage, rest: Sequence[s.Stage], piped: Piped | None, mode: str
) -> tuple[Piped, int] | None:
    """A stage of fmsh with as many of those after it as take what it gives part by part; None: it gives it whole."""
    if not isinstance(b, Body):
        return None
    if rest and is_range(c, stage):
        from fmsh.lang import streams

        return streams.range_read(c, b, stage, rest)
    if not isinstance(stage, s.Command):
        return None
    if _is_streamed_request(c, b, stage):
        return _streamed(c, b, [stage], rest, piped, mode)
    name = c.literal_name(stage)
    if rest and name == "each" and piped is not None and c.find_function(b, stage) is None:
        from fmsh.lang import flowing

        return flowing.flowing_list(c, b, stage, rest, piped, mode)
    if not rest or name not in ("from", "load"):
        return None
    from fmsh.lang import documents

    return documents.folded(c, b, stage, rest, piped)


def _announce_function(c: Compiler, b: Body, node: s.Def) -> None:
    from fmsh.lang import functions

    functions.announce(c, b, node)


def _define_function(c: Compiler, b: Body, node: s.Def) -> None:
    from fmsh.lang import functions

    functions.define(c, b, node)


def _check_type_name(c: Compiler, node: s.Parameter) -> None:
    from fmsh.lang import functions

    functions.check_type_name(c, node)


def _use(c: Compiler, b: Body, node: s.Use) -> None:
    from fmsh.lang import using

    using.run(c, b, node)


def _announce_use(c: Compiler, b: Body, node: s.Use) -> None:
    from fmsh.lang import using

    using.announce(c, b, node)


PARTS = Parts(
    pipelines.chain,
    statements.compile_block,
    statements.inline_body,
    processes.path_words,
    statements.control_stage,
    _start_background,
    _redirected,
    _streamed,
    _input_read,
    _loop_over_stream,
    _is_streamed_request,
    _begun,
    statements.set_environment,
    _announce_function,
    _define_function,
    _check_type_name,
    _use,
    _announce_use,
    _call_standard,
    _find_form,
)


def compile_program(
    source: Source,
    tree: s.Program,
    library: Library,
    *,
    program_hash: str = "",
    files: list[Module] | None = None,
    before: Before | None = None,
) -> Program:
    """Compiles a numbered tree; see `check_program`. Raises: SourceError with every problem that is an error."""
    program, problems = check_program(source, tree, library, program_hash=program_hash, files=files, before=before)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise SourceError(errors)
    return program


def check_program(
    source: Source,
    tree: s.Program,
    library: Library,
    *,
    program_hash: str = "",
    files: list[Module] | None = None,
    before: Before | None = None,
) -> tuple[Program, list[Diagnostic]]:
    """Compiles a tree and gives all its problems, warnings too. With errors among them the program is not usable.

    `files`: of a program that uses modules all its files, with the main one first; what it needs of the standard
    library is added to them. `before`: of a line at a prompt what the lines before it left.
    """
    files = [] if files is None else files
    c = Compiler(source, library, PARTS, files)
    c.tree = tree
    main = c.main = Body(tree.body.id, "main", None)
    for name in ("args", "job", "in"):
        main.declare(name, tree.body)
    if before is not None:
        from fmsh.lang import lines

        lines.begin(c, main, tree, before)
    c.note_streamed_input(tree.body)
    inputs = list(c.stream_inputs)
    parameters: list[Parameter] = []
    if any(isinstance(statement, s.Param) for statement in tree.body.statements):
        from fmsh.lang.functions import script_parameters

        parameters = script_parameters(c, main, tree)
    statements.compile_body(c, main, tree.body)
    c.add(main)
    try:
        functions = c.generator.finish()
    except RecursionError:
        c.problem(tree.body, "an expression is too long or too deep", "split it up with `let`", code="limit")
        functions = _Nothing()
    for code in c.codes.values():
        _finish(code, functions)
    units = [Unit(source, [node.span for node in walk(tree)], 0)]
    units += [
        Unit(file.source, [node.span for node in walk(file.tree)], file.tree.id, file.is_standard) for file in files[1:]
    ]
    signature = Signature(source.name, tuple(parameters), "any", False, tree.help)
    slots = {parameter.name: main.names[parameter.name] for parameter in parameters}
    script = ScriptParameters(signature, slots)
    order = [unit.source for unit in units]
    problems = sorted(dict.fromkeys(c.problems), key=lambda problem: (order.index(problem.source), problem.span[0]))
    return Program(
        program_hash, main.code.id, c.codes, tuple(units), script, any(c.stream_inputs[id] for id in inputs)
    ), problems


class _Nothing(dict[str, "Callable[..., Any]"]):
    """The functions of a program that has a problem: it is compiled to its end, and never run."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        return lambda scope: None


def _finish(code: Code, functions: dict[str, Callable[..., Any]]) -> None:
    """Puts functions and places where placeholders and labels stand."""

    def resolve(operand: Any) -> Any:
        if isinstance(operand, Placeholder):
            return functions[operand.name]
        return operand.pc if isinstance(operand, Label) else operand

    code.instructions = [tuple(map(resolve, instruction)) for instruction in code.instructions]
    made: Any = code.make_function
    code.make_function = resolve(made)
