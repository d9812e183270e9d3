"""All builtins by name. A name of two words (`from json`, `str upper`) is one name: look for the first two words first.

Importing this table imports no builtin. `find` imports the module of a topic when one of its names is first asked for;
its functions import what they need when they run.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.builtins.builtin import Builtin

TOPICS: dict[str, tuple[str, ...]] = {
    "records": (
        "get", "select", "reject", "insert", "update", "rename-keys", "merge", "keys", "values", "entries",
    ),
    "lists": (
        "where", "each", "reduce", "first", "last", "skip", "take-while", "count", "flatten", "pair", "enumerate",
        "chunk", "reverse", "any", "all", "tap", "range",
    ),
    "grouping": ("sort-by", "group-by", "count-by", "unique", "sum", "avg", "median", "min", "max"),
    "strings": (
        "echo", "lines", "words", "str", "str upper", "str lower", "str trim", "str split", "str join", "str replace",
        "str match", "str starts-with", "str ends-with", "str contains", "str length", "str pad", "str slice",
    ),
    "kinds": ("kind", "int", "float", "bool", "duration", "bytes"),
    "datetimes": ("datetime", "datetime parse", "datetime format", "datetime in-zone", "datetime parts"),
    "addresses": (
        "url parse", "url build", "url encode", "url decode", "url raw", "path join", "path base", "path dir",
        "path ext", "path stem",
    ),
    "digests": ("digest sha256", "digest md5", "digest hmac-sha256"),
    "json_forms": ("from json", "to json", "from jsonl", "to jsonl", "from base64", "to base64"),
    "table_forms": ("from csv", "to csv", "from tsv", "to tsv", "from columns", "to columns"),
    "config_forms": (
        "from yaml", "to yaml", "from toml", "to toml", "from dotenv", "to dotenv", "from url", "to url",
    ),
}  # fmt: skip

# Those that take a block have a function of the same name in `stdlib/<topic>.fmsh`, for blocks with effects.
IN_FMSH = frozenset((
    "where", "each", "reduce", "take-while", "any", "all", "tap", "sort-by", "group-by", "count-by", "unique", "insert",
    "update",
))  # fmt: skip

MODULES: dict[str, str] = {name: topic for topic, topic_names in TOPICS.items() for name in topic_names}


def find(name: str) -> Builtin | None:
    """Gives the builtin of that name, one word or two, or None."""
    topic = MODULES.get(name)
    if topic is None:
        return None
    from importlib import import_module

    for each in import_module(f"fmsh.builtins.{topic}").BUILTINS:
        if each.name == name:
            return each  # type: ignore[no-any-return]
    raise KeyError(name)


def names() -> Iterator[str]:
    """Gives the names of all builtins."""
    return iter(MODULES)


def families() -> frozenset[str]:
    """Gives the first words of two-word names: `from`, `str`, `path`, … Alone, most of them are no command."""
    return frozenset(name.partition(" ")[0] for name in MODULES if " " in name)
