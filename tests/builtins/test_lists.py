"""Commands on lists and ranges."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmsh.values import Duration
from tests.builtins.running import error_of, run

ints = st.lists(st.integers(-5, 5))


@given(ints, st.integers(0, 9))
def test_first_and_skip_split_a_list_and_so_do_the_last(items: list[int], count: int) -> None:
    assert run("first", items, count) + run("skip", items, count) == items
    assert run("last", items, count) == items[len(items) - min(count, len(items)) :]


def test_first_and_last_without_a_count_give_the_item_or_null() -> None:
    assert (run("first", [1, 2]), run("last", [1, 2]), run("first", []), run("last", range(0))) == (1, 2, None, None)
    assert error_of(run, "first", [1], -1).kind == "value" and error_of(run, "last", [1], True).kind == "type"


def test_where_keeps_what_is_true_and_refuses_what_is_no_bool() -> None:
    assert run("where", range(5), lambda it: it > 2) == [3, 4]
    assert error_of(run, "where", [1], lambda it: it).message == "a condition must be a bool, not an int"
    for name in ("any", "all", "take-while"):
        assert error_of(run, name, [1], lambda it: "yes").kind == "type"


def test_each_reduce_and_tap() -> None:
    seen: list[int] = []
    assert run("each", [1, 2], lambda it: it * 2) == [2, 4]
    assert run("reduce", [1, 2], lambda acc, x: acc + x, **{"from": 10}) == 13
    assert run("reduce", [], lambda acc, x: acc, **{"from": None}) is None
    assert run("tap", [1, 2], seen.append) == [1, 2] and seen == [1, 2]


def test_any_all_and_take_while_stop_as_soon_as_they_know() -> None:
    def fails_after_two(item: int) -> bool:
        assert item <= 2
        return item == 2

    assert run("any", [1, 2, 3], fails_after_two) is True
    assert run("all", [2, 1, 3], fails_after_two) is False
    assert run("take-while", [2, 1, 3], fails_after_two) == [2]
    assert run("all", [], fails_after_two) is True and run("any", [], fails_after_two) is False


def test_the_shape_of_lists() -> None:
    assert run("count", range(10**12)) == 10**12
    assert run("flatten", [[1], 2, range(2), [[3]]]) == [1, 2, 0, 1, [3]]
    assert run("pair", [1, 2, 3], ["a", "b"]) == [[1, "a"], [2, "b"]]
    assert run("enumerate", ["a"]) == [{"index": 0, "item": "a"}]
    assert run("chunk", range(5), 2) == [[0, 1], [2, 3], [4]]
    assert list(run("reverse", range(3))) == [2, 1, 0]
    assert list(run("range", None, 1, 3)) == [1, 2, 3]
    assert error_of(run, "chunk", [1], 0).kind == "value"


def test_a_string_is_not_a_list() -> None:
    assert "`| lines`" in error_of(run, "count", "abc").fields["hint"]
    assert error_of(run, "where", {"a": 1}, bool).message == "the input of `where` must be a list, not a record"


@given(st.lists(st.integers() | st.floats(allow_nan=False)) | st.lists(st.text()) | st.lists(st.booleans()))
def test_sorting_is_that_of_the_values(items: list[Any]) -> None:
    assert run("sort-by", items) == sorted(items)
    assert run("sort-by", items, desc=True) == sorted(items, reverse=True)


@given(st.lists(st.fixed_dictionaries({"a": st.integers(0, 3), "b": st.text(max_size=1)})))
def test_sorting_by_several_keys_is_stable(rows: list[dict[str, Any]]) -> None:
    assert run("sort-by", rows, "a", ".b") == sorted(rows, key=lambda row: (row["a"], row["b"]))
    assert run("sort-by", rows, lambda row: [row["a"], row["b"]]) == run("sort-by", rows, "a", "b")
    assert run("sort-by", rows, "a") == sorted(rows, key=lambda row: row["a"])


@pytest.mark.parametrize("name", ["sort-by", "min", "max", "median"])
def test_different_kinds_have_no_order(name: str) -> None:
    assert error_of(run, name, [1, "a"]).kind == "type"
    assert error_of(run, name, [1, None]).kind == "type"


@given(ints)
def test_groups_hold_everything_in_order_of_first_appearance(items: list[int]) -> None:
    groups = run("group-by", items, lambda it: it % 3)
    assert [group["key"] for group in groups] == list(dict.fromkeys(item % 3 for item in items))
    assert sorted(item for group in groups for item in group["values"]) == sorted(items)
    counts = run("count-by", items, lambda it: it % 3)
    assert {each["key"]: each["count"] for each in counts} == {group["key"]: len(group["values"]) for group in groups}
    assert [each["count"] for each in counts] == sorted((each["count"] for each in counts), reverse=True)


def test_keys_keep_their_kind_and_true_is_not_one() -> None:
    items = [1, True, "1", 1.0, None, [1], {"a": 1}, Duration(1)]
    assert [group["key"] for group in run("group-by", items, lambda it: it)] == [
        1, True, "1", None, [1], {"a": 1}, Duration(1),
    ]  # fmt: skip
    assert run("group-by", [{"a": {"b": 1}}], "a.b")[0]["key"] == 1


def test_unique_keeps_the_first() -> None:
    assert run("unique", [1, 2, 1.0, {"a": 1}, {"a": 1.0}]) == [1, 2, {"a": 1}]
    assert run("unique", [{"n": 1, "m": 1}, {"n": 1, "m": 2}], by="n") == [{"n": 1, "m": 1}]
    assert run("unique", [1, 2, 3], by=lambda it: it % 2) == [1, 2]


def test_sums_of_numbers_and_durations() -> None:
    assert run("sum", range(10**6)) == 499999500000 and run("sum", []) == 0
    assert run("sum", [1, 2.5]) == 3.5 and run("sum", [Duration(1), Duration(2)]) == Duration(3)
    assert run("avg", [1, 2]) == 1.5 and run("avg", []) is None and run("avg", [Duration(2)]) == Duration(2)
    assert run("median", [3, 1, 2]) == 2 and run("median", [1, 2]) == 1.5 and run("median", []) is None
    assert run("min", ["b", "a"]) == "a" and run("max", [Duration(1), Duration(2)]) == Duration(2)
    assert run("min", []) is None and run("max", range(5)) == 4
    assert "| int" in error_of(run, "sum", ["1"]).fields["hint"]
    assert error_of(run, "sum", [True]).kind == "type" and error_of(run, "sum", [1, Duration(1)]).kind == "type"
