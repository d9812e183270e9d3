"""The forms of requests: `GET URL`, `POST URL BODY`, …, `http METHOD URL`; and `api`, which names a service once.

An `api` is a variable that no program can read, called `api NAME`: so it follows the scopes of the language.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import find_variable
from fmsh.lang.expressions import expression, spill
from fmsh.lang.given import Form, Given, flag, nothing, positional, record, request_with, stream_of
from fmsh.lang.piped import SOURCES, Piped
from fmsh.machine import code as op
from fmsh.machine.signature import Parameter, Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.bodies import Body, PythonBody
    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node

    AnyBody = Body | PythonBody

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

_OPTIONS = (
    flag("header", "record", "headers to send"),
    flag("query", "record", "fields of the query"),
    flag("timeout", "duration", "how long one attempt may take"),
    flag("retry", "int", "how many further tries"),
    Parameter("full", "flag", "bool", False, False, "", "gives status, headers, body, url and elapsed"),
    Parameter("follow", "flag", "bool", False, False, "", "follows redirects"),
    Parameter("no_follow", "flag", "bool", False, False, "", "does not follow redirects"),
    flag("auth", "any", "bearer:NAME or basic:user:NAME, NAME that of a secret"),
    flag("ok", "any", "statuses that are no error: 404,409"),
    Parameter("insecure", "flag", "bool", False, False, "", "does not verify the certificate"),
    flag("form", "record", "fields to send as a form"),
    flag("multipart", "record", "fields to send as a form in parts"),
    flag("attach", "record", "files to send with such a form, such as {photo: ./me.png}"),
    flag("file", "path", "a file to send as the body"),
    flag("save", "path", "the file that the answer goes to, replaced when it is whole"),
    Parameter("pages", "flag", "bool", False, False, "", "follows the links to further pages; their lists become one"),
    Parameter("stream", "flag", "bool", False, False, "", "gives events or lines of JSON one by one, as they come"),
    flag("secret", "any", "the field of the answer that is a secret, such as access_token; or a list of such"),
)


def _signature(method: str) -> Signature:
    url, body = positional("url"), positional("body", is_required=False)
    article = "an" if method[0] in "AEIOU" else "a"
    help = f"Sends {article} {method} request; gives the decoded body."
    return Signature(method, (url, body, *_OPTIONS), "any", False, help)


HTTP = Signature(
    "http",
    (positional("method", "string"), positional("url"), positional("body", is_required=False), *_OPTIONS),
    "any",
    False,
    "Sends a request with any method.",
)


def _request(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    if is_streamed(c, b, node):
        return stream_of(c, b, node, piped, mode)
    return request_with(c, b, node, "http", "request", request_arguments(c, b, node, piped))


def is_streamed(c: Compiler, b: AnyBody, stage: Node) -> bool:
    """Whether a stage is a request whose answer is read as a stream, or another source of values."""
    if not isinstance(stage, s.Command) or stage.is_external:
        return False
    if c.literal_name(stage) in SOURCES:
        return is_source(c, stage) and c.find_function(b, stage) is None
    if c.literal_name(stage) not in REQUEST_FORMS:
        return False
    has_flag = any(isinstance(argument, s.Flag) and argument.name == "--stream" for argument in stage.arguments)
    return has_flag and c.literal_name(stage) != "api" and c.find_function(b, stage) is None


def is_source(c: Compiler, stage: s.Command) -> bool:
    """Whether a command that is no request begins a stream: `follow`; `every` and `cron`, if they have no block."""
    name = c.literal_name(stage)
    if name == "follow":
        return True
    return name in SOURCES and not any(isinstance(argument, s.BlockLiteral) for argument in stage.arguments)


def request_arguments(c: Compiler, b: Body, node: s.Command, piped: Piped | None) -> _ast.expr:
    """The record of what is asked of the connector; of a stream also which connector that is."""
    name = c.literal_name(node)
    signature = HTTP if name == "http" else REQUEST_FORMS[name].signature
    given = Given(c, b, signature, node, None)
    _read_as_address(given)
    fixed: dict[str, _ast.expr] = {} if name == "http" else {"method": g.constant(name, node.id)}
    if piped is not None:
        if given.has("body"):
            c.problem(node, f"`{name}` has a body already: leave out the argument, or the pipe")
        for other in ("form", "multipart", "attach", "file"):
            if given.has(other):
                c.problem(node, f"`--{other}` is the body already: leave it out, or the pipe")
        fixed["body"] = spill(c, b, piped.node, piped.value)
    if given.has("save") and given.has("pages"):
        c.problem(node, "--pages gives one list, and --save keeps one answer", "leave one out")
    if given.has("stream"):
        _check_stream(c, node, given)
        fixed["source"] = g.list_of([g.constant("http", node.id), g.constant("request", node.id)], node.id)
    options = [parameter.name for parameter in _OPTIONS if parameter.name != "stream"]
    values = fixed | _renamed(given.values("method", "url", "body", *options))
    if "no_follow" in values:
        del values["no_follow"]
        values["follow"] = g.constant(False, node.id)
    if node.id in c.secret_sources:
        values["secret"] = g.constant(True, node.id)
    arguments = record(values, node.id)
    api_name = _api_of(b, given.node_of("url"))
    if api_name:
        from fmsh.lang.locking import compile_service_pace  # few programs have any

        api = expression(c, b, _variable(node, f"api {api_name}"))
        compile_service_pace(c, b, node, api, api_name)
        arguments = g.call("through_api", [api, g.constant(api_name, node.id), arguments], node.id)
    return arguments


def _check_stream(c: Compiler, node: s.Command, given: Given) -> None:
    for other in ("save", "pages", "secret"):
        if given.has(other):
            c.problem(node, f"--stream gives what comes as it comes, and --{other} needs it whole", "leave one out")
    if node.id in c.secret_sources:
        c.problem(node, "--stream gives what comes as it comes, and a secret is whole", "leave out --stream")


def _read_as_address(given: Given) -> None:
    """A string in double quotes encodes what is put into it, as a plain address does."""
    node = given.node_of("url")
    if isinstance(node, s.Word) and len(node.parts) == 1:
        node = node.parts[0]
    if isinstance(node, s.Template):
        address = s.Word(node.span, node.parts, is_text=True, is_url=True)
        address.id = node.id
        given.bound["url"] = [address]


# ---- Services --------------------------------------------------------------------------------------------------------

_DEFAULTS = ("header", "query", "timeout", "retry", "auth", "insecure")
API = Signature(
    "api",
    (
        positional("name", "string", help="how requests name it: GET NAME/path"),
        positional("url", help="its base address"),
        *(parameter for parameter in _OPTIONS if parameter.name in _DEFAULTS),
        flag("rate", "string", "how many requests of all jobs may begin in a time, evenly: 10/s, 100/m, 1/h"),
    ),
    help="Names a service: its address, credentials and defaults, for `GET NAME/path`.",
)


def _api(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, API, node, piped)
    name = _literal_head(given.node_of("name"))
    if given.has("name") and not _is_name(name):
        c.problem(node, "the name of an api is a word of letters, digits, _ and -", f"usage: {API.usage()}")
    values = _renamed(given.values("url", *_DEFAULTS, "rate"))
    if "rate" in values:
        from fmsh.lang.locking import rate_interval  # few programs have any

        values["interval"] = rate_interval(c, given, values.pop("rate"))
    slot = b.declare(f"api {name}", node)
    b.emit(op.EVAL, node, slot, c.generator.function(record(values, node.id), node.id))
    return nothing(node)


def _renamed(values: dict[str, _ast.expr]) -> dict[str, _ast.expr]:
    """The arguments of the connector in the place of the flags that have another name."""
    if "retry" in values:
        values["retry"] = g.call("request_retries", [values["retry"]], values["retry"].lineno)
    return {_ARGUMENTS.get(name, name): value for name, value in values.items()}


_ARGUMENTS = {"header": "headers", "retry": "retries"}


def _api_of(b: Body, url: Node | None) -> str:
    """The api that an address begins with; "" for an address of its own."""
    head = _literal_head(url)
    for mark in "/?#":
        head = head.partition(mark)[0]
    return head if head and find_variable(b, f"api {head}") is not None else ""


def _literal_head(node: Node | None) -> str:
    """The literal text that a word begins with."""
    first = node.parts[0] if isinstance(node, s.Word) and node.parts else node
    if not isinstance(first, s.Literal):
        return ""
    return first.value if isinstance(first.value, str) else str(first.spelling)


def _is_name(text: str) -> bool:
    return text.replace("-", "_").isidentifier() and text.isascii()


def _variable(node: Node, name: str) -> s.Variable:
    found = s.Variable(node.span, name)
    found.id = node.id
    return found


REQUEST_FORMS = {method: Form(_signature(method), _request) for method in METHODS}
REQUEST_FORMS |= {"http": Form(HTTP, _request), "api": Form(API, _api)}
