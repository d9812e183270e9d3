"""Everything that generated code calls for operators, paths and interpolation, under one name.

Each is a plain function on values; what does not fit raises `values.Raised`. `and`, `or`, `??` and the conditions are
branches, so they are the compiler's; it puts `truth` around what must be a bool.
"""

from __future__ import annotations

from fmsh.builtins.access import get_field, get_index, get_path, get_slice, get_variable, make_range
from fmsh.builtins.arithmetic import add, divide, floor_divide, modulo, multiply, negate, power, subtract
from fmsh.builtins.assigning import added, assigned
from fmsh.builtins.comparison import (
    contains_in,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    matches,
    not_equal,
    not_in,
    not_matches,
    truth,
)
from fmsh.builtins.text import join_text, to_text

__all__ = [
    "add",
    "added",
    "assigned",
    "contains_in",
    "divide",
    "equal",
    "floor_divide",
    "get_field",
    "get_index",
    "get_path",
    "get_slice",
    "get_variable",
    "greater",
    "greater_equal",
    "join_text",
    "less",
    "less_equal",
    "make_range",
    "matches",
    "modulo",
    "multiply",
    "negate",
    "not_equal",
    "not_in",
    "not_matches",
    "power",
    "subtract",
    "to_text",
    "truth",
]
