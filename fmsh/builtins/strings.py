"""Commands on text."""

from __future__ import annotations

from fmsh.builtins.complaints import need_int, need_list, need_text, too_much, wrong_value
from fmsh.builtins.declare import builtin, flag, optional, required, rest, switch
from fmsh.builtins.fitting import as_text, split_lines
from fmsh.builtins.text import join_text, to_text
from fmsh.values import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value

TEXT_CHARACTERS_MAX = 2**28  # what a count may ask for; longer texts come only from the world


def echo(*values: Value) -> Value:
    """Gives its arguments as text, with blanks between them. With a secret among them it is a secret.

    > echo a 5 {b: 1}
    a 5 {"b":1}
    """
    parts: list[Value] = []
    for value in values:
        parts += [" ", value] if parts else [value]
    return join_text(parts)


def lines(text: str) -> Value:
    """Cuts text into its lines.

    > "a\\nb\\n" | lines | to json
    ["a","b"]
    """
    return split_lines(text)


def words(text: str) -> Value:
    """Cuts text at white space.

    > " a  b " | words | to json
    ["a","b"]
    """
    return text.split()


def upper(text: str) -> Value:
    """Makes capitals of all letters.

    > "abc" | str upper
    ABC
    """
    return text.upper()


def lower(text: str) -> Value:
    """Makes small letters of all letters.

    > "ABC" | str lower
    abc
    """
    return text.lower()


def trim(text: str) -> Value:
    """Removes white space at both ends.

    > "  a b " | str trim | to json
    "a b"
    """
    return text.strip()


def split(text: str, separator: Value) -> Value:
    """Cuts text at every separator. What stands between two separators may be empty.

    > "a,b,,c" | str split "," | to json
    ["a","b","","c"]
    """
    if need_text(separator, "the separator of `str split`") == "":
        return list(text)
    return text.split(separator)


def join(items: Value, separator: Value = "") -> Value:
    """Joins the items of a list to one text, with a separator between them.

    > [a, 1, b] | str join "-"
    a-1-b
    """
    parts: list[Value] = []
    for item in need_list(items, "the input of `str join`"):
        parts += [separator, item] if parts else [item]
    if not any(type(part) is Secret for part in parts):
        return need_text(separator, "the separator of `str join`").join([str(to_text(item)) for item in items])
    return join_text(parts)


def replace(text: str, old: Value, new: Value, *, regex: bool = False) -> Value:
    """Replaces every occurrence of a text. With `--regex` the first argument is a regular expression, and `\\1` to
    `\\9` in the second are what its groups found.

    > "a.b.c" | str replace . /
    a/b/c

    > "v1.2" | str replace --regex '(\\d)[.](\\d)' '\\2-\\1'
    v2-1
    """
    need_text(old, "what `str replace` looks for")
    need_text(new, "what `str replace` puts in")
    if not regex:
        return text.replace(old, new) if old else text
    return _replace_pattern(text, old, new)


def match(text: str, pattern: Value, *, all: bool = False) -> Value:
    """Finds a regular expression in text; null if it is not there, with `--all` a list of all finds. A find is the text
    found; of a pattern with groups a list of what they found; of one with named groups a record. `\\w` and `\\d` are
    about ASCII, `\\p{L}` is a letter of any script; there is no look-around.

    > "v1.22" | str match '\\d+'
    1

    > "v1.22" | str match '(\\d+)[.](\\d+)' | to json
    ["1","22"]

    > "v1.22" | str match '(?P<major>\\d+)[.]'
    {"major":"1"}
    """
    from fmsh.builtins import regular

    need_text(pattern, "the pattern of `str match`")
    found = regular.find_all(pattern, text) if all else [regular.search(pattern, text)]
    finds = [None if one is None else _find(one, text) for one in found]
    return finds if all else finds[0]


def starts_with(text: str, start: Value) -> Value:
    """Says whether text begins with another.

    > "abc" | str starts-with ab
    true
    """
    return text.startswith(need_text(start, "the argument of `str starts-with`"))


def ends_with(text: str, end: Value) -> Value:
    """Says whether text ends with another.

    > "a.txt" | str ends-with .txt
    true
    """
    return text.endswith(need_text(end, "the argument of `str ends-with`"))


