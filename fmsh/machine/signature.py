"""What a command takes: one form for builtins, special forms, functions and scripts, so that one check serves all."""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Value

TYPE_NAMES = (
    "any",
    "null",
    "bool",
    "int",
    "float",
    "number",
    "string",
    "bytes",
    "duration",
    "datetime",
    "list",
    "record",
    "block",
    "error",
    "secret",
    "callback",
    "task",
    "job",
    "channel",
    "handle",
    "path",  # a string naming a file: words glob and expand `~`
    "field",  # a field path as a word: `a`, `a.b`, `.a[0]`; a string, or a list of strings and ints
)

# What a pure command gets as a Python function where it is a block; of no `def`.
KEY = "field path or block"
COMPUTED = "value or block"
FUNCTION_TYPES = ("block", KEY, COMPUTED)


class Parameter(Record):
    """`kind`: "positional", "rest" or "flag". A flag of type "bool" is a switch: it takes no value.

    `name` is as a variable (`dry_run`); on the command line a flag is `--dry-run`, and `short` may be `-n`.
    `gives`: how many arguments the command gives to a block.
    """

    name: str
    kind: str = "positional"
    type_name: str = "any"  # of TYPE_NAMES, or "word": any value, but a bare number is as it was typed
    is_required: bool = True
    default: Value = None
    short: str = ""
    help: str = ""
    gives: int = 1

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


class Signature(Record):
    """`input`: what the pipe brings: "none" (nothing is taken), "any", "list", "text", "bytes" or "record".

    `is_input_required`: without a pipe before it the command is an error.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    input: str = "none"
    is_input_required: bool = False
    help: str = ""

    @property
    def positionals(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.parameters if parameter.kind == "positional")

    @property
    def rest(self) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.kind == "rest"), None)

    def flag_named(self, written: str) -> Parameter | None:
        """Finds a flag by how it is written: `--dry-run` or `-n`."""
        for parameter in self.parameters:
            if parameter.kind == "flag" and written in (parameter.flag, parameter.short):
                return parameter
        return None

    def usage(self) -> str:
        """Writes it as help and errors show it: `where PREDICATE`, `sort-by PATH… [--desc]`."""
        written = [self.name]
        for parameter in self.parameters:
            label = parameter.name.upper()
            if parameter.kind == "flag":
                label = parameter.flag if parameter.type_name == "bool" else f"{parameter.flag} {label}"
            elif parameter.kind == "rest":
                label += "…"
            written.append(label if parameter.is_required else f"[{label}]")
        return " ".join(written)
