"""What a builtin is: a pure function on values with a signature.

The function gets the pipe's value first (already fitted to `signature.input`; nothing for "none"), then the positional
arguments, the rest arguments one by one, and flags by name. A block argument is a Python callable that takes the
block's arguments and gives its value; it is pure. What fails raises `values.Raised`.

A builtin whose block has effects is not run natively: the compiler calls the function of the same name in `stdlib/`.
"""

from __future__ import annotations

from fmsh.machine.signature import Signature
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Builtin(Record):
    signature: Signature
    function: Callable[..., Any]

    @property
    def name(self) -> str:
        return self.signature.name
