"""The syntax tree: what a program says, before anything is known about what its names mean.

The tree is plain data. It is stored with the job (`fmsh.lang.tree.to_data`, `from_data`), so an upgrade of the parser
never changes a job in flight. Every node has a span into its source and, after `fmsh.lang.tree.number`, an id: its
preorder index. Ids name wait points and slots in snapshots, so the order of fields below is part of the wire form:
`TREE_VERSION` counts changes to it.

It must not know which names are builtins, functions or external commands: that is the compiler's.
"""

from __future__ import annotations

from fmsh.record import Record
from fmsh.spans import Span
from fmsh.values import Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TREE_VERSION = 1


class Numbered:
    """The slot for a node's id; not a field, so it takes no part in equality, in construction or in the wire form."""

    __slots__ = ("id",)

    id: int


class Node(Numbered, Record):
    """Anything in a program. `id` is its preorder index; it is there after `number`, which `parse` calls."""

    span: Span


# ---- Expressions ---------------------------------------------------------------------------------------------------


class Literal(Node):
    """null, true, false, a number, duration, size (an int), date, or a string without parts.

    `spelling` is the source text: an external command receives a number as it was typed (`1.10` stays `1.10`).
    """

    value: bool | int | float | str | Duration | Any | None
    spelling: str


class Template(Node):
    """A string with parts: `"a $x $(cmd)"`. Each part is a Literal string or an expression."""

    parts: tuple[Expression, ...]


class Variable(Node):
    """`$name`. `$it`, `$in`, `$env`, `$args`, `$error`, `$job`, `$last` are variables too."""

    name: str


class Step(Node):
    """One step of a path: `.name`, `."key"`, `[index]`, `[a..b]`. `key` is an expression (a Literal for a name)."""

    key: Expression
    is_index: bool
    is_optional: bool  # `?` before it: null instead of an error


class Path(Node):
    """`$x.a[0]`, `(f).x`; `.field` is a Path whose base is Variable `it`."""

    base: Expression
    steps: tuple[Step, ...]


class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


class Binary(Node):
    """`+ - * / // % **`, `== != < <= > >= =~ !~ in`, `and or`, `??`; `not in` is one operator."""

    operator: str
    left: Expression
    right: Expression


class Range(Node):
    """`1..10`, `1..<10`, and in slices also with an end missing."""

    start: Expression | None
    end: Expression | None
    is_exclusive: bool


class Spread(Node):
    """`...$xs` in a list, a record or the arguments of a command."""

    value: Expression


class ListLiteral(Node):
    items: tuple[Expression | Spread, ...]


class Entry(Node):
    """`key: value` in a record."""

    key: Expression
    value: Expression


class RecordLiteral(Node):
    entries: tuple[Entry | Spread, ...]


class BlockLiteral(Node):
    """`{ statements }` or `{ |x, y| statements }` where it is a value. `parameters` is None without bars."""

    parameters: tuple[Parameter, ...] | None
    body: Body


class Subpipeline(Node):
    """`(…)` or `$(…)`: statements separated by `;`, with the value of the last."""

    body: Body


# ---- Words ---------------------------------------------------------------------------------------------------------


class Glob(Node):
    """Unquoted text with `*`, `?`, `[ab]` or `**` in a word."""

    pattern: str


class Tilde(Node):
    """`~` or `~user` at the start of a word."""

    user: str


class Braces(Node):
    """`{a,b}` or `{1..3}` in a word: the alternatives, each a Word."""

    alternatives: tuple[Word, ...]


class Word(Node):
    """A word of a command: adjacent parts that make one argument.

    A part is a Literal string, a Glob, Tilde, Braces, or an expression (Variable, Path, Subpipeline, `${ }`).
    `is_text`: some part was quoted, or it has several parts: the value is text. Otherwise (`$x` alone, `5` alone) the
    word has its part's value, kind and all. `is_url`: it starts with `scheme://` or stands where a URL is taken.
    """

    parts: tuple[Expression | Glob | Tilde | Braces, ...]
    is_text: bool
    is_url: bool = False


class Flag(Node):
    """`--name`, `-n`, `--name=value`. Whether a following argument is its value is the signature's business.

    `name` is as written, dashes included; for an external command it is an ordinary argument.
    """

    name: str
    value: Expression | Word | None


Expression = (
    Literal
    | Template
    | Variable
    | Path
    | Unary
    | Binary
    | Range
    | ListLiteral
    | RecordLiteral
    | BlockLiteral
    | Subpipeline
    | Word
)
Argument = Expression | Flag | Spread


# ---- Pipelines -----------------------------------------------------------------------------------------------------


class Redirection(Node):
    """`> f`, `>> f`, `< f`, `2> f`, `2>> f`, `&> f`, `&>> f`, `2>&1`, `>&2`, `<<<`, `<<`: operator as written.

    For `<<` and `<<<` the target is the text; for `2>&1` and `>&2` it is None.
    """

    operator: str
    target: Expression | Word | None


class EnvironmentItem(Node):
    """`NAME=value` before a command or in `export`."""

    name: str
    value: Expression | Word


