"""What the compiler is given of the commands that exist: it may not import them, they are its siblings."""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from fmsh.machine.signature import Signature
    from fmsh.spans import Source
    from fmsh.values import Value


class PureCommand(Record):
    """A command that only computes: `function(input?, *positionals, **flags)`."""

    signature: Signature
    function: Callable[..., Any]


class Library(Record):
    """`find` gives a pure command by its name, two words joined by a blank for a subcommand (`from json`).

    `functions()` gives what generated code calls, by name: the operators, paths and interpolation (`add`, `get_field`,
    `to_text`, …), and `fit(value, signature, is_output=)` for what the pipe brings. It is called for programs that
    compute something. `display(value)` is the form of a displayed value. `standard(name)` gives the file of
    the standard library that has a function for a command, or None. `streaming()` gives what streams are made of.
    """

    find: Callable[[str], PureCommand | None]
    names: Callable[[], Iterable[str]]
    functions: Callable[[], Mapping[str, Callable[..., Any]]]
    display: Callable[[Value], str]
    standard: Callable[[str], Source | None]
    streaming: Callable[[], Streaming]


class Streaming(Record):
    """What becomes of commands in a stream: `stages[name](*positionals, **flags)` makes a stage of a command.

    `chain(stages, nodes, says)` puts stages in order. `parts(text)` gives the items of a large JSON list, part by part,
    or None. `folds` are those that give one value at the end; `text_stages` take text elsewhere, and here the lines
    that a source gives; `choosing_stages` give items as they got them. `line_texts()` makes a stage that
    writes items as lines, for a program.
    """

    stages: Mapping[str, Callable[..., Any]]
    chain: Callable[..., Any]
    parts: Callable[[str], Iterator[list[Value]] | None]
    folds: tuple[str, ...]
    text_stages: tuple[str, ...]
    choosing_stages: tuple[str, ...]
    line_texts: Callable[[], Any]
