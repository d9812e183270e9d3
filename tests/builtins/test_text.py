"""The three JSON writers: what programs get, what people see, what `--json` prints."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fmsh.builtins.text import display_json, json_text, plain_json
from fmsh.values import Block, Duration, Handle, Secret, SecretReference
from tests.builtins.running import error_of

surrogates = st.text(st.characters(categories=["Cs", "L", "Cc"]))
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | surrogates,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
anything = st.recursive(
    st.floats() | st.binary() | st.integers().map(Duration) | st.just(Secret((SecretReference("K"),))) | surrogates,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(surrogates, inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_json_of_plain_values_is_read_back_the_same(value: Any) -> None:
    text = json_text(value)
    text.encode()
    assert json.loads(text) == value


@given(anything)
def test_every_value_has_a_json_document(value: Any) -> None:
    json.loads(plain_json(value), parse_constant=lambda name: 1 / 0)
    json.loads(plain_json(value, indent=2))
    display_json(value).encode()


def test_what_json_cannot_say_is_refused_for_programs() -> None:
    assert error_of(json_text, {"a": float("nan")}).kind == "value"
    assert error_of(json_text, [Secret((SecretReference("K"),))]).kind == "type"
    assert error_of(json_text, Block(None, None)).kind == "type"


def test_secrets_show_as_dots_to_people_and_by_name_in_json() -> None:
    secret = {"a": Secret((SecretReference("K"),)), "b": Secret(("x", SecretReference("K")))}
    assert display_json(secret) == '{"a":"•••","b":"x•••"}'
    assert json.loads(plain_json(secret)) == {"a": {"secret": "K"}, "b": "x•••"}


def test_kinds_that_json_lacks() -> None:
    value = [Duration(90 * 10**9), b"\xff", range(2), Handle("job", "12", {}), 10**5000]
    assert json_text(value[:4]) == '["1m30s","/w==",[0,1],{"kind":"job","id":"12"}]'
    assert plain_json(value).endswith(",1" + "0" * 5000 + "]")
    assert display_json([float("inf"), "number#0"]) == '[inf,"number#0"]'


def test_deep_values_are_a_limit_and_not_a_crash() -> None:
    value: Any = []
    for _ in range(200_000):
        value = [value]
    assert error_of(json_text, value).kind == "limit"
    while value:
        value = value[0]