class Command(Node):
    """`name arg…`. `is_external`: written `^name`."""

    name: Word
    arguments: tuple[Argument, ...]
    redirections: tuple[Redirection, ...] = ()
    environment: tuple[EnvironmentItem, ...] = ()
    is_external: bool = False


class ExpressionStage(Node):
    """A stage that is an expression: `$x + 1`, `.rate > 0.01`."""

    value: Expression
    redirections: tuple[Redirection, ...] = ()


class PathListStage(Node):
    """A stage whose first word holds an unquoted glob or a brace list: a list of paths."""

    words: tuple[Word, ...]


class Group(Node):
    """A block without parameters that runs in place: `cmd || { echo failed; exit 1 }`."""

    body: Body
    redirections: tuple[Redirection, ...] = ()


class Pipeline(Node):
    """Stages joined by `|`. `is_negated`: an odd number of `!` stood before it."""

    stages: tuple[Stage, ...]
    is_negated: bool = False


class Link(Node):
    """`&& pipeline` or `|| pipeline` of a chain."""

    operator: str
    pipeline: Pipeline


class Chain(Node):
    """Pipelines joined by `&&` and `||`, which have equal rank and group to the left. `is_background`: ended by `&`."""

    first: Pipeline
    links: tuple[Link, ...] = ()
    is_background: bool = False


# ---- Statements ----------------------------------------------------------------------------------------------------


class Body(Node):
    """The statements of a `{ }`, or of a program."""

    statements: tuple[Statement, ...]


class NamePattern(Node):
    """A bare name in `let`, `for` and block parameters; `$name` in `match`. `_` binds nothing."""

    name: str


class RestPattern(Node):
    """`...rest` in a list pattern."""

    name: str


class LiteralPattern(Node):
    """A literal or bare word in `match`: compared with `==`."""

    value: Literal | Range


class ListPattern(Node):
    items: tuple[Pattern | RestPattern, ...]


class FieldPattern(Node):
    """`name`, `name: pattern` in a record pattern."""

    key: str
    pattern: Pattern


class RecordPattern(Node):
    fields_: tuple[FieldPattern | RestPattern, ...]


class AlternativePattern(Node):
    """`a | b` in `match`."""

    alternatives: tuple[Pattern, ...]


Pattern = NamePattern | LiteralPattern | ListPattern | RecordPattern | AlternativePattern


class Parameter(Node):
    """A parameter of a def, a block or a script.

    `kind`: "positional", "rest" (`...hosts`) or "flag" (`--version (-v): string`). A flag without a type is a switch
    (bool, false by default). `type_name` is "" where none is given. `pattern` binds it (a NamePattern but in blocks).
    """

    name: str
    kind: str
    pattern: Pattern
    type_name: str = ""
    short: str = ""
    default: Expression | Word | None = None
    help: str = ""


class Let(Node):
    pattern: Pattern
    value: Chain


class Assign(Node):
    """`$x = …`, `$x.a[0] += …`: target is a Variable or a Path on one. operator: `=`, `+=`, `-=`, `*=`, `/=`."""

    target: Variable | Path
    operator: str
    value: Chain


class Branch(Node):
    """`if`/`else if` with its condition and body."""

    condition: Chain
    body: Body


class If(Node):
    branches: tuple[Branch, ...]
    otherwise: Body | None


class While(Node):
    condition: Chain
    body: Body


class For(Node):
    """`for x in SOURCE`, `for k, v in $record`: one or two patterns."""

    patterns: tuple[Pattern, ...]
    source: Chain
    body: Body


class Arm(Node):
    """`pattern if guard => body` of a match."""

    pattern: Pattern
    guard: Chain | None
    body: Body


class Match(Node):
    subject: Chain
    arms: tuple[Arm, ...]


class Try(Node):
    body: Body
    catch_name: str | None
    catch: Body | None
    finally_: Body | None


class Defer(Node):
    body: Body


class Undo(Node):
    body: Body


class Break(Node):
    pass


class Continue(Node):
    pass


class Return(Node):
    value: Chain | None


class Def(Node):
    """`def name(params) { … }`; `help` is the comment above it."""

    name: str
    parameters: tuple[Parameter, ...]
    body: Body
    help: str = ""


class Param(Node):
    """`param …` of a script."""

    parameter: Parameter


class Export(Node):
    """`export A=1 B=2`, `export ...$record`."""

    items: tuple[EnvironmentItem | Spread, ...]


class Unset(Node):
    names: tuple[str, ...]


class Alias(Node):
    name: str
    command: Command


class Use(Node):
    """`use ./lib.fmsh`, `use ./lib.fmsh *` (`is_open`)."""

    path: Word
    is_open: bool


Statement = Let | Assign | Chain | While | For | Defer | Undo | Def | Param | Export | Unset | Alias | Use
# `if`, `match`, `try`, `return`, `break`, `continue` are stages: they may be the value of a `let` or end a chain.
Stage = Command | ExpressionStage | PathListStage | Group | If | Match | Try | Return | Break | Continue


class Program(Node):
    """A whole source. `help` is its first comment block, without a `#!` line."""

    body: Body
    help: str = ""
