"""From the symbols of a rule to its node: one function for each action that the grammar names.

A function takes the values of the rule's symbols (tokens, nodes, lists), the span, and the `Context`. Bodies are lists
of statements until the node that owns them is made. What the grammar admits but the language does not is noted in the
context as a problem. This module knows no table and no lexer.
"""

from __future__ import annotations

from fmsh.lang import syntax as s
from fmsh.lang.lexing import hints
from fmsh.values import Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.lang.comments import Comments
    from fmsh.spans import Span

    Builder = Callable[[list[Any], Span, "Context"], Any]


class Context:
    """What builders need beside the symbols: the text, its comments, and a place for problems (span, message, hint)."""

    def __init__(self, text: str, comments: Comments) -> None:
        self.text = text
        self.comments = comments
        self.problems: list[tuple[Span, str, str]] = []

    def spelling(self, span: Span) -> str:
        return self.text[span[0] : span[1]]

    def problem(self, span: Span, message: str, hint: str = "") -> None:
        self.problems.append((span, message, hint))


def _span(token: Any) -> Span:
    return token.start, token.end


def _body(statements: list[Any], span: Span) -> s.Body:
    """Makes the body between two brackets; `span` is with them. Of a statement with a problem there is nothing."""
    return s.Body(span, tuple(statement for statement in statements if statement is not None))


def _chain(links: list[Any]) -> s.Chain:
    """Makes the chain of a condition or value from `[pipeline, Link, …]`."""
    return s.Chain((links[0].span[0], links[-1].span[1]), links[0], tuple(links[1:]))


def _flat(start: Any, end: Any) -> Span:
    return start.start, end.end


# ---- Lists


def _list_add(c: list[Any], span: Span, x: Context) -> Any:
    c[0].append(c[1])
    return c[0]


def _list_after(c: list[Any], span: Span, x: Context) -> Any:
    c[0].append(c[2])
    return c[0]


# ---- Statements


def _program(c: list[Any], span: Span, x: Context) -> Any:
    whole = (0, len(x.text))
    return s.Program(whole, _body(c[0], whole), x.comments.of_program())


def _assign(c: list[Any], span: Span, x: Context) -> Any:
    target = c[0]
    base = target.base if isinstance(target, s.Path) else target
    if not isinstance(base, s.Variable):
        x.problem(
            target.span, "only a variable, or a path into one, can be assigned", "write `$x = …` or `$x.a[0] = …`"
        )
    return s.Assign(span, target, c[1].value, c[2])


def _def(c: list[Any], span: Span, x: Context) -> Any:
    _refuse_twice(c[3], x)
    for parameter in c[3]:
        if not isinstance(parameter.pattern, s.NamePattern):
            x.problem(parameter.span, "a parameter of a def is a name", "take it apart in the body: `let {a, b} = $x`")
    return s.Def(span, c[1].value, tuple(c[3]), c[5], x.comments.above(c[0].start))


def _refuse_twice(parameters: Sequence[Any], x: Context) -> None:
    """Notes a parameter that has the name of one before it."""
    names = [parameter.name for parameter in parameters]
    for index, parameter in enumerate(parameters):
        if parameter.name and parameter.name in names[:index]:
            x.problem(parameter.span, f"there is a parameter {parameter.name} already", "give one another name")


def _alias(c: list[Any], span: Span, x: Context) -> Any:
    return s.Alias(span, c[1].value, c[3])


def _environment(c: list[Any], span: Span, x: Context) -> Any:
    return s.EnvironmentItem(span, c[0].value, c[1])


def _environment_empty(c: list[Any], span: Span, x: Context) -> Any:
    return s.EnvironmentItem(span, c[0].value, s.Literal((span[1], span[1]), "", ""))


# ---- Pipelines


def _links_more(c: list[Any], span: Span, x: Context) -> Any:
    c[0].append(s.Link((c[1].start, span[1]), c[1].value, c[2]))
    return c[0]


