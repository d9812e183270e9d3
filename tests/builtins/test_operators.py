"""Operators: no coercion but int with float, and errors that say both kinds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmsh.builtins import operators as op
from fmsh.builtins.access import set_path
from fmsh.values import Block, Duration, ErrorValue, Raised, Secret, SecretReference, error_value
from tests.builtins.running import error_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = Duration(60 * 10**9)
SECRET = Secret(("a", SecretReference("K")))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False, width=32)
durations = st.integers(-(10**15), 10**15).map(Duration)
SAMPLES: list[Any] = [None, True, 1, 1.5, "a", b"a", MINUTE, NOON, [1], range(3), {"a": 1}, Block(None, None), SECRET]
BINARY = [
    op.add, op.subtract, op.multiply, op.divide, op.floor_divide, op.modulo, op.power, op.less, op.less_equal,
    op.greater,
    op.greater_equal, op.equal, op.not_equal, op.matches, op.not_matches, op.contains_in, op.not_in,
]  # fmt: skip


@pytest.mark.parametrize("operator", BINARY)
def test_any_pair_of_values_gives_a_value_or_an_error_of_the_program(operator: Any) -> None:
    for left in [*SAMPLES, error_value("fail", "x")]:
        for right in SAMPLES:
            try:
                operator(left, right)
            except Raised as failure:
                assert failure.error.kind in ("type", "value", "limit", "parse")
                assert failure.error.message


@given(numbers, numbers)
def test_numbers_add_as_in_python(left: float, right: float) -> None:
    assert op.add(left, right) == left + right
    assert op.subtract(left, right) == left - right


def test_division_is_float_and_floor_division_rounds_down() -> None:
    assert op.divide(7, 2) == 3.5 and type(op.divide(4, 2)) is float
    assert op.floor_divide(-7, 2) == -4
    assert op.modulo(-7, 2) == 1


@pytest.mark.parametrize("operator", [op.divide, op.floor_divide, op.modulo])
def test_division_by_zero_is_an_error(operator: Any) -> None:
    assert error_of(operator, 1, 0).kind == "value"
    assert error_of(operator, MINUTE, 0).kind == "value" if operator is not op.modulo else True


def test_plus_joins_two_strings_and_two_lists_and_nothing_else() -> None:
    assert op.add("a", "b") == "ab"
    assert op.add([1], range(2)) == [1, 0, 1]
    failure = error_of(op.add, "a", 1)
    assert failure.message == "`+` does not take a string and an int"
    assert "| int" in failure.fields["hint"]
    assert error_of(op.add, {"a": 1}, {"b": 1}).fields["hint"] == "`{...$a, ...$b}` joins two records"


@pytest.mark.parametrize("operator", BINARY[:7])
def test_a_bool_is_not_a_number(operator: Any) -> None:
    assert error_of(operator, True, 1).kind == "type"


@given(durations, durations)
def test_durations_add_up(left: Duration, right: Duration) -> None:
    assert op.subtract(op.add(left, right), right) == left


def test_durations_scale_and_divide() -> None:
    assert op.multiply(MINUTE, 2) == op.multiply(2, MINUTE) == Duration(120 * 10**9)
    assert op.multiply(MINUTE, 0.5) == op.divide(MINUTE, 2) == Duration(30 * 10**9)
    assert op.divide(MINUTE, Duration(10**9)) == 60.0
    assert op.floor_divide(MINUTE, Duration(7 * 10**9)) == 8
    assert op.modulo(MINUTE, Duration(7 * 10**9)) == Duration(4 * 10**9)
    assert "unit" in error_of(op.add, MINUTE, 5).fields["hint"]


def test_datetimes_are_instants() -> None:
    berlin = NOON.astimezone(timezone(timedelta(hours=1)))
    assert op.subtract(berlin, NOON) == Duration(0)
    assert op.equal(berlin, NOON)
    assert op.add(NOON, MINUTE) == op.add(MINUTE, NOON) == NOON + timedelta(minutes=1)
    assert op.subtract(op.add(NOON, MINUTE), NOON) == MINUTE
    assert op.less(NOON, op.add(NOON, MINUTE))
    assert error_of(op.add, NOON, NOON).kind == "type"
    assert error_of(op.add, NOON, Duration(10**30)).kind == "limit"


def test_numbers_that_would_not_end_are_refused() -> None:
    assert error_of(op.power, 10, 10**10).kind == "limit"
    assert error_of(op.power, 2.0, 10**6).kind == "limit"
    assert error_of(op.multiply, 2 ** (5 * 2**20), 2 ** (5 * 2**20)).kind == "limit"
    assert error_of(op.add, 10**400, 1.0).kind == "limit"
    assert error_of(op.power, 0, -1).kind == error_of(op.power, -8, 0.5).kind == "value"
    assert op.power(2, 10) == 1024 and op.power(1, 10**12) == 1


def test_negation() -> None:
    assert op.negate(2) == -2
    assert op.negate(MINUTE) == Duration(-60 * 10**9)
    assert error_of(op.negate, True).kind == "type"


@given(
    st.lists(numbers, min_size=2, max_size=2)
    | st.lists(st.text(), min_size=2, max_size=2)
    | st.tuples(durations, durations)
)
def test_the_comparisons_agree_with_one_another(pair: Any) -> None:
    left, right = pair
    assert op.less(left, right) + op.greater(left, right) + op.equal(left, right) == 1
    assert op.less_equal(left, right) == (not op.greater(left, right))
    assert op.greater_equal(left, right) == (not op.less(left, right))
    assert op.not_equal(left, right) == (not op.equal(left, right))


def test_different_kinds_are_not_compared_but_null_is() -> None:
    failure = error_of(op.equal, "5", 5)
    assert failure.message == "`==` does not compare a string with an int"
    assert "| int" in failure.fields["hint"]
    assert error_of(op.equal, True, 1).kind == "type"
    assert op.equal(None, 5) is False and op.not_equal([], None) is True and op.equal(None, None) is True
    assert op.equal(1, 1.0) and op.equal([1, 2], range(1, 3)) and op.equal({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert op.equal([1], [True]) is False
    assert error_of(op.less, None, 1).kind == "type"
    assert error_of(op.less, [1], [2]).kind == "type"
    assert error_of(op.less, False, True).kind == "type"


def test_a_secret_can_only_be_compared_with_a_secret() -> None:
    assert op.equal(SECRET, Secret(("a", SecretReference("K"))))
    for operator in (op.add, op.less, op.matches, op.equal):
        failure = error_of(operator, SECRET, "a")
        assert failure.kind == "type" and "K" not in failure.message


def test_matching_is_a_search_in_linear_time() -> None:
    assert op.matches("an ERROR here", "ERR.R") and op.not_matches("x", "^y")
    assert op.matches("a" * 50_000, "(a*)*b") is False
    assert op.matches("\udcff!", "!")
    assert error_of(op.matches, "x", "(").kind == "parse"
    assert error_of(op.matches, 5, "5").kind == "type"


def test_membership() -> None:
    assert op.contains_in(2, [1, 2.0]) and op.contains_in("b", "abc") and op.contains_in("k", {"k": 1})
    assert op.contains_in(3, range(5)) and op.not_in(5, range(5)) and op.contains_in(b"a", b"ab")
    assert op.not_in("x", []) and op.not_in(None, [1])
    assert "a string" in error_of(op.contains_in, "200", [200, 404]).message
    assert error_of(op.contains_in, 1, "1").kind == "type"
    assert error_of(op.contains_in, 1, 5).kind == "type"


def test_there_is_no_truthiness() -> None:
    assert op.truth(True) is True and op.truth(False) is False
    for value in (0, 1, "", "true", None, []):
        assert error_of(op.truth, value).message.startswith("a condition must be a bool, not ")


def test_ranges_include_their_end_unless_they_say_not() -> None:
    assert list(op.make_range(1, 3)) == [1, 2, 3]
    assert list(op.make_range(1, 3, True)) == [1, 2]
    assert list(op.make_range(3, 1)) == []
    assert error_of(op.make_range, 1, 2.0).kind == "type"


def test_fields_and_what_is_missing() -> None:
    record = {"status": 1, "a": {"b": None}}
    assert op.get_field(record, "status") == 1
    failure = error_of(op.get_field, record, "stauts")
    assert failure.kind == "name" and failure.fields["hint"] == "did you mean `status`?"
    assert op.get_field(record, "x", True) is None
    assert op.get_field(None, "x", True) is None
    assert error_of(op.get_field, None, "x").kind == "type"
    assert "`${name}.bak`" in error_of(op.get_field, "f", "bak").fields["hint"]
    assert "get name" in error_of(op.get_field, [{"name": 1}], "name").fields["hint"]
    assert error_of(op.get_field, 5, "x", True).kind == "type"
    assert op.get_field(error_value("exit", "no", status=3), "status") == 3


def test_items_and_slices() -> None:
    items = [0, 1, 2, 3]
    assert op.get_index(items, -1) == 3 and op.get_index(range(4), 2) == 2 and op.get_index("häh", 1) == "ä"
    assert op.get_index({"k": 1}, "k") == 1
    assert error_of(op.get_index, items, 4).message == "there is no item [4]: it has 4 items"
    assert op.get_index(items, 9, True) is None and op.get_index(None, 0, True) is None
    assert error_of(op.get_index, items, "a").kind == error_of(op.get_index, items, True).kind == "type"
    assert op.get_slice(items, 1, 2) == [1, 2] and op.get_slice(items, 1, 2, True) == [1]
    assert op.get_slice(items, -2, -1) == [2, 3] and op.get_slice(items, None, -2) == [0, 1, 2]
    assert op.get_slice("abc", 1, None) == "bc" and op.get_slice(items, 2, 99) == [2, 3]
    assert error_of(op.get_slice, 5, 0, 1).kind == "type"


@given(st.lists(st.integers()), st.integers(-9, 9), st.integers(-9, 9))
def test_a_slice_with_its_end_is_the_one_without_and_one_more(items: list[int], start: int, end: int) -> None:
    inclusive = op.get_slice(items, start, end)
    exclusive = op.get_slice(items, start, end, True)
    assert inclusive[: len(exclusive)] == exclusive or end == -1
    if 0 <= start <= end < len(items):
        assert inclusive == [*exclusive, items[end]]


def test_assigning_makes_a_new_value() -> None:
    old = {"a": [{"b": 1}], "c": 2}
    new = set_path(old, ["a", 0, "b"], 5)
    assert new == {"a": [{"b": 5}], "c": 2} and old == {"a": [{"b": 1}], "c": 2}
    assert list(set_path({"x": 1}, ["y"], 2)) == ["x", "y"]
    assert set_path([1, 2], [-1], 9) == [1, 9]
    assert set_path(range(2), [0], 9) == [9, 1]
    assert error_of(set_path, {}, ["a", "b"], 1).kind == "name"
    assert error_of(set_path, [1], [1], 2).kind == "name"
    assert error_of(set_path, None, ["a"], 1).kind == error_of(set_path, "x", [0], 1).kind == "type"


def test_values_become_text_in_strings() -> None:
    assert [op.to_text(value) for value in ("a", 5, 1.0, True, None, MINUTE, NOON, b"x", [1, "a"], {"a": None})] == [
        "a", "5", "1.0", "true", "", "1m", "2026-11-24T12:00:00Z", "x", '[1,"a"]', '{"a":null}',
    ]  # fmt: skip
    assert error_of(op.to_text, Block(None, None)).kind == "type"
    assert op.to_text(error_value("fail", "x")).startswith('{"kind":"fail","message":"x"')


def test_a_string_with_a_secret_in_it_is_a_secret() -> None:
    assert op.join_text(["a", 5]) == "a5"
    assert op.join_text(["Bearer ", SECRET, "", 5]) == Secret(("Bearer a", SecretReference("K"), "5"))
    assert error_of(op.to_text, {"key": SECRET}).kind == "type"


@given(st.integers(0, 30_000), st.integers(0, 9))
def test_an_int_of_any_length_is_written_and_read(digits: int, last: int) -> None:
    from fmsh.builtins.kinds import read_int

    number = -(10**digits) + last
    assert read_int(str(op.to_text(number))) == number


def test_an_error_value_is_no_exception() -> None:
    assert op.equal(ErrorValue({"kind": "x", "message": ""}), ErrorValue({"kind": "x", "message": ""}))
