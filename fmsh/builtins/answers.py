"""What a person answers to a question, as text, becomes the value that the question asks for."""

from __future__ import annotations

from fmsh.builtins import datetimes, kinds
from fmsh.builtins.display import element_text
from fmsh.builtins.json_forms import read_json
from fmsh.values import Raised, a_kind, are_equal, kind_of, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.values import Value

YES, NO = ("y", "yes", "true"), ("n", "no", "false")


def read_answer(text: str | None, question: Mapping[str, Value]) -> Value:
    """Reads an answer: JSON if it parses, else text. None is the default, or null.

    `question` holds `choices`, `type` and `default` as far as they were given. Raises: Raised: what it asks for.
    """
    if text is None or (text == "" and "default" in question):
        if "default" in question or not {"choices", "type"} & question.keys():
            return question.get("default")
        text = ""
    choices = question.get("choices")
    if isinstance(choices, list):
        return _choice(text, choices)
    type_name = question.get("type")
    return _plain(text) if type_name is None else _typed(text, str(type_name))


def check_answer(value: Value, question: Mapping[str, Value]) -> Value:
    """The same for an answer that is a value already, such as one of the HTTP interface. Raises: Raised."""
    if isinstance(value, str):
        return read_answer(value, question) if {"choices", "type"} & question.keys() else value
    choices, type_name = question.get("choices"), question.get("type")
    if value is None:
        return read_answer(None, question)
    if isinstance(choices, list):
        return _choice(element_text(value), choices)
    return value if type_name is None or kind_of(value) in _kinds(str(type_name)) else _wrong(value, str(type_name))


def _plain(text: str) -> Value:
    try:
        return read_json(text)
    except Raised:
        return text


def _choice(text: str, choices: list[Value]) -> Value:
    for choice in choices:
        if element_text(choice) == text or are_equal(choice, _plain(text)):
            return choice
    raise raised("type", f"the answer is one of {', '.join(map(element_text, choices))}, not {text!r}")


def _typed(text: str, type_name: str) -> Value:
    if type_name in _READERS:
        return _READERS[type_name](text)
    value = _plain(text.strip())
    return value if kind_of(value) in _kinds(type_name) else _wrong(value, type_name)


def _kinds(type_name: str) -> tuple[str, ...]:
    return ("int", "float") if type_name in ("number", "float") else (type_name,)


def _wrong(value: Value, type_name: str) -> Value:
    raise raised("type", f"the answer is {a_kind(type_name)}, not {a_kind(kind_of(value))}")


def _bool(text: str) -> Value:
    word = text.strip().lower()
    if word not in YES + NO:
        raise raised("type", f"the answer is yes or no, not {text!r}")
    return word in YES


_READERS: dict[str, Callable[[str], Value]] = {
    "string": lambda text: text,
    "bool": _bool,
    "duration": lambda text: kinds.duration(text.strip()),
    "datetime": lambda text: datetimes.datetime_(text.strip()),
}