def _background(c: list[Any], span: Span, x: Context) -> Any:
    chain = _chain(c[0])
    return s.Chain(span, chain.first, chain.links, True)


def _chain_jump(c: list[Any], span: Span, x: Context) -> Any:
    c[0].append(s.Link((c[1].start, span[1]), c[1].value, s.Pipeline(c[2].span, (c[2],))))
    return _chain(c[0])


def _jump_chain(c: list[Any], span: Span, x: Context) -> Any:
    return s.Chain(span, s.Pipeline(span, (c[0],)))


def _pipeline(c: list[Any], span: Span, x: Context) -> Any:
    return s.Pipeline(span, tuple(c[0]))


def _negate(c: list[Any], span: Span, x: Context) -> Any:
    return s.Pipeline(span, c[1].stages, not c[1].is_negated)


def _group(c: list[Any], span: Span, x: Context) -> Any:
    return s.Group(span, _body(c[1], _flat(c[0], c[2])), tuple(c[3]))


def _branch(c: list[Any], span: Span, x: Context) -> Any:
    return [s.Branch(span, _chain(c[1]), c[2])]


def _branch_more(c: list[Any], span: Span, x: Context) -> Any:
    c[0].append(s.Branch((c[2].start, span[1]), _chain(c[3]), c[4]))
    return c[0]


def _match(c: list[Any], span: Span, x: Context) -> Any:
    return s.Match(span, _chain(c[1]), tuple(c[3]))


def _command(c: list[Any], span: Span, x: Context) -> Any:
    return _make_command(c[0], c[1], (), span)


def _command_with(c: list[Any], span: Span, x: Context) -> Any:
    return _make_command(c[1], c[2], tuple(c[0]), span)


def _environment_alone(c: list[Any], span: Span, x: Context) -> Any:
    name = c[0][-1].name
    message, hint = hints.BARE_ASSIGNMENT
    x.problem(c[0][-1].span, message.format(name=name), hint.format(name=name))
    empty = s.Literal((span[1], span[1]), "", "")
    return s.Command(span, s.Word(empty.span, (empty,), False), (), (), tuple(c[0]))


def _make_command(head: tuple[s.Word, bool], found: list[Any], environment: tuple[Any, ...], span: Span) -> s.Command:
    name, is_external = head
    arguments = tuple(argument for argument in found if not isinstance(argument, s.Redirection))
    redirections = tuple(argument for argument in found if isinstance(argument, s.Redirection))
    return s.Command(span, name, arguments, redirections, environment, is_external)


# ---- Words and strings


def _word_plain(c: list[Any], span: Span, x: Context) -> Any:
    return s.Word(span, (s.Literal(span, c[0].value, x.spelling(span)),), False)


def _word(c: list[Any], span: Span, x: Context) -> Any:
    shape = c[0].value
    return s.Word(_span(c[0]), tuple(c[1]), shape.is_text, shape.is_url)


def _word_operand(c: list[Any], span: Span, x: Context) -> Any:
    """A bare word where an operand stands is a string."""
    [*parts] = c[0].parts
    if len(parts) == 1 and isinstance(parts[0], s.Literal):
        return parts[0]
    return c[0]


def _literal(c: list[Any], span: Span, x: Context) -> Any:
    return s.Literal(span, c[0].value, x.spelling(span))


def _literal_word(c: list[Any], span: Span, x: Context) -> Any:
    return s.Word(span, (s.Literal(span, c[0].value, x.spelling(span)),), False)


def _template(c: list[Any], span: Span, x: Context) -> Any:
    return s.Template(_span(c[0]), tuple(c[1]))


def _braces(c: list[Any], span: Span, x: Context) -> Any:
    words = []
    for parts in c[1]:
        place = (parts[0].span[0], parts[-1].span[1]) if parts else (span[0], span[0])
        words.append(s.Word(place, tuple(parts) or (s.Literal(place, "", ""),), len(parts) > 1))
    return s.Braces(span, tuple(words))


