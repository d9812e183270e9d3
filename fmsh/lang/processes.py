"""External commands: a run of adjacent ones is one request to the process connector."""

from __future__ import annotations

import _ast

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body, PythonBody
from fmsh.lang.expressions import expression, operands, spill
from fmsh.lang.piped import Piped
from fmsh.lang.purity import is_pure
from fmsh.lang.runtime import process_condition, process_value
from fmsh.machine import code as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node
    from fmsh.machine.code import Function


BRACE_WORDS_MAX = 10_000  # two braces of a hundred; what the system takes as arguments is not much more


def processes(c: Compiler, b: Body, run: list[s.Command], piped: Piped | None, *, mode: str) -> Piped:
    """Compiles a run. `mode` is that of a pipeline, or "condition": its value is then whether it succeeded."""
    first = run[0]
    line = first.id
    arguments, names = request_arguments(c, b, run, piped)
    slot = b.hide(first)
    how = {"capture": "capture", "tail": "tail"}.get(mode, "display")
    b.emit(op.PROCESS, first, slot, constant_or_function(c, arguments, line), how)
    done = b.hide(first)
    b.emit(op.EVAL, first, done, _judged(slot, names, is_condition=mode == "condition"))
    return Piped(g.slot_of(0, done, line), first, is_output=True, displays="never")


def request_arguments(c: Compiler, b: Body, run: list[s.Command], piped: Piped | None) -> tuple[_ast.expr, list[str]]:
    """The arguments of a run's request, and the names of its commands for errors."""
    first = run[0]
    run = [_without_alias(c, command) for command in run]
    given = _input(c, b, run, piped)
    stages = [_stage(c, b, command) for command in run]
    fields = {"stages": g.list_of(stages, first.id), "input": given}
    if first.id in c.secret_sources:
        fields["is_secret"] = g.constant(True, first.id)
    return _dict(fields, first.id), [c.literal_name(command) or "command" for command in run]


def _without_alias(c: Compiler, command: s.Command) -> s.Command:
    target = c.aliases.get(c.literal_name(command))
    if target is None or command.is_external or target is command:
        return command
    return join_alias(command, target, is_external=True)


def join_alias(command: s.Command, target: s.Command, *, is_external: bool) -> s.Command:
    """The command that an alias stands for, with all that was written after the alias."""
    joined = s.Command(
        command.span,
        target.name,
        (*target.arguments, *command.arguments),
        (*target.redirections, *command.redirections),
        (*target.environment, *command.environment),
        is_external,
    )
    joined.id = command.id
    return joined


def _input(c: Compiler, b: Body, run: list[s.Command], piped: Piped | None) -> _ast.expr:
    if piped is None:
        return g.constant(None, run[0].id)
    line = piped.node.id
    is_line = piped.displays == "uncaptured"  # the text of `echo` goes with its newline
    value = g.call("process_input", [piped.value, g.name("to_text", line), g.constant(is_line, line)], line)
    parts = [part for command in run for part in (*command.arguments, *command.environment, *command.redirections)]
    return value if all(is_pure(c, b, part) for part in parts) else spill(c, b, piped.node, value)


def _dict(items: dict[str, _ast.expr], line: int) -> _ast.expr:
    keys: list[_ast.expr | None] = [g.constant(key, line) for key in items]
    return g.at(_ast.Dict(keys=keys, values=list(items.values())), line)  # type: ignore[no-any-return]


def constant_or_function(c: Compiler, value: _ast.expr, line: int) -> object:
    """A command without variables needs no generated function, so that a simple line starts at once."""
    try:
        return g.constant_function(_folded(value))
    except ValueError:
        return c.generator.function(value, line)


def _folded(node: _ast.expr) -> object:
    if isinstance(node, _ast.Constant):
        return node.value
    if isinstance(node, _ast.List):
        return [_folded(item) for item in node.elts]
    if isinstance(node, _ast.Dict):
        return {
            _folded(key): _folded(item) for key, item in zip(node.keys, node.values, strict=True) if key is not None
        }
    raise ValueError("not constant")


def _judged(slot: int, names: list[str], *, is_condition: bool) -> Function:
    judge = process_condition if is_condition else process_value
    return lambda scope: judge(scope.slots[slot], names)


def _stage(c: Compiler, b: Body, command: s.Command) -> _ast.expr:
    words: list[Node] = [command.name, *command.arguments]
    argv: list[_ast.expr] = []
    last_effect = max((index for index, word in enumerate(words) if not is_pure(c, b, word)), default=-1)
    for index, argument in enumerate(words):
        _refuse_block(c, command, argument)
        made = _arguments(c, b, argument)
        if command.redirections or index < last_effect:
            made = [spill(c, b, argument, value) if not isinstance(value, _ast.Starred) else value for value in made]
        argv += made
    values = operands(c, b, [item.value for item in command.environment])
    environment = _dict({item.name: value for item, value in zip(command.environment, values, strict=True)}, command.id)
    if command.environment:
        environment = g.call("environment_items", [environment, g.name("to_text", command.id)], command.id)
    parts = {"argv": g.list_of(argv, command.id), "environment": environment}
    if command.redirections:
        from fmsh.lang.redirections import external_redirections  # few lines have any

        parts["redirections"] = external_redirections(c, b, command)
    return _dict(parts, command.id)


