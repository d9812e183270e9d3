"""The YAML library, set to the core schema of YAML 1.2. Imported only when YAML is read or written.

PyYAML follows YAML 1.1, where `no` is false, `1:30` is 90 and `2026-01-01` a date. Its resolvers are replaced on loader
and dumper classes of our own. Written strings are quoted wherever either version would read them as something else.
"""

from __future__ import annotations

import re
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

yaml: Any = import_module("yaml")  # it has no types of its own
YAMLError: Any = yaml.YAMLError

UNSEEN_LINE_ENDS = "\x85\u2028\u2029\ufeff"  # PyYAML writes these as they are and folds them when it reads
CORE_SCHEMA = (
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+0123456789."),
    ),
    ("tag:yaml.org,2002:merge", re.compile(r"^(?:<<)$"), ["<"]),
)


class CoreLoader(yaml.SafeLoader):  # type: ignore[misc]  # the base has no types
    """Reads plain scalars by the core schema."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  # filled below, then constant

    def construct_yaml_int(self, node: Any) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


for _tag, _pattern, _first in CORE_SCHEMA:
    CoreLoader.add_implicit_resolver(_tag, _pattern, _first)
CoreLoader.add_constructor("tag:yaml.org,2002:int", CoreLoader.construct_yaml_int)
CoreLoader.add_constructor("tag:yaml.org,2002:timestamp", CoreLoader.construct_yaml_str)


class PlainDumper(yaml.SafeDumper):  # type: ignore[misc]  # the base has no types
    """Writes no aliases: readers of settings do not expect them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in CORE_SCHEMA:
    PlainDumper.add_implicit_resolver(_tag, _pattern, _first)


def load_all(text: str) -> list[Any]:
    """Reads all documents of a text."""
    return list(yaml.load_all(text, Loader=CoreLoader))


def dump(value: Any) -> str:
    """Writes one document in block style."""
    text = _dump(value, allow_unicode=True)
    if any(character in text for character in UNSEEN_LINE_ENDS):
        text = _dump(value, allow_unicode=False)
    return text.removesuffix("...\n")


def _dump(value: Any, *, allow_unicode: bool) -> str:
    written: str = yaml.dump(value, Dumper=PlainDumper, sort_keys=False, allow_unicode=allow_unicode, width=10_000)
    return written