# ---- Expressions


def _binary(c: list[Any], span: Span, x: Context) -> Any:
    return s.Binary(span, c[1].value, c[0], c[2])


def _unary(c: list[Any], span: Span, x: Context) -> Any:
    return s.Unary(span, c[0].value, c[1])


def _minus(c: list[Any], span: Span, x: Context) -> Any:
    """A minus before a literal number is part of it, so that a document in JSON is a literal as a whole."""
    operand = c[1]
    if isinstance(operand, s.Literal) and operand.spelling[:1].isdecimal():
        value = operand.value
        if type(value) is Duration:
            return s.Literal(span, Duration(-value.nanoseconds), x.spelling(span))
        if isinstance(value, int | float):
            return s.Literal(span, -value, x.spelling(span))
    return s.Unary(span, "-", operand)


def _path(c: list[Any], span: Span, x: Context) -> Any:
    return s.Path(span, c[0], tuple(c[1]))


def _variable(c: list[Any], span: Span, x: Context) -> Any:
    return s.Variable(span, c[0].value)


def _variable_path(c: list[Any], span: Span, x: Context) -> Any:
    return s.Path(span, s.Variable(_span(c[0]), c[0].value), tuple(c[1]))


def _it(c: list[Any], span: Span, x: Context) -> Any:
    return s.Variable(span, "it")


def _step_field(c: list[Any], span: Span, x: Context) -> Any:
    name = c[0].value
    key = s.Literal((span[1] - len(name), span[1]), name, name)
    return s.Step(span, key, False, c[0].is_optional)


def _step_key(c: list[Any], span: Span, x: Context) -> Any:
    return s.Step(span, c[1], False, c[0].is_optional)


def _step_index(c: list[Any], span: Span, x: Context) -> Any:
    return s.Step(span, c[1], True, c[0].is_optional)


def _range(c: list[Any], span: Span, x: Context) -> Any:
    return s.Range(span, c[0], c[2], c[1].value == "..<")


def _range_open(c: list[Any], span: Span, x: Context) -> Any:
    return s.Range(span, c[0], None, c[1].value == "..<")


def _range_to(c: list[Any], span: Span, x: Context) -> Any:
    return s.Range(span, None, c[1], c[0].value == "..<")


def _subpipeline(c: list[Any], span: Span, x: Context) -> Any:
    if not c[1]:
        x.problem(span, "`( )` holds nothing", "write a value or a command inside")
    return s.Subpipeline(span, _body(c[1], span))


def _entry(c: list[Any], span: Span, x: Context) -> Any:
    return s.Entry(span, s.Literal(_span(c[0]), c[0].value, c[0].value), c[2])


def _block(c: list[Any], span: Span, x: Context) -> Any:
    return s.BlockLiteral(span, None, _body(c[1], span))


def _block_with(c: list[Any], span: Span, x: Context) -> Any:
    parameters = tuple(parameter.replace(help="") for parameter in c[2])  # nobody asks a block for help
    for parameter in parameters:
        if parameter.kind != "positional" or parameter.default is not None:
            hint = "a `def` has defaults, `...rest` and flags"
            x.problem(parameter.span, "a parameter of a block is a name or a pattern, and may have a type", hint)
    _refuse_twice(parameters, x)
    return s.BlockLiteral(span, parameters, _body(c[4], span))


# ---- Patterns and parameters


def _pattern_range(c: list[Any], span: Span, x: Context) -> Any:
    ends = [s.Literal(_span(token), token.value, x.spelling(_span(token))) for token in c if token.type == "LIT"]
    return s.LiteralPattern(span, s.Range(span, ends[0], ends[1] if len(ends) > 1 else None, c[1].value == "..<"))


