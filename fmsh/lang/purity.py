"""Which parts of a tree only compute: they become Python functions, the rest becomes instructions."""

from __future__ import annotations

from fmsh.lang import syntax as s
from fmsh.lang.bodies import find_module, find_variable
from fmsh.lang.tree import children
from fmsh.machine.signature import FUNCTION_TYPES, KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fmsh.lang.bodies import Body, PythonBody
    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node
    from fmsh.machine.signature import Parameter, Signature

_TRANSPARENT = (
    s.Literal,
    s.Template,
    s.Path,
    s.Step,
    s.Unary,
    s.Binary,
    s.Range,
    s.Spread,
    s.ListLiteral,
    s.Entry,
    s.RecordLiteral,
    s.Word,
    s.Braces,
    s.Flag,
    s.ExpressionStage,
)


def is_pure(c: Compiler, b: Body | PythonBody, node: Node) -> bool:
    """Whether evaluating a node asks nothing of the world and runs no code of the machine."""
    if isinstance(node, s.Command | s.Group) and (node.redirections or getattr(node, "environment", ())):
        return False  # without them it may be pure, and has the same id
    known = c.purity.get(node.id)
    if known is None:
        known = c.purity[node.id] = _is_pure(c, b, node)
    return known


def _is_pure(c: Compiler, b: Body | PythonBody, node: Node) -> bool:
    if isinstance(node, s.Variable):
        return not is_environment(b, node) and node.id not in c.stream_inputs
    if isinstance(node, s.BlockLiteral):
        return True
    if isinstance(node, _TRANSPARENT):
        return all(is_pure(c, b, child) for child in children(node))
    if isinstance(node, s.Subpipeline):
        statements = node.body.statements
        return len(statements) == 1 and isinstance(statements[0], s.Chain) and is_pure(c, b, statements[0])
    if isinstance(node, s.Chain):
        return not node.links and not node.is_background and is_pure(c, b, node.first)
    if isinstance(node, s.Pipeline):
        return not node.is_negated and all(is_pure(c, b, stage) for stage in node.stages)
    if isinstance(node, s.Command):
        return _is_pure_command(c, b, node)
    return False


def is_environment(b: Body | PythonBody, node: Node) -> bool:
    """Whether a node is `$env`, and no variable of the program has that name."""
    return isinstance(node, s.Variable) and node.name == "env" and find_variable(b, "env") is None


def _is_pure_command(c: Compiler, b: Body | PythonBody, command: s.Command) -> bool:
    if command.is_external:
        return False
    if c.find_function(b, command) is not None or find_module(b, c.literal_name(command)):
        return False
    found = c.find_builtin(command)
    if found is None or _has_other_flags(found[0].signature, command) or holds_block(found[0].signature, command):
        return False
    return all(
        is_pure_block(c, b, argument) if isinstance(argument, s.BlockLiteral) else is_pure(c, b, argument)
        for argument in _effective(found[0].signature, command.arguments[found[1] :])
    )


def _effective(signature: Signature, arguments: Sequence[Node]) -> Iterator[Node]:
    """The arguments of a call, but field paths that look like patterns."""
    positionals = iter(signature.positionals)
    waiting: Parameter | None = None  # the flag whose value comes next
    for argument in arguments:
        if isinstance(argument, s.Flag):
            waiting = signature.flag_named(argument.name) if argument.value is None else None
            waiting = None if waiting is not None and waiting.type_name == "bool" else waiting
            yield argument.value or argument
            continue
        parameter = waiting or next(positionals, signature.rest)
        waiting = None
        if parameter is None or not is_field_path(parameter, argument):
            yield argument


def is_field_path(parameter: Parameter, argument: Node) -> bool:
    """Whether a word that looks like a pattern for files is a field path: `get items[0].name`."""
    if parameter.type_name not in ("field", KEY) or not isinstance(argument, s.Word):
        return False
    has_pattern = any(isinstance(part, s.Glob) for part in argument.parts)
    return has_pattern and all(isinstance(part, s.Glob | s.Literal) for part in argument.parts)


def holds_block(signature: Signature, command: s.Command) -> bool:
    """Whether a call gives a block that a variable holds to a command that must have one: `where $f`."""
    if not any(parameter.type_name == "block" for parameter in signature.parameters):
        return False
    if _has_other_flags(signature, command):
        return False
    given = [_only_part(argument) for argument in command.arguments]
    return any(isinstance(argument, _HOLDERS) for argument in given) and not any(
        isinstance(argument, s.BlockLiteral) for argument in given
    )


def _only_part(argument: Node) -> Node:
    return argument.parts[0] if isinstance(argument, s.Word) and len(argument.parts) == 1 else argument


_HOLDERS = (s.Variable, s.Path, s.Subpipeline)


def _has_other_flags(signature: Signature, command: s.Command) -> bool:
    """Whether a call has a flag that only the special form of this name knows: `each --parallel`."""
    return any(isinstance(part, s.Flag) and signature.flag_named(part.name) is None for part in command.arguments)


def is_pure_block(c: Compiler, b: Body | PythonBody, block: s.BlockLiteral) -> bool:
    """Whether calling a block only computes: `let`s of plain names, then one value.

    It may give no block: that one would be compiled for both forms of this, and in each of these again.
    """
    if not block.body.statements:
        return True
    if _has_block_value(c, block.body):
        return False
    *before, last = block.body.statements
    if not isinstance(last, s.Chain) or not is_pure(c, b, last):
        return False
    return all(
        isinstance(statement, s.Let) and isinstance(statement.pattern, s.NamePattern) and is_pure(c, b, statement.value)
        for statement in before
    )


def _has_block_value(c: Compiler, node: Node) -> bool:
    """Whether a block stands in a node as a value: not as what a command calls."""
    for child in children(node):
        if isinstance(child, s.BlockLiteral):
            if not (isinstance(node, s.Command) and _calls_blocks(c, node)):
                return True
        elif _has_block_value(c, child):
            return True
    return False


def _calls_blocks(c: Compiler, command: s.Command) -> bool:
    found = c.find_builtin(command)
    return found is not None and any(each.type_name in FUNCTION_TYPES for each in found[0].signature.parameters)
