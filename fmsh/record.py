"""A slotted, keyword-friendly record base that costs nothing to import.

Why not `dataclasses`: importing it takes 33 ms, half of the whole budget of `fmsh -c true`. A subclass lists its fields
as annotations, with optional defaults, exactly like a dataclass; type checkers see it as a frozen one. Records are
frozen by agreement: the type checker refuses assignment, the interpreter does not spend time on it.

A class gets an `__init__` of its own, since records are made several times a step: there is one function for each
number of fields, and a class's initialiser is that function with the class's own names in it. A class gets it when its
first instance is made: of the 150 classes that a start imports, most are not used in it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, dataclass_transform

    _WRITTEN_OUT: tuple[Any, ...]
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


if not TYPE_CHECKING:
    # Written out, so that they are compiled with the module and kept: compiling one at each start costs 0.1 ms.
    # fmt: off
    def _of_0(self):
        pass
    def _of_1(self, a):
        self.a = a
    def _of_2(self, a, b):
        self.a = a; self.b = b  # noqa: E702
    def _of_3(self, a, b, c):
        self.a = a; self.b = b; self.c = c  # noqa: E702
    def _of_4(self, a, b, c, d):
        self.a = a; self.b = b; self.c = c; self.d = d  # noqa: E702
    def _of_5(self, a, b, c, d, e):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e  # noqa: E702
    def _of_6(self, a, b, c, d, e, f):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
    def _of_7(self, a, b, c, d, e, f, g):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g
    def _of_8(self, a, b, c, d, e, f, g, h):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g; self.h = h  # noqa: E702
    def _of_9(self, a, b, c, d, e, f, g, h, i):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g; self.h = h; self.i = i  # noqa: E702
    def _of_10(self, a, b, c, d, e, f, g, h, i, j):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g; self.h = h; self.i = i; self.j = j  # noqa: E702
    def _of_11(self, a, b, c, d, e, f, g, h, i, j, k):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g; self.h = h; self.i = i; self.j = j; self.k = k  # noqa: E702
    def _of_12(self, a, b, c, d, e, f, g, h, i, j, k, m):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g; self.h = h; self.i = i; self.j = j; self.k = k; self.m = m  # noqa: E702
    def _of_13(self, a, b, c, d, e, f, g, h, i, j, k, m, n):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g; self.h = h; self.i = i; self.j = j; self.k = k; self.m = m; self.n = n  # noqa: E702
    def _of_14(self, a, b, c, d, e, f, g, h, i, j, k, m, n, o):
        self.a = a; self.b = b; self.c = c; self.d = d; self.e = e; self.f = f  # noqa: E702
        self.g = g; self.h = h; self.i = i; self.j = j; self.k = k; self.m = m; self.n = n; self.o = o  # noqa: E702
    # fmt: on

    _WRITTEN_OUT = (
        _of_0, _of_1, _of_2, _of_3, _of_4, _of_5, _of_6, _of_7, _of_8, _of_9, _of_10, _of_11, _of_12, _of_13, _of_14,
    )  # fmt: skip


@dataclass_transform(frozen_default=True, kw_only_default=False)
class RecordType(type):
    """Turns the annotations of a class body into slots, and gives the class its initialiser."""

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
        optional = cls.fields[len(cls.fields) - len(cls.defaults) :]  # type: ignore[attr-defined]
        if cls.defaults and set(optional) != set(cls.defaults):  # type: ignore[attr-defined]
            raise TypeError(f"{name}: fields with a default come last")
        if "__init__" not in namespace:
            cls.__init__ = _initialise_first  # type: ignore[misc]
        return cls

    def initialise(cls: Any) -> None:
        """Gives the class the initialiser that all instances but its first are made by."""
        count = len(cls.fields)
        if count >= len(_WRITTEN_OUT):
            cls.__init__ = _initialise_many
            return
        code = _WRITTEN_OUT[count].__code__.replace(
            co_name="__init__", co_qualname="__init__", co_varnames=("self", *cls.fields), co_names=cls.fields
        )
        optional = cls.fields[count - len(cls.defaults) :]
        function: Any = type(_initialise_first)  # types.FunctionType, without the import
        cls.__init__ = function(code, {}, "__init__", tuple(cls.defaults[field] for field in optional))


def _initialise_first(self: Any, *values: Any, **named: Any) -> None:
    type(self).initialise()
    self.__init__(*values, **named)


def _initialise_many(self: Any, *values: Any, **named: Any) -> None:
    """Sets more fields than any of the initialisers above; ten times as slow, so not for what a step makes."""
    fields = self.fields
    given = self.defaults | dict(zip(fields, values, strict=False)) | named
    if len(values) > len(fields) or not named.keys().isdisjoint(fields[: len(values)]) or given.keys() != {*fields}:
        raise TypeError(f"{type(self).__name__} takes each of {', '.join(fields)} once")
    for field, value in given.items():
        setattr(self, field, value)


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
