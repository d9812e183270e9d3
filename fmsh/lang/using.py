"""`use`: the functions of another file.

The statements of a module run once, where it is first used, in the scope of the main program: its variables are slots
there, under names that only the module knows. So its functions find them like any outer variable.
"""

from __future__ import annotations

from fmsh.lang import statements
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body, FunctionInfo
from fmsh.lang.modules import name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node

MODULE = "module"  # the kind of a body that stands for the top of a module


class Namespace(Body):
    """The names of a module. Its code is that of the main program."""

    def __init__(self, main: Body, id: int) -> None:
        super().__init__(id, MODULE, None)
        self.code = main.code
        self.variables = {}
        self.names = {"job": main.names["job"]}
        self.has_run = False


def announce(c: Compiler, b: Body, node: s.Use) -> None:
    """Makes the functions of a module known to the file that uses it."""
    if b.kind not in ("main", MODULE):
        c.problem(node, "`use` stands at the top of a file, not in a block", "put it before the other statements")
        return
    index = c.module_of(node)
    if index is None:
        c.problem(node, "modules are not known here", "check the file that uses them")
        return
    namespace = _namespace(c, b, index)
    public = {name: info for name, info in namespace.own_functions.items() if not name.startswith("_")}
    if node.is_open:
        _take_all(c, b, node, public)
        return
    name = name_of(node)
    if not name or not (name[0].isalpha() or name[0] == "_") or not name.replace("-", "_").isidentifier():
        hint = "rename the file: letters, digits, `_` and `-`; or take its functions without a prefix: `use FILE *`"
        c.problem(node.path, f"`{name}` cannot be the name of a module", hint)
        return
    if b.modules.get(name, index) != index:
        c.problem(node.path, f"another module is called `{name}` already", "rename one of the files")
    b.modules[name] = index
    for function, info in public.items():
        signature = info.signature.replace(name=f"{name} {function}")
        b.functions[f"{name} {function}"] = FunctionInfo(
            info.node, signature, info.body, streams_input=info.streams_input
        )


def _take_all(c: Compiler, b: Body, node: s.Use, public: dict[str, FunctionInfo]) -> None:
    for name, info in public.items():
        other = b.functions.get(name)
        if other is not None and other.node is not info.node:
            c.problem(node.path, f"there is another `{name}` already", "use the module with its prefix: without `*`")
        b.functions.setdefault(name, info)


def _namespace(c: Compiler, b: Body, index: int) -> Namespace:
    """The names of a module; announced when they are first asked for."""
    if index in c.namespaces:
        return c.namespaces[index]
    main = b if b.kind == "main" else c.main
    assert main is not None
    namespace = c.namespaces[index] = Namespace(main, c.files[index].tree.body.id)
    with_file = c.enter_file(index)
    statements.announce_all(c, namespace, c.files[index].tree.body)
    c.leave_file(with_file)
    return namespace


def run(c: Compiler, b: Body, node: s.Use) -> None:
    """Compiles the statements of a module where it is first used."""
    index = c.module_of(node)
    namespace = None if index is None else c.namespaces.get(index)
    if index is None or namespace is None or namespace.has_run:
        return
    namespace.has_run = True
    with_file = c.enter_file(index)
    for statement in c.files[index].tree.body.statements:
        _refuse(c, statement)
        statements.compile_statement(c, namespace, statement, is_last=False)
    c.leave_file(with_file)


def _refuse(c: Compiler, statement: Node) -> None:
    last = statement.links[-1].pipeline if isinstance(statement, s.Chain) and statement.links else None
    first = statement.first if isinstance(statement, s.Chain) else None
    for pipeline in (first, last):
        if pipeline is not None and isinstance(pipeline.stages[-1], s.Return):
            c.problem(pipeline, "`return` does not belong to the top of a module", "put it into a `def`")
