"""A slotted, keyword-friendly record base that costs nothing to import.

Why not `dataclasses`: importing it takes 33 ms, half of the whole budget of `fmsh -c true`. A subclass lists its fields
as annotations, with optional defaults, exactly like a dataclass; type checkers see it as a frozen one. Records are
frozen by agreement: the type checker refuses assignment, the interpreter does not spend time on it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


@dataclass_transform(frozen_default=True, kw_only_default=False)
class RecordType(type):
    """Turns the annotations of a class body into slots."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> RecordType:
        own = tuple(
            field for field, kind in namespace.get("__annotations__", {}).items() if not str(kind).startswith("ClassVar")
        )
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
        return cls


class Record(metaclass=RecordType):
    """A frozen value with named fields. Subclasses declare fields as annotations.

    Raises: TypeError when a field is missing, given twice or unknown.
    """

    if TYPE_CHECKING:
        fields: ClassVar[tuple[str, ...]]
        defaults: ClassVar[dict[str, Any]]
    else:

        def __init__(self, *values, **named):
            fields = self.fields
            if len(values) > len(fields):
                raise TypeError(f"{type(self).__name__} has {len(fields)} fields, {len(values)} values were given")
            for field, value in zip(fields, values, strict=False):
                setattr(self, field, value)
            for field in fields[len(values) :]:
                if field in named:
                    setattr(self, field, named.pop(field))
                elif field in self.defaults:
                    setattr(self, field, self.defaults[field])
                else:
                    raise TypeError(f"{type(self).__name__} needs a value for {field!r}")
            if named:
                raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(named))}")

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
