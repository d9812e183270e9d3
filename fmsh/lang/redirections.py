"""Redirections: of external commands a part of their request, of everything else requests of their own.

What fmsh itself makes is written as a pipe would carry it, in one move after the stage has succeeded. A stage that is
not a value alone (a function, a group, `print`) runs in a frame that keeps what would be displayed (`op.CAPTURE`).
Files are looked at before the stage begins, so that no effect happens whose output has nowhere to go.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body
from fmsh.lang.expressions import expression, spill
from fmsh.lang.given import nothing, record
from fmsh.lang.piped import Piped, position_of
from fmsh.lang.pipelines import stage_piped
from fmsh.lang.purity import is_pure
from fmsh.machine import code as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.context import Compiler

READS = ("<", "<<", "<<<")
TEXTS = ("<<", "<<<")
# Devices that are the stage's own streams: to open them again would cut off what a file behind them holds already.
_STREAMS = {"/dev/stdout": "out", "/dev/stderr": "err"}


def external_redirections(c: Compiler, b: Body, command: s.Command) -> _ast.expr:
    """The redirections of an external command as a part of its request: `[[operator, path, text or null], …]`."""
    made = []
    for redirection in command.redirections:
        operator, line = redirection.operator, redirection.id
        stream = _stream(redirection)
        if stream is not None:
            is_errors = operator.startswith("2")
            if is_errors == (stream == "err"):
                continue
            operator, target = (">&2" if stream == "err" else "2>&1"), g.constant(None, line)
        else:
            target = spill(c, b, redirection, _target(c, b, redirection))
        made.append(g.list_of([g.constant(operator, line), target], line))
    return g.list_of(made, command.id)


def _stream(redirection: s.Redirection) -> str | None:
    """The stream whose device is written to; None for any other file."""
    if redirection.operator not in (">", ">>", "2>", "2>>") or redirection.target is None:
        return None
    return _STREAMS.get(_plain_text(redirection.target) or "")


def _target(c: Compiler, b: Body, redirection: s.Redirection) -> _ast.expr:
    """The path of a redirection, or the text of `<<` and `<<<`."""
    line, is_line = redirection.id, redirection.operator == "<<<"
    if redirection.target is None:
        return g.constant(None, line)
    text = _plain_text(redirection.target)
    if text is not None and (text or redirection.operator in TEXTS):
        return g.constant(text + "\n" * is_line, line)
    value = expression(c, b, redirection.target)
    if redirection.operator in TEXTS:
        arguments = [value, g.name("to_text", line), g.constant(is_line, line)]
        return g.call("redirected_text", arguments, line)
    return g.call("redirected_path", [value, g.name("to_text", line)], line)


def _plain_text(node: s.Node) -> str | None:
    """The text of a target that is known before it runs."""
    if isinstance(node, s.Word) and len(node.parts) == 1:
        node = node.parts[0]
    return node.value if isinstance(node, s.Literal) and isinstance(node.value, str) else None


class _Routes:
    """Where the two streams of a stage go: "out" and "err" are where they would go anyway, a number is a file."""

    def __init__(self, redirections: tuple[s.Redirection, ...]) -> None:
        self.out: str | int = "out"
        self.err: str | int = "err"
        self.files: list[s.Redirection] = []
        self.input: s.Redirection | None = None
        self.node = redirections[0]
        for redirection in redirections:
            self._add(redirection, redirection.operator)

    def _add(self, redirection: s.Redirection, operator: str) -> None:
        if operator in READS:
            self.input = redirection
        elif operator == "2>&1":
            self.err = self.out
        elif operator == ">&2":
            self.out = self.err
        else:
            stream = _stream(redirection)
            goes_to: str | int = len(self.files) if stream is None else self.out if stream == "out" else self.err
            if stream is None:
                self.files.append(redirection)
            if not operator.startswith("2"):
                self.out = goes_to
            if operator.startswith(("2", "&")):
                self.err = goes_to


def redirected(c: Compiler, b: Body, stage: s.Command | s.Group, piped: Piped | None, mode: str) -> Piped:
    """Compiles a stage of fmsh with redirections."""
    routes = _Routes(stage.redirections)
    plain = stage.replace(redirections=())
    plain.id = stage.id
    if routes.input is not None:
        piped = _input(c, b, routes.input)
    is_value = isinstance(plain, s.Command) and is_pure(c, b, plain)
    paths = [spill(c, b, file, _target(c, b, file)) for file in routes.files]
    if is_value:
        return _value(c, b, plain, piped, mode, routes, paths)
    for file, path in zip(routes.files, paths, strict=True):
        looked = c.generator.function(record({"path": path}, file.id), file.id)
        b.emit(op.OBSERVE, file, b.hide(file), "writable", looked)
    return _captured(c, b, plain, piped, mode, routes, paths)


def _input(c: Compiler, b: Body, node: s.Redirection) -> Piped:
    target = _target(c, b, node)
    if node.operator in TEXTS:
        return Piped(target, node, is_output=True)
    slot = b.hide(node)
    b.emit(op.OBSERVE, node, slot, "read", c.generator.function(record({"path": target}, node.id), node.id))
    return Piped(g.slot_of(0, slot, node.id), node, is_output=True)


def _value(
    c: Compiler, b: Body, plain: s.Command, piped: Piped | None, mode: str, routes: _Routes, paths: list[_ast.expr]
) -> Piped:
    """A stage that only computes: it says nothing but its value."""
    made = stage_piped(c, b, plain, piped, "capture")
    line = plain.id
    value = made.value if routes.out == "out" and not routes.files else spill(c, b, plain, made.value)
    for index, (file, path) in enumerate(zip(routes.files, paths, strict=True)):
        _write(c, b, file, path, _carried(value, made, line) if routes.out == index else g.constant(None, line))
    if routes.out == "err":
        _say_error(c, b, plain, value)
    return made if routes.out == "out" and not routes.files else _passed_on(value, made, routes)


def _passed_on(value: _ast.expr, made: Piped, routes: _Routes) -> Piped:
    if routes.out != "out":
        return nothing(made.node)
    return Piped(value, made.node, is_output=made.is_output, displays=made.displays)


def _carried(value: _ast.expr, made: Piped, line: int) -> _ast.expr:
    """A value as a pipe carries it; the text of `echo` goes with its newline."""
    is_line = g.constant(made.displays == "uncaptured", line)
    return g.call("process_input", [value, g.name("to_text", line), is_line], line)


def _write(c: Compiler, b: Body, file: s.Redirection, path: _ast.expr, data: _ast.expr) -> None:
    line = file.id
    arguments = {"path": path, "data": data, "append": g.constant(">>" in file.operator, line)}
    b.emit(op.REQUEST, file, b.hide(file), "file", "write", c.generator.function(record(arguments, line), line))


def _say_error(c: Compiler, b: Body, node: s.Node, value: _ast.expr) -> None:
    import _ast as python

    line = node.id
    elements = [g.call("display", [value], line), g.constant("err", line)]
    shown = g.at(python.Tuple(elts=elements, ctx=python.Load()), line)
    b.emit(op.DISPLAY, node, c.generator.function(shown, line), "always")


def _captured(
    c: Compiler,
    b: Body,
    plain: s.Command | s.Group,
    piped: Piped | None,
    mode: str,
    routes: _Routes,
    paths: list[_ast.expr],
) -> Piped:
    """A stage that may display and say things on its way: it runs in a frame that keeps or turns its streams."""
    joins = mode == "capture" and routes.out == routes.err == "out"  # `f 2>&1 | …`: all that it says is its value
    inner = Body(routes.node.id, "body", b)
    if piped is not None:
        slot = b.hide(plain)
        b.emit(op.EVAL, plain, slot, c.generator.function(piped.value, plain.id))
        piped = Piped(g.slot_of(1, slot, plain.id), piped.node, is_output=piped.is_output, displays=piped.displays)
    made = stage_piped(c, inner, plain, piped, "tail")
    inner.emit(op.EVAL, plain, 0, c.generator.function(made.value, plain.id))
    sink = {
        "out": "keep" if joins or isinstance(routes.out, int) else routes.out,
        "err": "keep" if joins or isinstance(routes.err, int) else routes.err,
    }
    is_shown = joins or routes.out != "out"
    position = "show" if is_shown else position_of(mode)
    slot, line = b.hide(plain), plain.id
    b.emit(op.CAPTURE, plain, slot, c.add(inner), sink, position)
    result = g.slot_of(0, slot, line)
    says_value = made.displays != "never"
    value = g.call("captured_value", [result], line)
    if routes.out == "err" and says_value:
        _say_error(c, b, plain, value)
    rest = _carried(value, made, line) if says_value else g.constant(None, line)
    for index, (file, path) in enumerate(zip(routes.files, paths, strict=True)):
        streams = [stream for stream, goes_to in (("out", routes.out), ("err", routes.err)) if goes_to == index]
        arguments = [result, g.list_of([g.constant(stream, line) for stream in streams], line)]
        if routes.out == index:
            arguments.append(rest)
        _write(c, b, file, path, g.call("captured_text", arguments, line))
    if joins:
        both = g.list_of([g.constant("out", line), g.constant("err", line)], line)
        said = g.call("captured_output", [result, both, rest], line)
        return Piped(said, plain, is_output=True, displays="uncaptured")
    return _passed_on(value, made, routes)