def _pattern_literal(c: list[Any], span: Span, x: Context) -> Any:
    return s.LiteralPattern(span, s.Literal(span, c[0].value, x.spelling(span)))


def _pattern_field(c: list[Any], span: Span, x: Context) -> Any:
    return s.FieldPattern(span, c[0].value, c[2])


def _pattern_field_short(c: list[Any], span: Span, x: Context) -> Any:
    name = c[0].value
    if not name.isidentifier():
        x.problem(span, f"`{name}` is not a name", f"write `{name}: {name.replace('-', '_')}`")
    return s.FieldPattern(span, name, s.NamePattern(span, name))


def _arm(c: list[Any], span: Span, x: Context) -> Any:
    return s.Arm(span, c[0], None, c[2])


def _arm_guarded(c: list[Any], span: Span, x: Context) -> Any:
    return s.Arm(span, c[0], _chain(c[2]), c[4])


def _text(token: Any) -> str:
    return token.value if token is not None else ""


def _parameter(c: list[Any], span: Span, x: Context) -> Any:
    name = c[0].name if isinstance(c[0], s.NamePattern) else ""
    return s.Parameter(span, name, "positional", c[0], _text(c[1]), "", c[2], x.comments.behind(span[1]))


def _parameter_rest(c: list[Any], span: Span, x: Context) -> Any:
    name = c[1].value
    pattern = s.NamePattern(_span(c[1]), name)
    return s.Parameter(span, name, "rest", pattern, _text(c[2]), "", None, x.comments.behind(span[1]))


def _parameter_flag(c: list[Any], span: Span, x: Context) -> Any:
    if not c[0].value.startswith("--"):
        x.problem(_span(c[0]), f"a flag is declared by its long form, not `{c[0].value}`", "write `--name (-n)`")
    name = c[0].value.lstrip("-").replace("-", "_")
    pattern = s.NamePattern(_span(c[0]), name)
    help_text = x.comments.behind(span[1])
    return s.Parameter(span, name, "flag", pattern, _text(c[2]), _text(c[1]), c[3], help_text)


