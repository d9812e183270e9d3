"""What the compiler is given of the commands that exist: it may not import them, they are its siblings."""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from fmsh.machine.signature import Signature
    from fmsh.values import Value


class PureCommand(Record):
    """A command that only computes: `function(input?, *positionals, **flags)`."""

    signature: Signature
    function: Callable[..., Any]


class Library(Record):
    """`find` gives a pure command by its name, two words joined by a blank for a subcommand (`from json`).

    `operators` are the functions behind operators, paths and interpolation by name; `fit(value, signature, is_output=)`
    fits what the pipe brings to what a command takes; `display(value)` is the plain form of a displayed value.
    """

    find: Callable[[str], PureCommand | None]
    names: Callable[[], Iterable[str]]
    operators: Mapping[str, Callable[..., Any]]
    fit: Callable[..., Any]
    display: Callable[[Value], str]