def contains(text: str, part: Value) -> Value:
    """Says whether another text is part of this.

    > "abc" | str contains bc
    true
    """
    return need_text(part, "the argument of `str contains`") in text


def length(text: str) -> Value:
    """Counts characters (code points).

    > "häh" | str length
    3
    """
    return len(text)


def pad(text: str, width: Value, *, left: bool = False, fill: Value = " ") -> Value:
    """Fills text up to a width, at its end; with `--left` before it.

    > 7 | str | str pad 3 --left --fill 0
    007
    """
    count = need_int(width, "the width of `str pad`", least=0) - len(text)
    if count > TEXT_CHARACTERS_MAX:
        raise too_much(f"`str pad` makes at most {TEXT_CHARACTERS_MAX} characters")
    mark = str(to_text(fill)) or " "
    filling = (mark * (max(0, count) // len(mark) + 1))[: max(0, count)]
    return filling + text if left else text + filling


def slice_(text: str, start: Value, end: Value = None) -> Value:
    """Takes the characters from A up to, but not with, B; negative numbers count from the end.

    > "abcdef" | str slice 1 3
    bc

    > "abcdef" | str slice -2
    ef
    """
    need_int(start, "the start of `str slice`")
    return text[start : None if end is None else need_int(end, "the end of `str slice`")]


def str_(value: Value) -> Value:
    """Makes text of a value: a list or record becomes JSON, bytes are read as UTF-8.

    > 1h30m | str
    1h30m
    """
    return as_text(value, "the input of `str`") if type(value) is bytes else to_text(value)


def _find(match: Any, text: str) -> Value:
    from fmsh.builtins import regular

    names = match.re.groupindex
    if names:
        return {name: regular.group(match, text, number) for name, number in names.items()}
    if match.re.groups:
        return [regular.group(match, text, number) for number in range(1, match.re.groups + 1)]
    return regular.group(match, text)


def _replace_pattern(text: str, pattern: str, template: str) -> str:
    from fmsh.builtins import regular

    parts, place = [], 0
    for found in regular.find_all(pattern, text):
        start, end = found.span()
        parts += [text[place:start], _expanded(template, found, text)]
        place = end
    return "".join(parts) + text[place:]


def _expanded(template: str, match: Any, text: str) -> str:
    from fmsh.builtins import regular

    pieces = template.split("\\")
    result, position = pieces[0], 1
    while position < len(pieces):
        piece = pieces[position]
        if piece[:1].isdecimal() and piece[0] != "0":
            if int(piece[0]) > match.re.groups:
                raise wrong_value(f"the pattern has no group {piece[0]}", hint=f"it has {match.re.groups}")
            result += (regular.group(match, text, int(piece[0])) or "") + piece[1:]
        elif piece == "" and position + 1 < len(pieces):
            position += 1
            result += "\\" + pieces[position]
        else:
            result += "\\" + piece
        position += 1
    return result


BUILTINS: tuple[Builtin, ...] = (
    builtin("echo", echo, rest("values", "word"), input="none"),
    builtin("lines", lines, input="text"),
    builtin("words", words, input="text"),
    builtin("str", str_),
    builtin("str upper", upper, input="text"),
    builtin("str lower", lower, input="text"),
    builtin("str trim", trim, input="text"),
    builtin("str split", split, required("separator", "string"), input="text"),
    builtin("str join", join, optional("separator", default=""), input="list"),
    builtin(
        "str replace", replace, required("old", "string"), required("new", "string"), switch("regex"), input="text"
    ),
    builtin("str match", match, required("pattern", "string"), switch("all"), input="text"),
    builtin("str starts-with", starts_with, required("start", "string"), input="text"),
    builtin("str ends-with", ends_with, required("end", "string"), input="text"),
    builtin("str contains", contains, required("part", "string"), input="text"),
    builtin("str length", length, input="text"),
    builtin("str pad", pad, required("width", "int"), switch("left"), flag("fill", default=" "), input="text"),
    builtin("str slice", slice_, required("start", "int"), optional("end", "int"), input="text"),
)
