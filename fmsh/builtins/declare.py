"""Writing down builtins: a function, its parameters, and its docstring as its help.

The help's form is fixed, because a test runs it: a sentence, more sentences if needed, then examples. An example is a
line that starts with `> `, what is typed, and under it what is shown when the output is not a terminal, up to an empty
line. Examples of one help do not depend on one another.
"""

from __future__ import annotations

from fmsh.builtins.builtin import Builtin
from fmsh.machine.signature import Parameter, Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.values import Value


def builtin(
    name: str,
    function: Callable[..., Value],
    *parameters: Parameter,
    input: str = "any",
    is_input_required: bool = True,
) -> Builtin:
    """Makes a builtin of a function. `input` is what the pipe brings, "none" for nothing."""
    text = (function.__doc__ or "").replace("\n    ", "\n").strip()
    return Builtin(Signature(name, parameters, input, input != "none", text), function)


def required(name: str, type_name: str = "any", help: str = "", *, gives: int = 1) -> Parameter:
    """A positional argument that must be given. `gives`: how many arguments a block gets."""
    return Parameter(name, "positional", type_name, True, None, "", help, gives)


def optional(name: str, type_name: str = "any", default: Value = None, help: str = "") -> Parameter:
    """A positional argument with a default."""
    return Parameter(name, "positional", type_name, False, default, "", help)


def rest(name: str, type_name: str = "any", *, is_required: bool = False, help: str = "") -> Parameter:
    """All further arguments; with `is_required` at least one."""
    return Parameter(name, "rest", type_name, is_required, None, "", help)


def switch(name: str, help: str = "") -> Parameter:
    """A flag without a value: true when it is there."""
    return Parameter(name, "flag", "bool", False, False, "", help)


def flag(
    name: str, type_name: str = "any", default: Value = None, *, is_required: bool = False, help: str = ""
) -> Parameter:
    """A flag with a value."""
    return Parameter(name, "flag", type_name, is_required, default, "", help)