BUILDERS: dict[str, Builder] = {
    "empty": lambda c, span, x: [],
    "nothing": lambda c, span, x: None,
    "first": lambda c, span, x: c[0],
    "second": lambda c, span, x: c[1],
    "list_one": lambda c, span, x: [c[0]],
    "list_add": _list_add,
    "list_after": _list_after,
    "paths_one": lambda c, span, x: [c[1]],
    "program": _program,
    "let": lambda c, span, x: s.Let(span, c[1], c[3]),
    "assign": _assign,
    "while_": lambda c, span, x: s.While(span, _chain(c[1]), c[2]),
    "for_": lambda c, span, x: s.For(span, tuple(c[1]), _chain(c[3]), c[4]),
    "defer": lambda c, span, x: s.Defer(span, c[1]),
    "undo": lambda c, span, x: s.Undo(span, c[1]),
    "def_": _def,
    "param": lambda c, span, x: s.Param(span, c[1]),
    "export": lambda c, span, x: s.Export(span, tuple(c[1])),
    "unset": lambda c, span, x: s.Unset(span, tuple(name.value for name in c[1])),
    "alias": _alias,
    "use": lambda c, span, x: s.Use(span, c[1], False),
    "use_open": lambda c, span, x: s.Use(span, c[1], True),
    "body": lambda c, span, x: _body(c[1], span),
    "spread": lambda c, span, x: s.Spread(span, c[1]),
    "chain": lambda c, span, x: _chain(c[0]),
    "background": _background,
    "chain_jump": _chain_jump,
    "jump_chain": _jump_chain,
    "links_one": lambda c, span, x: [c[0]],
    "links_more": _links_more,
    "return_nothing": lambda c, span, x: s.Return(span, None),
    "return_": lambda c, span, x: s.Return(span, c[1]),
    "break_": lambda c, span, x: s.Break(span),
    "continue_": lambda c, span, x: s.Continue(span),
    "pipeline": _pipeline,
    "negate": _negate,
    "expression_stage": lambda c, span, x: s.ExpressionStage(span, c[0]),
    "paths": lambda c, span, x: s.PathListStage(span, tuple(c[0])),
    "group": _group,
    "if_": lambda c, span, x: s.If(span, tuple(c[0]), None),
    "if_else": lambda c, span, x: s.If(span, tuple(c[0]), c[2]),
    "match_": _match,
    "try_": lambda c, span, x: s.Try(span, c[1], None, None, None),
    "try_catch": lambda c, span, x: s.Try(span, c[1], c[2][0], c[2][1], None),
    "try_finally": lambda c, span, x: s.Try(span, c[1], None, None, c[3]),
    "try_catch_finally": lambda c, span, x: s.Try(span, c[1], c[2][0], c[2][1], c[4]),
    "branch": _branch,
    "branch_more": _branch_more,
    "catch": lambda c, span, x: (None, c[1]),
    "catch_named": lambda c, span, x: (c[1].value, c[2]),
    "command": _command,
    "command_with": _command_with,
    "environment_alone": _environment_alone,
    "head": lambda c, span, x: (c[1], False),
    "head_external": lambda c, span, x: (c[1], True),
    "environment": _environment,
    "environment_empty": _environment_empty,
    "flag": lambda c, span, x: s.Flag(span, c[0].value, None),
    "flag_value": lambda c, span, x: s.Flag(span, c[0].value, c[1]),
    "literal_word": _literal_word,
    "redirection": lambda c, span, x: s.Redirection(span, c[0].value, c[1]),
    "redirection_bare": lambda c, span, x: s.Redirection(span, c[0].value, None),
    "word_plain": _word_plain,
    "word": _word,
    "word_operand": _word_operand,
    "text": _literal,
    "string": _literal,
    "literal": _literal,
    "glob": lambda c, span, x: s.Glob(span, c[0].value),
    "tilde": lambda c, span, x: s.Tilde(span, c[0].value),
    "braces": _braces,
    "template": _template,
    "inner": lambda c, span, x: c[1],
    "binary": _binary,
    "unary": _unary,
    "minus": _minus,
    "path": _path,
    "variable": _variable,
    "variable_path": _variable_path,
    "it": _it,
    "step_field": _step_field,
    "step_key": _step_key,
    "step_index": _step_index,
    "range": _range,
    "range_open": _range_open,
    "range_to": _range_to,
    "subpipeline": _subpipeline,
    "list_": lambda c, span, x: s.ListLiteral(span, tuple(c[1])),
    "record": lambda c, span, x: s.RecordLiteral(span, tuple(c[1])),
    "entry": _entry,
    "entry_string": lambda c, span, x: s.Entry(span, c[0], c[2]),
    "block": _block,
    "block_with": _block_with,
    "pattern_two": lambda c, span, x: [c[0], c[2]],
    "pattern_or": lambda c, span, x: s.AlternativePattern(span, tuple(c[0])),
    "pattern_name": lambda c, span, x: s.NamePattern(span, c[0].value),
    "pattern_literal": _pattern_literal,
    "pattern_string": _pattern_literal,
    "pattern_word": _pattern_literal,
    "pattern_range": _pattern_range,
    "pattern_list": lambda c, span, x: s.ListPattern(span, tuple(c[1])),
    "pattern_record": lambda c, span, x: s.RecordPattern(span, tuple(c[1])),
    "pattern_rest": lambda c, span, x: s.RestPattern(span, c[1].value),
    "pattern_field": _pattern_field,
    "pattern_field_short": _pattern_field_short,
    "arm": _arm,
    "arm_guarded": _arm_guarded,
    "parameter": _parameter,
    "parameter_rest": _parameter_rest,
    "parameter_flag": _parameter_flag,
}
