"""The forms that look something up: `which`, `help`, `path abs`, `path exists`; `load`, and `save` beside it.

What the system has is observed and recorded; what fmsh and the program itself have is known when they are compiled.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang.bodies import Body, find_function
from fmsh.lang.calls import Call, plain_text
from fmsh.lang.given import Form, Given, nothing, observation
from fmsh.lang.piped import Piped
from fmsh.lang.pipelines import fitted_input
from fmsh.machine import code as op
from fmsh.machine.signature import Parameter, Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang import syntax as s
    from fmsh.lang.context import Compiler

WHICH = Signature(
    "which",
    (Parameter("name", "positional", "string", help="as it is typed"),),
    help="Says what a command is: the path of a program, or that it is of fmsh or of this program. Without one\n"
    "it fails; as a condition it is then false.\n\n"
    "> which sort-by\nsort-by: a command of fmsh",
)


def _which(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, WHICH, node, piped)
    values = given.values("name")
    if "name" not in values:
        return nothing(node)
    line, argument = node.id, given.node_of("name")
    known = _known_here(c, b, (plain_text(argument) if argument is not None else None) or "")
    if known:
        return Piped(g.constant(True if mode == "condition" else known, line), node)
    environment = b.hide(node)
    b.emit(op.ENVIRONMENT, node, environment)
    read = [g.slot_of(0, environment, line), g.constant("PATH", line), g.constant(True, line)]
    path = g.call("get_field", read, line)
    found = observation(c, b, node, "program", {"name": values["name"], "path": path})
    judge = "is_found" if mode == "condition" else "found_program"
    return Piped(g.call(judge, [found.value], line), node)


def _known_here(c: Compiler, b: Body, name: str) -> str:
    """What a name is that no program of the system need have; "" if it is none."""
    if name in c.aliases:
        return f"{name}: an alias of this program"
    if find_function(b, name) is not None:
        return f"{name}: a function of this program"
    if c.parts.find_form(name) is not None or c.library.find(name) is not None:
        return f"{name}: a command of fmsh"
    return ""


HELP = Signature(
    "help",
    (Parameter("name", "rest", "string", False, help="one word or two"),),
    help="The help of a command, or the list of all.\n\n> help count | lines | first\nusage: … | count",
)


def _help(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    from fmsh.errors import UsageError
    from fmsh.lang import pages
    from fmsh.lang.arguments import help_text

    words = Given(c, b, HELP, node, piped).bound.get("name", [])
    names = [plain_text(word) for word in words]
    if None in names:
        c.problem(node, "`help` takes the name of a command as it is typed", "such as `help where`")
        return nothing(node)
    name = " ".join(str(each) for each in names)
    function = find_function(b, name)
    if function is not None:
        return Piped(g.constant(help_text(function[0].signature), node.id), node)
    try:
        return Piped(g.constant(pages.help_of(name, c.library), node.id), node)
    except UsageError as problem:
        c.problem(node, problem.message, problem.hint)
        return nothing(node)


def _of_path(name: str, operation: str, help: str) -> Form:
    signature = Signature(name, (), "text", True, help)

    def compile(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
        given = Given(c, b, signature, node, piped)
        if piped is None:
            return nothing(node)
        path = fitted_input(c, b, signature, Call(node, given.bound, piped, mode))
        return observation(c, b, node, operation, {"path": path})

    return Form(signature, compile)


LOAD = Signature(
    "load",
    (
        Parameter("file", "positional", "string"),
        Parameter("raw", "flag", "bool", False, help="as text, whatever the extension says"),
    ),
    help="Reads a file: by its extension json, jsonl, csv, tsv, yaml, toml or env, else as text.\n\n"
    "> '{\"a\": 1}' | save a.json; load a.json | get a\n1",
)
SAVE = Signature(
    "save",
    (Parameter("file", "positional", "string"),),
    "any",
    True,
    "Writes a value into a file, in one move: text, bytes and a secret as they are, else by its extension.\n\n"
    "> [{a: 1}, {a: 2}] | save a.csv; load a.csv --raw\na\n1\n2",
)


def _load(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    from fmsh.lang.loading import compile_load

    return compile_load(c, b, node, piped, LOAD)


def _save(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    from fmsh.lang.loading import compile_save

    return compile_save(c, b, node, piped, SAVE)


LOOKING_FORMS = {
    "load": Form(LOAD, _load),
    "save": Form(SAVE, _save),
    "which": Form(WHICH, _which, is_answer=True),
    "help": Form(HELP, _help),
    "path abs": _of_path(
        "path abs",
        "absolute",
        "Makes a path absolute, from the current directory, without `.` and `..`. It need not exist; links stay.\n\n"
        '> cd /usr; "lib/../bin" | path abs\n/usr/bin',
    ),
    "path exists": _of_path(
        "path exists",
        "exists",
        "Says whether there is a file or directory of that name; of a link, whether what it leads to is there.\n\n"
        '> "/usr" | path exists\ntrue\n\n'
        '> "/no/such/file" | path exists\nfalse',
    ),
}
