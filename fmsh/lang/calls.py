"""The check of a call against a signature, and the run-time check of what cannot be known before."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.purity import is_field_path
from fmsh.lang.runtime import accepts
from fmsh.machine.signature import FUNCTION_TYPES
from fmsh.record import Record
from fmsh.values import a_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Sequence

    from fmsh.lang.context import Compiler
    from fmsh.lang.piped import Piped
    from fmsh.lang.syntax import Node
    from fmsh.machine.signature import Parameter, Signature

OPERATORS_AS_ARGUMENTS = ("==", "!=", "<=", ">=", "=~", "!~", "and", "or", "not", "in", "+", "-", "*", "/", "??")


class Call(Record):
    """A call with its arguments sorted by parameter, what the pipe brings, and the mode of its pipeline."""

    node: s.Command
    bound: dict[str, list[Node]]
    piped: Piped | None
    mode: str


def bind_arguments(
    c: Compiler, signature: Signature, command: s.Command, arguments: Sequence[Node]
) -> dict[str, list[Node]]:
    """Sorts the arguments of a call by parameter. Notes what does not fit; a switch that is on has an empty list."""
    bound: dict[str, list[Node]] = {}
    positionals: list[Node] = []
    waiting = list(arguments)
    noted = len(c.problems)
    while waiting:
        argument = waiting.pop(0)
        if (argument.name if isinstance(argument, s.Flag) else plain_text(argument)) == "--":
            positionals += [_as_text(c, rest) for rest in waiting]
            break
        if isinstance(argument, s.Flag):
            _bind_flag(c, signature, argument, waiting, bound)
        else:
            _refuse_operator(c, signature, argument, len(positionals))
            positionals.append(argument)
    has_unknown = len(c.problems) > noted  # then what follows a flag may be its value
    expected = signature.positionals
    for parameter, argument in zip(expected, positionals, strict=False):
        bound[parameter.name] = [argument]
        if isinstance(argument, s.Spread):
            message = f"`...` may stand for no or many arguments, and {parameter.name.upper()} is one"
            c.problem(argument, message, _usage(signature))
    extra = positionals[len(expected) :]
    if signature.rest is not None:
        bound[signature.rest.name] = extra
    elif extra and not has_unknown:
        message = f"`{signature.name}` takes {_count(len(expected))}, this is one too many"
        c.problem(extra[0], message, _close_subcommand(c, signature, positionals[0]) or _usage(signature))
    _note_missing(c, signature, command, bound)
    for parameter in signature.parameters:
        nodes = bound.get(parameter.name, [])
        for index, argument in enumerate(nodes):
            if parameter.type_name == "block":
                nodes[index] = argument = _empty_block(argument)
            nodes[index] = argument = _as_spelled(c, parameter, argument)
            _check_literal(c, signature, parameter, argument)
            _check_block(c, signature, parameter, argument)
    return bound


def _as_spelled(c: Compiler, parameter: Parameter, argument: Node) -> Node:
    """A bare number, duration, size or date is a word where a string is wanted: `--version 1.10`.

    Where a field path is wanted no word is a pattern for files: `get items[0].name`.
    """
    if is_field_path(parameter, argument):
        return _as_written(c, argument)
    literal = argument.parts[0] if isinstance(argument, s.Word) and len(argument.parts) == 1 else argument
    if parameter.type_name not in ("string", "path", "word") or not isinstance(literal, s.Literal):
        return argument
    if isinstance(literal.value, str | bool) or literal.value is None:
        return argument
    text = s.Literal(literal.span, literal.spelling, literal.spelling)
    text.id = literal.id
    return text


def _as_text(c: Compiler, argument: Node) -> Node:
    """What follows `--` is no flag, whatever it looks like."""
    return _as_written(c, argument) if isinstance(argument, s.Flag) else argument


def _as_written(c: Compiler, argument: Node) -> Node:
    text = c.source.text[argument.span[0] : argument.span[1]]
    literal = s.Literal(argument.span, text, text)
    literal.id = argument.id
    return literal


def _empty_block(argument: Node) -> Node:
    """`{}` is the empty record, but a command that expects a block takes it as the empty block."""
    if not isinstance(argument, s.RecordLiteral) or argument.entries:
        return argument
    body = s.Body(argument.span, ())
    block = s.BlockLiteral(argument.span, None, body)
    block.id = body.id = argument.id
    return block


def _close_subcommand(c: Compiler, signature: Signature, argument: Node) -> str:
    """A hint for `str uper`: the command of two words that was meant."""
    from difflib import get_close_matches

    names = [name for name in c.library.names() if name.startswith(signature.name + " ")]
    close = get_close_matches(f"{signature.name} {plain_text(argument)}", names, 1) if names else []
    return f"did you mean `{close[0]}`?" if close else ""


def _bind_flag(
    c: Compiler, signature: Signature, flag: s.Flag, waiting: list[Node], bound: dict[str, list[Node]]
) -> None:
    parameter = signature.flag_named(flag.name)
    if parameter is None:
        from difflib import get_close_matches

        known = [other.flag for other in signature.parameters if other.kind == "flag"]
        close = get_close_matches(flag.name, known, 1)
        hint = f"did you mean {close[0]}?" if close else _usage(signature)
        if signature.name == "echo":
            hint = 'for text without a newline write `printf "%s" …`; in "…" escapes are known; `^echo` is the program'
        c.problem(flag, f"`{signature.name}` has no flag {flag.name}", hint, code="unknown-flag")
        return
    if parameter.name in bound:
        c.problem(flag, f"{flag.name} is given twice", "leave one out")
    if parameter.type_name == "bool" and flag.value is None:
        bound[parameter.name] = []
    elif flag.value is not None:
        bound[parameter.name] = [flag.value]
    elif waiting and not isinstance(waiting[0], s.Flag):
        bound[parameter.name] = [waiting.pop(0)]
    else:
        c.problem(flag, f"{flag.name} needs a value", f"such as {flag.name} {parameter.type_name.upper()}")
        bound[parameter.name] = []


def _refuse_operator(c: Compiler, signature: Signature, argument: Node, index: int) -> None:
    if [parameter.type_name for parameter in signature.positionals[index : index + 1]] == ["path"]:
        return  # `cd /`
    text = plain_text(argument)
    if isinstance(argument, s.Word) and len(argument.parts) == 1 and isinstance(argument.parts[0], s.Glob):
        text = argument.parts[0].pattern
    if text in OPERATORS_AS_ARGUMENTS and not signature.name.startswith("str "):
        hint = f"put the command in ( ) to use `{text}` on its value, or quote it"
        if any(parameter.type_name in FUNCTION_TYPES for parameter in signature.positionals):
            hint = f"what is compared stands in braces: `{signature.name} {{ … {text} … }}`"
        c.problem(argument, f"`{text}` is an argument of `{signature.name}` here", hint, code="operator-argument")


def plain_text(node: Node) -> str | None:
    """The text of an unquoted plain word."""
    if isinstance(node, s.Word) and len(node.parts) == 1 and not node.is_text:
        node = node.parts[0]
    return node.value if isinstance(node, s.Literal) and isinstance(node.value, str) else None


def _note_missing(c: Compiler, signature: Signature, command: s.Command, bound: dict[str, list[Node]]) -> None:
    for parameter in signature.parameters:
        is_missing = parameter.name not in bound or (parameter.kind == "rest" and not bound[parameter.name])
        if parameter.is_required and is_missing:
            label = parameter.flag if parameter.kind == "flag" else parameter.name.upper()
            c.problem(command, f"`{signature.name}` needs {label}", _usage(signature), code="missing-argument")


def _check_literal(c: Compiler, signature: Signature, parameter: Parameter, argument: Node) -> None:
    kind = literal_kind(argument)
    if kind is not None and not accepts(parameter.type_name, kind):
        message = f"{parameter.name} must be {a_kind(parameter.type_name)}, this is {a_kind(kind)}"
        inside = plain_text(argument) or "…"
        hint = f"a block stands in braces: `{{ {inside} }}`; " if parameter.type_name == "block" else ""
        c.problem(argument, message, hint + _usage(signature), code="type")


def _check_block(c: Compiler, signature: Signature, parameter: Parameter, argument: Node) -> None:
    """A block must take what its command gives it, and no more."""
    if parameter.type_name not in FUNCTION_TYPES or not isinstance(argument, s.BlockLiteral):
        return
    taken = 1 if argument.parameters is None else len(argument.parameters)
    if taken != parameter.gives and argument.body.statements:
        message = f"the block of `{signature.name}` is given {_count(parameter.gives)}, this one takes {_count(taken)}"
        hint = "such as { |so_far, item| … }" if parameter.gives > 1 else "such as { |item| … }, or { $it … }"
        c.problem(argument, message, hint, code="block-arguments")


def literal_kind(node: Node) -> str | None:
    """The kind of an argument that is known before it runs."""
    if isinstance(node, s.Word):
        if node.is_text or len(node.parts) > 1:
            return None if any(not isinstance(part, s.Literal) for part in node.parts) else "string"
        node = node.parts[0]
    kinds: dict[type, str] = {s.ListLiteral: "list", s.RecordLiteral: "record", s.BlockLiteral: "block"}
    if isinstance(node, s.Literal):
        return g.literal_kind(node.value)
    return kinds.get(type(node))


def _count(number: int) -> str:
    return "no argument" if number == 0 else "one argument" if number == 1 else f"{number} arguments"


def _usage(signature: Signature) -> str:
    return f"usage: {signature.usage()}"


def checked(c: Compiler, signature: Signature, parameter: Parameter, argument: Node, value: _ast.expr) -> _ast.expr:
    """Adds the check of a value's kind that only the run can make."""
    if parameter.type_name in ("any", "word", "block") or literal_kind(argument) is not None:
        return value
    line = argument.id
    texts = [parameter.type_name, parameter.name, signature.usage()]
    return g.call("check_argument", [value, *(g.constant(text, line) for text in texts)], line)
