"""What a check warns of beyond what the compiler finds: programs that run, and do not what they seem to.

Each rule is a function of one node; the text alone decides, and which names are the program's own. Nothing here can
stop a program.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic
from fmsh.lang import syntax as s
from fmsh.lang.calls import plain_text
from fmsh.lang.tree import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fmsh.lang.syntax import Node
    from fmsh.spans import Source

    Found = Iterator[tuple[Node, str, str, str]]  # where, what, what to write, and a name of the rule

# Commands whose status is an answer, with the first argument that makes it one; "" for any.
ANSWERS = {"test": "", "grep": "-q", "which": "", "diff": "-q", "cmp": "-s", "egrep": "-q", "rg": "-q"}

# Tools of the system that know lines, and what of fmsh knows values.
VALUE_COMMANDS = {
    "sort": "sort-by { $it }",
    "uniq": "unique",
    "head": "first N",
    "tail": "last N",
    "wc": "count",
    "join": "str join",
    "cut": "select",
}


def lint(source: Source, tree: s.Program) -> list[Diagnostic]:
    """Gives the warnings of one file."""
    own = {node.name for node in walk(tree) if isinstance(node, s.Def | s.Alias)}
    problems = []
    for node in walk(tree):
        for rule in _RULES.get(type(node), ()):
            for where, message, hint, code in rule(node, own):
                problems.append(Diagnostic(source, where.span, message, hint, "warning", code))
    return problems


# ---- Chains and pipelines --------------------------------------------------------------------------------------------


def _answer_before_and(body: s.Body, own: set[str]) -> Found:
    """`test -f x && y` as a statement: where the test says no, the statement fails, and ends the script."""
    for statement in body.statements:
        if not isinstance(statement, s.Chain):
            continue
        lefts = [statement.first, *(link.pipeline for link in statement.links)]
        operators = [link.operator for link in statement.links]
        for left, operator in zip(lefts, operators, strict=False):
            if operator == "&&" and "||" not in operators and not left.is_negated:
                name = _asks(left.stages[-1], own)
                if name:
                    message = f"where `{name}` says no, this fails and ends what it stands in"
                    yield left, message, f"write `if {name} … {{ … }}`", "answer-before-and"


def _asks(stage: Node, own: set[str]) -> str:
    """The name of a command whose status is an answer."""
    name = (plain_text(stage.name) or "") if isinstance(stage, s.Command) else ""
    if not isinstance(stage, s.Command) or name in own or name not in ANSWERS:
        return ""
    needed = ANSWERS[name]
    flags = [argument.name for argument in stage.arguments if isinstance(argument, s.Flag)]
    return name if not needed or any(needed[1] in flag and not flag.startswith("--") for flag in flags) else ""


def _list_into_tool(pipeline: s.Pipeline, own: set[str]) -> Found:
    """`$list | sort`: it sorts the lines that the list becomes."""
    if len(pipeline.stages) < 2 or not isinstance(pipeline.stages[0], s.ExpressionStage):
        return
    first, second = pipeline.stages[0].value, pipeline.stages[1]
    name = (plain_text(second.name) or "") if isinstance(second, s.Command) else ""
    is_value = isinstance(first, s.Variable | s.Path | s.ListLiteral)
    if is_value and name in VALUE_COMMANDS and name not in own and not getattr(second, "is_external", False):
        message = f"`{name}` is the tool of the system: the value goes into it as lines of text"
        hint = f"on values use `{VALUE_COMMANDS[name]}`; if lines are meant, write `^{name}`"
        yield second, message, hint, "value-into-tool"


def _field_as_word(block: s.BlockLiteral, own: set[str]) -> Found:
    """`each { echo .name }`: an argument that begins with a dot is a word."""
    for node in walk(block.body):
        if isinstance(node, s.Command) and plain_text(node.name) in ("echo", "print"):
            for argument in node.arguments:
                text = plain_text(argument) or ""
                if text[:1] == "." and text[1:].replace(".", "").isidentifier():
                    hint = f"for the field write `$it{text}`, for the text quote it"
                    yield argument, f"`{text}` is a word here, not the field of $it", hint, "field-as-word"


# ---- Values ----------------------------------------------------------------------------------------------------------


def _version_in_record(entry: s.Entry, own: set[str]) -> Found:
    key = entry.key.value if isinstance(entry.key, s.Literal) else ""
    yield from _version(entry.value, str(key))


def _version_in_let(statement: s.Let, own: set[str]) -> Found:
    stages = statement.value.first.stages
    name = statement.pattern.name if isinstance(statement.pattern, s.NamePattern) else ""
    if not statement.value.links and len(stages) == 1 and isinstance(stages[0], s.ExpressionStage):
        yield from _version(stages[0].value, name)


def _version(value: Node, name: str) -> Found:
    """`{version: 1.10}` is the number 1.1."""
    if not isinstance(value, s.Literal) or type(value.value) is not float or "e" in value.spelling.lower():
        return
    if repr(value.value) != value.spelling or "version" in name.lower():
        message = f"{value.spelling} is a number here: {value.value!r}"
        yield value, message, f'if it is a version or a name, quote it: "{value.spelling}"', "version-as-number"


def _dollar_as_text(template: s.Literal, own: set[str]) -> Found:
    """`"$1"`: in a string a `$` before anything but a name or a bracket is text."""
    if template.spelling in _AS_TEXT:
        message = f"{template.spelling} is the text {template.value} here"
        yield template, message, "write `$args`, `$args[0]`, or what `param` names", "dollar-as-text"


_AS_TEXT = frozenset(f'"${character}"' for character in "123456789@*#?")


# ---- Match -----------------------------------------------------------------------------------------------------------


def _glob_in_match(pattern: s.LiteralPattern, own: set[str]) -> Found:
    """`match $x { *.txt => … }`: in bash that is a pattern, here it is text."""
    value = pattern.value
    text = value.value if isinstance(value, s.Literal) and value.spelling[:1] not in ("'", '"') else None
    if isinstance(text, str) and not {"*", "?"}.isdisjoint(text):
        hint = "write `$x if $x =~ 'REGEX' => { … }`; if the text is meant, quote it"
        yield pattern, f"{text} is the text itself here, and no pattern of names", hint, "glob-in-match"


def _unreachable_arm(match: s.Match, own: set[str]) -> Found:
    """An arm whose every value an arm before it takes."""
    taken: list[Node] = []
    takes_all = False
    for arm in match.arms:
        options = arm.pattern.alternatives if isinstance(arm.pattern, s.AlternativePattern) else (arm.pattern,)
        if takes_all:
            yield arm.pattern, "this arm is never reached: one before it takes every value", "put it first", _ARM
        else:
            for option in options:
                if any(_covers(before, option) for before in taken):
                    hint = "leave it out, or put it before that one"
                    yield option, "this is never reached: an arm before it takes it", hint, _ARM
        if arm.guard is None:
            taken += options
            takes_all = takes_all or any(isinstance(option, s.NamePattern) for option in options)


_ARM = "unreachable-arm"


def _covers(before: Node, option: Node) -> bool:
    """Whether a pattern takes all that another takes, as far as their text shows."""
    if isinstance(before, s.NamePattern):
        return True
    if isinstance(before, s.LiteralPattern) and isinstance(option, s.LiteralPattern):
        return _covers_literal(before.value, option.value)
    if isinstance(before, s.RecordPattern) and isinstance(option, s.RecordPattern):
        wanted = {field.key: field.pattern for field in before.fields_ if isinstance(field, s.FieldPattern)}
        given = {field.key: field.pattern for field in option.fields_ if isinstance(field, s.FieldPattern)}
        return all(key in given and _covers(pattern, given[key]) for key, pattern in wanted.items())
    if isinstance(before, s.ListPattern) and isinstance(option, s.ListPattern):
        return _covers_list(before.items, option.items)
    return False


def _covers_literal(before: Node, option: Node) -> bool:
    if isinstance(option, s.Literal) and isinstance(before, s.Literal):
        return type(before.value) is type(option.value) and before.value == option.value
    first, second = _ends(before), _ends(option)
    return first is not None and second is not None and first[0] <= second[0] and second[1] <= first[1]


def _ends(value: Node) -> tuple[int, int] | None:
    """The first and the last of a range, or of a whole number, which is one by itself."""
    if isinstance(value, s.Literal):
        return (value.value, value.value) if type(value.value) is int else None
    if not isinstance(value, s.Range) or not isinstance(value.start, s.Literal) or not isinstance(value.end, s.Literal):
        return None
    start, end = value.start.value, value.end.value
    return (start, end - value.is_exclusive) if type(start) is int and type(end) is int else None


def _covers_list(before: tuple[Node, ...], option: tuple[Node, ...]) -> bool:
    takes_rest = any(isinstance(item, s.RestPattern) for item in before)
    wanted = [item for item in before if not isinstance(item, s.RestPattern)]
    given = [item for item in option if not isinstance(item, s.RestPattern)]
    if not takes_rest and (len(given) < len(option) or len(wanted) != len(given)):
        return False
    return len(given) >= len(wanted) and all(map(_covers, wanted, given))


_RULES: dict[type, tuple[Callable[..., Found], ...]] = {
    s.Body: (_answer_before_and,),
    s.Pipeline: (_list_into_tool,),
    s.BlockLiteral: (_field_as_word,),
    s.Entry: (_version_in_record,),
    s.Let: (_version_in_let,),
    s.Match: (_unreachable_arm,),
    s.LiteralPattern: (_glob_in_match,),
    s.Literal: (_dollar_as_text,),
}
