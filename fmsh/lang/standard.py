"""The standard library in fmsh: what a command on values is where its block has effects.

A command whose block only computes is a Python function, fused with its neighbours. The files of `stdlib/` say the same
in fmsh, one function of the same name for each command that takes a block, and their blocks may do anything. A program
that needs one gets its file as a module, which is stored with it: a job goes on with the library that it began with.

In these files a name means what it means anywhere, so a function there can use the command of its own name.
An error is shown at the call, as that of any command: the library itself is nobody's business.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang.bodies import Body, FunctionInfo, Label
from fmsh.lang.expressions import operands, spill
from fmsh.lang.modules import Module
from fmsh.lang.parser import parse
from fmsh.lang.piped import Piped
from fmsh.lang.pipelines import fitted_input, function_arguments, run_function
from fmsh.lang.purity import holds_block
from fmsh.lang.statements import announce_all, compile_statement
from fmsh.lang.tree import number, walk
from fmsh.lang.using import Namespace
from fmsh.machine import code as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.calls import Call
    from fmsh.lang.context import Compiler
    from fmsh.machine.library import PureCommand
    from fmsh.spans import Source


def call_standard(c: Compiler, b: Body, pure: PureCommand, given: Call) -> Piped:
    """A call with a block that has effects, or with one that a variable holds."""
    node = given.node
    piped = Piped(spill(c, b, node, fitted_input(c, b, pure.signature, given)), node)
    given = given.replace(piped=piped)
    return _call_held(c, b, pure, given) if holds_block(pure.signature, node) else _call(c, b, pure, given)


def _call(c: Compiler, b: Body, pure: PureCommand, given: Call) -> Piped:
    info = _function(c, pure.signature.name)
    return run_function(c, b, given, (info, _depth(b)), function_arguments(c, b, info.signature, given))


def _call_held(c: Compiler, b: Body, pure: PureCommand, given: Call) -> Piped:
    """A call with a block that a variable holds: whether it only computes is known when it runs."""
    assert given.piped is not None
    node, line, fed, otherwise, end = given.node, given.node.id, given.piped.value, Label(), Label()
    info, values = _function(c, pure.signature.name), _values(c, b, given)
    test, slot = b.hide(node), b.hide(node)
    parameter = next(each for each in pure.signature.parameters if each.type_name == "block")
    block, gives = parameter.name, g.constant(parameter.gives, line)
    b.emit(op.EVAL, node, test, c.generator.function(g.call("only_computes", [values[block]], line), line))
    b.emit(op.BRANCH, node, test, otherwise)
    flags = {name: value for name, value in values.items() if name != block}
    arguments = [fed, g.call("as_function", [values[block], gives], line)]
    computed = g.call(c.generator.bind("b", pure.function), arguments, line, **flags)
    b.emit(op.EVAL, node, slot, c.generator.function(computed, line))
    b.emit(op.JUMP, node, end)
    b.mark(otherwise)
    all_values = [*(values.get(parameter.name, g.name("UNSET", line)) for parameter in info.signature.parameters), fed]
    called = run_function(c, b, given.replace(mode="capture"), (info, _depth(b)), all_values)
    b.emit(op.EVAL, node, slot, c.generator.function(called.value, line))
    b.mark(end)
    return Piped(g.slot_of(0, slot, line), node)


def _values(c: Compiler, b: Body, given: Call) -> dict[str, _ast.expr]:
    """The values of the arguments, computed once for both ways."""
    nodes = {name: nodes[0] for name, nodes in given.bound.items() if nodes}
    values = operands(c, b, list(nodes.values()))
    return {name: spill(c, b, node, value) for (name, node), value in zip(nodes.items(), values, strict=True)}


def _depth(b: Body) -> int:
    """How many scopes up that of the main program is, in which the functions of modules live."""
    depth, current = 0, b
    while current.parent is not None:
        depth, current = depth + 1, current.parent
    return depth


def _function(c: Compiler, name: str) -> FunctionInfo:
    """The function for a command: of a file that the program was stored with, else of the library that is installed."""
    for index, file in enumerate(c.files):
        if file.is_standard and index not in c.namespaces:
            _compile_file(c, index)
    if name not in c.standard:
        source = c.library.standard(name)
        assert source is not None, f"no function of the standard library is called {name}"
        _compile_file(c, _added(c, source))
    return c.standard[name]


def _added(c: Compiler, source: Source) -> int:
    if not c.files:
        assert c.tree is not None
        c.files.append(Module(c.source, c.tree, ()))
    tree = parse(source)
    number(tree, sum(1 for file in c.files for _ in walk(file.tree)))
    c.files.append(Module(source, tree, (), is_standard=True))
    return len(c.files) - 1


def _compile_file(c: Compiler, index: int) -> None:
    assert c.main is not None
    body = c.files[index].tree.body
    namespace = c.namespaces[index] = Namespace(c.main, body.id)
    before = c.enter_file(index)
    announce_all(c, namespace, body)
    public = {name: info for name, info in namespace.own_functions.items() if not name.startswith("_")}
    namespace.functions = {name: info for name, info in namespace.functions.items() if name not in public}
    c.standard.update(public)
    for statement in body.statements:
        compile_statement(c, namespace, statement, is_last=False)
    c.leave_file(before)