def _refuse_block(c: Compiler, command: s.Command, argument: Node) -> None:
    """A block is handed to no program, so its name is a mistake."""
    if not isinstance(argument, s.BlockLiteral) or not argument.body.statements:
        return
    from difflib import get_close_matches

    from fmsh.lang.elsewhere import ELSEWHERE

    name = c.literal_name(command) or "this"
    close = get_close_matches(name, c.library.names(), 1)
    hint = ELSEWHERE.get(name) or (f"did you mean `{close[0]}`?" if close else "write a list or text in its place")
    message = f"`{name}` is no command of fmsh, and a program of the system takes no block"
    c.problem(argument, message, hint, code="block-for-program")


def _arguments(c: Compiler, b: Body, node: Node) -> list[_ast.expr]:
    """One argument as typed becomes one or more arguments of the process."""
    if isinstance(node, s.Flag):
        return _flag(c, b, node)
    if isinstance(node, s.Spread):
        inner = g.call("spread_list", [expression(c, b, node.value)], node.id)
        return [g.starred(g.call("process_arguments", [inner, g.name("to_text", node.id)], node.id), node.id)]
    if isinstance(node, s.Literal):
        return [g.constant(node.value if isinstance(node.value, str) else node.spelling, node.id)]
    if isinstance(node, s.Word):
        return expand_word(c, b, node)
    if isinstance(node, s.BlockLiteral) and not node.body.statements:
        return [g.constant("{}", node.id)]  # `find -exec ls {} \;`
    return [_text(c, b, node)]


def _flag(c: Compiler, b: Body, node: s.Flag) -> list[_ast.expr]:
    if node.value is None:
        return [g.constant(node.name, node.id)]
    parts = [g.constant(node.name + "=", node.id), *_arguments(c, b, node.value)]
    return [g.call("join_text", [g.list_of(parts, node.id)], node.id)]


def _text(c: Compiler, b: Body, node: Node) -> _ast.expr:
    return g.call("process_argument", [expression(c, b, node), g.name("to_text", node.id)], node.id)


def expand_word(c: Compiler, b: Body, word: s.Word) -> list[_ast.expr]:
    """Expands the braces and globs of a word; gives Python expressions, starred where there may be several."""
    made: list[_ast.expr] = []
    if _count_words(word.parts) > BRACE_WORDS_MAX:
        hint = "make the list with `for` or `each`"
        c.problem(word, f"the braces stand for more than {BRACE_WORDS_MAX} words (BRACE_WORDS_MAX)", hint, code="limit")
        return made
    for parts in _without_braces(word.parts):
        if any(isinstance(part, s.Glob) for part in parts):
            made.append(_paths(c, b, word, parts))
        elif len(parts) == 1 and isinstance(parts[0], s.Literal):
            literal = parts[0]
            made.append(g.constant(literal.value if isinstance(literal.value, str) else literal.spelling, word.id))
        else:
            plain = s.Word(word.span, tuple(parts), word.is_text, word.is_url)  # type: ignore[arg-type]
            plain.id = word.id
            made.append(_text(c, b, plain))
    return made


def _count_words(parts: Sequence[Node]) -> int:
    """How many words the braces of a word stand for; it stops to count where these are too many."""
    count = 1
    for part in parts:
        if isinstance(part, s.Braces) and count <= BRACE_WORDS_MAX:
            count *= sum(_count_words(word.parts) for word in part.alternatives)
    return count


def _without_braces(parts: tuple[Node, ...]) -> list[list[Node]]:
    expanded: list[list[Node]] = [[]]
    for part in parts:
        options = [[part]]
        if isinstance(part, s.Braces):
            options = [option for word in part.alternatives for option in _without_braces(word.parts)]
        expanded = [[*before, *option] for before in expanded for option in options]
    return expanded


def _paths(c: Compiler, b: Body, word: s.Word, parts: list[Node]) -> _ast.expr:
    """The paths that a pattern matches: an observation. What is not pattern is matched to the letter."""
    line = word.id
    values = [
        g.constant(part.pattern, line)
        if isinstance(part, s.Glob)
        else g.call("glob_literal", [expression(c, b, part)], line)
        for part in parts
    ]
    pattern = g.call("join_text", [g.list_of(values, line)], line)
    slot = b.hide(word)
    b.emit(op.OBSERVE, word, slot, "glob", c.generator.function(_dict({"pattern": pattern}, line), line))
    return g.starred(g.slot_of(0, slot, line), line)


def path_words(c: Compiler, b: Body | PythonBody, node: s.Word) -> _ast.expr:
    """A word with a glob or braces where one value is taken: the list of paths."""
    assert isinstance(b, Body)
    return g.list_of(expand_word(c, b, node), node.id)
