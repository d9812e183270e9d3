"""A slotted, keyword-friendly record base that costs nothing to import.

Why not `dataclasses`: importing it takes 33 ms, half of the whole budget of `fmsh -c true`. A subclass lists its fields
as annotations, with optional defaults, exactly like a dataclass; type checkers see it as a frozen one. Records are
frozen by agreement: the type checker refuses assignment, the interpreter does not spend time on it.

A class gets an `__init__` of its own, since records are made several times a step: one function is compiled for each
number of fields, and a class's initialiser is that function with the class's own names in it. It costs a few
microseconds a class, where compiling one for each would cost 100.
"""

from __future__ import annotations

import _ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, ClassVar, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


def _compiled_for(count: int) -> CodeType:
    """Compiles `def __init__(self, _0, _1, …): self._0 = _0; self._1 = _1; …` for a number of fields."""
    names = [f"_{index}" for index in range(count)]
    place: Any = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}

    def stored(name: str) -> Any:
        record = _ast.Name(id="self", ctx=_ast.Load(), **place)
        target = _ast.Attribute(value=record, attr=name, ctx=_ast.Store(), **place)
        return _ast.Assign(targets=[target], value=_ast.Name(id=name, ctx=_ast.Load(), **place), **place)

    parameters = [_ast.arg(arg=name, **place) for name in ("self", *names)]
    signature = _ast.arguments(posonlyargs=[], args=parameters, kwonlyargs=[], kw_defaults=[], defaults=[])
    body: list[_ast.stmt] = [stored(name) for name in names] or [_ast.Pass(**place)]
    function = _ast.FunctionDef(name="__init__", args=signature, body=body, decorator_list=[], **place)
    function.type_params = []  # type: ignore[attr-defined,unused-ignore]
    module = compile(_ast.Module(body=[function], type_ignores=[]), __file__, "exec", dont_inherit=True)
    code: CodeType = next(constant for constant in module.co_consts if hasattr(constant, "co_code"))
    return code


@dataclass_transform(frozen_default=True, kw_only_default=False)
class RecordType(type):
    """Turns the annotations of a class body into slots, and gives the class its initialiser."""

    _compiled: ClassVar[dict[int, CodeType]] = {}

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> RecordType:
        annotations = namespace.get("__annotations__", {})
        own = tuple(field for field, kind in annotations.items() if not str(kind).startswith("ClassVar"))
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        namespace["__slots__"] = own
        cls = super().__new__(mcs, name, bases, namespace)
        inherited = [base for base in bases if isinstance(base, RecordType)]
        cls.fields = tuple(field for base in inherited for field in base.fields) + own  # type: ignore[attr-defined]
        merged: dict[str, Any] = {}
        for base in inherited:
            merged.update(base.defaults)  # type: ignore[attr-defined]
        cls.defaults = merged | defaults  # type: ignore[attr-defined]
        cls.__match_args__ = cls.fields  # type: ignore[attr-defined,misc]
        if "__init__" not in namespace:
            mcs._initialise(cls)
        return cls

    @classmethod
    def _initialise(mcs, cls: Any) -> None:
        fields, defaults = cls.fields, cls.defaults
        optional = fields[len(fields) - len(defaults) :]
        if set(optional) != set(defaults):
            raise TypeError(f"{cls.__name__}: fields with a default come last")
        count = len(fields)
        if count not in mcs._compiled:
            mcs._compiled[count] = _compiled_for(count)
        code = mcs._compiled[count].replace(co_varnames=("self", *fields), co_names=fields)
        function = type(mcs._initialise.__func__)  # type: ignore[attr-defined]  # types.FunctionType, without the import
        cls.__init__ = function(code, {}, "__init__", tuple(defaults[field] for field in optional))


class Record(metaclass=RecordType):
    """A frozen value with named fields. Subclasses declare fields as annotations.

    Raises: TypeError when a field is missing, given twice or unknown.
    """

    if TYPE_CHECKING:
        fields: ClassVar[tuple[str, ...]]
        defaults: ClassVar[dict[str, Any]]

    def replace(self, **changes: Any) -> Any:
        """Returns a copy with some fields changed."""
        values = {field: getattr(self, field) for field in self.fields}
        return type(self)(**(values | changes))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field) == getattr(other, field) for field in self.fields)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, field) for field in self.fields)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in self.fields)
        return f"{type(self).__name__}({shown})"
