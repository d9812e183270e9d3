"""Values and records: equality, kinds and how a duration is written."""

from __future__ import annotations

import pytest

from fmsh.record import Record
from fmsh.values import Duration, are_equal, kind_of


class Point(Record):
    x: int
    y: int = 0


class Named(Point):
    name: str = ""


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1_500_000_000, "1s500ms"),
        (250_000, "0.25ms"),
        (90 * 60 * 10**9, "1h30m"),
        (8 * 86400 * 10**9, "1w1d"),
        (-(10**9), "-1s"),
    ],
)
def test_a_duration_is_written_as_the_language_reads_it(nanoseconds: int, text: str) -> None:
    assert str(Duration(nanoseconds)) == text


def test_true_is_not_one_and_an_int_equals_its_float() -> None:
    assert not are_equal(True, 1)
    assert are_equal(1, 1.0)
    assert not are_equal([True], [1])
    assert are_equal({"a": [1, 2]}, {"a": [1.0, 2]})
    assert are_equal(range(1, 3), [1, 2])
    assert not are_equal("1", 1)


def test_the_kinds_are_those_of_the_language() -> None:
    values = [None, True, 1, 1.5, "a", b"a", Duration(1), [], range(3), {}]
    expected = ["null", "bool", "int", "float", "string", "bytes", "duration", "list", "list", "record"]
    assert [kind_of(value) for value in values] == expected
    with pytest.raises(TypeError):
        kind_of(object())


def test_a_record_takes_fields_by_place_and_by_name() -> None:
    assert Named(1, name="a") == Named(x=1, y=0, name="a")
    assert Point(1) != Named(1)
    assert Point(1).replace(y=2) == Point(1, 2)
    assert repr(Point(1)) == "Point(x=1, y=0)"
    assert hash(Point(1)) == hash(Point(1, 0))


@pytest.mark.parametrize("arguments", [((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 1})])
def test_a_record_refuses_what_does_not_fit(arguments: tuple[tuple[int, ...], dict[str, int]]) -> None:
    values, named = arguments
    with pytest.raises(TypeError):
        Point(*values, **named)


def test_a_record_has_no_dictionary() -> None:
    assert not hasattr(Point(1), "__dict__")


def test_fields_with_a_default_come_last() -> None:
    with pytest.raises(TypeError, match="come last"):

        class Wrong(Point):
            z: int
