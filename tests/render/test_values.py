"""What a value looks like: at a terminal, in a pipe, as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fmsh.builtins.display import plain_display
from fmsh.render.cells import cut, pad, visible, width
from fmsh.render.inline import inline
from fmsh.render.values import display_text, to_plain_json
from fmsh.values import Block, Duration, Handle, Secret, SecretReference, error_value

SECRET = Secret(("x", SecretReference("K")))
text = st.text(st.characters(categories=["Cc", "Cf", "Cs", "L", "M", "So", "Zl", "Zs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | text
    | st.binary()
    | st.just(SECRET)
    | st.just(Block(None, None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=15,
)


def terminal(value: Any, cells: int = 80) -> str:
    return display_text(value, is_terminal=True, width=cells)


def test_in_a_pipe_values_are_plain() -> None:
    shown = {
        "a": "a\n", "a\n": "a\n", "": "\n", None: "", 5: "5\n", 2.0: "2.0\n", True: "true\n",
        Duration(5400 * 10**9): "1h30m\n", b"\xff\n": "\udcff\n", SECRET: "x•••\n",
        datetime(2026, 1, 1, tzinfo=UTC): "2026-01-01T00:00:00Z\n",
    }  # fmt: skip
    for value, expected in shown.items():
        assert display_text(value, is_terminal=False, width=80) == expected
    assert plain_display(["a", 1, None, {"b": [1]}, Duration(10**9)]) == 'a\n1\nnull\n{"b":[1]}\n1s\n'
    assert plain_display({"a": {"b": SECRET}}) == '{"a":{"b":"x•••"}}\n'
    assert plain_display([]) == "" and plain_display(range(1, 3)) == "1\n2\n"
    assert plain_display(10**5000) == "1" + "0" * 5000 + "\n"


def test_in_a_pipe_control_characters_pass_unchanged() -> None:
    assert plain_display("\x1b[31m") == "\x1b[31m\n"


@given(values, st.integers(1, 120))
def test_nothing_raw_reaches_the_terminal(value: Any, cells: int) -> None:
    shown = terminal(value, cells)
    assert shown == "" or shown.endswith("\n")
    for character in shown:
        assert character in "\n\t" or visible(character) == character


@given(values)
def test_every_value_has_its_json_document(value: Any) -> None:
    document = to_plain_json(value)
    assert document.endswith("\n") and document.count("\n") == 1
    json.loads(document)


def test_json_names_secrets_and_writes_durations_as_text() -> None:
    value = {
        "s": Secret((SecretReference("K"),)),
        "d": Duration(10**9),
        "h": Handle("job", "3", {}),
        "f": Block(None, None),
    }
    assert json.loads(to_plain_json(value)) == {
        "s": {"secret": "K"},
        "d": "1s",
        "h": {"kind": "job", "id": "3"},
        "f": None,
    }


def test_escapes_are_those_of_the_language() -> None:
    assert (
        visible("a\x1b\x07\r\x9b\u202e\u200f\udcff\ufeff") == "a\\u{1b}\\u{7}\\r\\u{9b}\\u{202e}\\u{200f}\\xff\\u{feff}"
    )
    assert visible("häh 日本 👩‍👩‍👧") == "häh 日本 👩‍👩‍👧"
    assert terminal("a\tb\nc\x1b") == "a\tb\nc\\u{1b}\n"


def test_a_list_of_records_is_a_table() -> None:
    rows = [{"name": "api", "n": 10}, {"name": "日本", "up": True}]
    assert terminal(rows) == "name   n  up\napi   10\n日本      true\n"
    assert terminal([{"a": "x\ny"}]) == "a\nx\\ny\n"


@given(
    st.lists(st.dictionaries(text.filter(bool), text, min_size=1, max_size=8), min_size=1, max_size=5),
    st.integers(8, 100),
)
def test_a_table_never_is_wider_than_the_terminal(rows: list[Any], cells: int) -> None:
    assert all(width(line) <= cells for line in terminal(rows, cells).splitlines())


def test_a_table_takes_from_the_widest_column_first() -> None:
    assert terminal([{"a": "x" * 50, "b": "y" * 10}], 30) == f"a{' ' * 19}b\n{'x' * 17}…  {'y' * 10}\n"
    assert terminal([{name: "x" * 10 for name in "abcd"}], 20).endswith("… and c, d\n")


def test_a_record_is_its_fields_one_below_the_other() -> None:
    assert terminal({"a": 1, "long": None, "r": {"x": 1}}) == "a     1\nlong  null\nr     {x: 1}\n"
    nested = {"r": {"text": "x" * 30, "n": 1}}
    assert terminal(nested, 20) == f"r\n  text  {'x' * 30}\n  n     1\n"
    assert terminal({"t": "a\nb\n"}) == "t\n  a\n  b\n"
    assert terminal({}) == "{}\n" and terminal([]) == "[]\n" and terminal([{}]) == "{}\n"


def test_on_one_line_a_value_is_written_as_the_language_writes_it() -> None:
    value = [1, "two", "two words", "", "12", "true", None, True, {"a": {"b": []}, "c d": 1}, Duration(10**9), {}]
    assert inline(value) == '[1, two, "two words", "", "12", "true", null, true, {a: {b: []}, "c d": 1}, 1s, {}]'
    assert inline(['say "$x"', "a\nb\x1b"]) == '["say \\"\\$x\\"", "a\\nb\\u{1b}"]'
    assert inline("two words") == "two words" and inline([SECRET, Block(None, None)]) == "[x•••, (a block)]"
    assert inline(range(1, 10**12)).endswith(", 22…") and inline("x" * 2000) == "x" * 1000 + "…"


def test_what_has_parts_in_parts_is_a_tree() -> None:
    assert terminal({"a": {"b": [1, 2], "c": {"d": 1}}}) == "a\n  b  [1, 2]\n  c  {d: 1}\n"
    assert terminal({"steps": [{"name": "api", "n": 1}], "l": [[1], [2, 3]]}) == (
        "steps\n  name  n\n  api   1\nl\n  [1]\n  [2, 3]\n"
    )


def test_of_a_large_value_the_beginning_is_shown() -> None:
    value = [{"n": list(range(1000))}, 5]
    assert display_text(list(range(7)), is_terminal=True, width=80, items_max=5) == (
        "0\n1\n2\n3\n4\n… and 2 more: `$last | skip 5` shows them\n"
    )
    inner = display_text({"n": list(range(1000))}, is_terminal=True, width=80, items_max=5)
    assert inner.endswith("  19\n  … and 980 more\n") and inner.count("\n") == 22
    assert terminal({"n": list(range(1000))}).count("\n") == 1001
    assert terminal(value).count("\n") == 2


def test_what_is_no_text_has_a_colour_by_its_kind() -> None:
    shown = display_text([{"n": 1, "up": True, "s": "x", "no": None}], is_terminal=True, width=80, color=True)
    titles, cells = shown.splitlines()
    assert titles == "\x1b[1mn\x1b[0m  \x1b[1mup\x1b[0m    \x1b[1ms\x1b[0m  \x1b[1mno\x1b[0m"
    assert cells == "\x1b[36m1\x1b[0m  \x1b[35mtrue\x1b[0m  x"


def test_an_error_is_shown_and_never_raised_again() -> None:
    assert terminal(error_value("fail", "no")).startswith("kind       fail\nmessage    no\n")


def test_a_handle_is_named() -> None:
    assert terminal(Handle("job", "7", {"id": 7})) == "job 7\n" and inline([Handle("task", "0.1", {})]) == "[task 0.1]"
    assert terminal(Handle("callback", "1", {"url": "http://x"})) == "kind  callback\nid    1\nurl   http://x\n"


def test_a_value_too_deep_to_write_is_cut_or_said_to_be() -> None:
    value: Any = 0
    for _ in range(100_000):
        value = [value]
    assert "[[[…]]]" in terminal([value]) and "nested too deeply" in to_plain_json(value)
    while value:
        value = value[0]


@given(text, st.integers(0, 20))
def test_cutting_and_padding_give_the_width(characters: str, cells: int) -> None:
    shown = visible(characters)
    assert width(cut(shown, cells)) <= cells
    assert width(pad(cut(shown, cells), cells)) == cells
