"""The wire form: what is written is JSON, and reads back as what it was."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmsh import wire
from fmsh.values import Duration, ErrorValue, Handle, Secret, SecretReference, are_equal

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(allow_nan=False),
    st.text(st.characters(codec=None, categories=None)),  # lone surrogates too
    st.binary(),
    st.builds(Duration, st.integers()),
    st.builds(lambda part, name: Secret((part, SecretReference(name))), st.text(), st.text(min_size=1)),
)
KEYS = st.one_of(st.text(max_size=4), st.sampled_from(["$int", "$record", "$x", "$"]))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(KEYS, inner)), max_leaves=20)


@given(VALUES)
@settings(max_examples=500, deadline=None)
def test_a_value_reads_back_as_it_was(value: Any) -> None:
    assert are_equal(wire.decode(wire.encode(value)), value)


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_json_without_surrogates(value: Any) -> None:
    text = wire.encode(value)
    json.loads(text)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**63, '{"$int":"8000000000000000"}'),
        (-(2**63), "-9223372036854775808"),
        (float("inf"), '{"$float":"inf"}'),
        (Duration(1500), '{"$duration":1500}'),
        ({"$int": "5"}, '{"$record":[["$int","5"]]}'),
        ({"$int": "5", "b": 1}, '{"$int":"5","b":1}'),
        (Secret(("Bearer ", SecretReference("tok"))), '{"$secret":["Bearer ",{"secret":"tok"}]}'),
        (range(1, 4), '{"$range":[1,4,1]}'),
        (b"\xff", '{"$bytes":"/w=="}'),
        ("\udcff", '{"$text":"7bO/"}'),
    ],
)
def test_the_tags_are_written_as_documented(value: Any, text: str) -> None:
    assert wire.encode(value) == text
    assert are_equal(wire.decode(text), value)


def test_nan_survives() -> None:
    value = wire.decode(wire.encode(float("nan")))
    assert value != value


def test_an_int_of_any_length_survives() -> None:
    assert wire.decode(wire.encode(10**5000)) == 10**5000


def test_errors_handles_and_datetimes_survive() -> None:
    at = datetime(2026, 12, 24, 18, 0, tzinfo=timezone(timedelta(hours=2)))
    error = ErrorValue({"kind": "http", "message": "m", "body": {"at": at}})
    assert wire.decode(wire.encode(error)) == error
    handle = Handle("callback", "3", {"id": "3", "url": "http://h/cb/x"})
    assert wire.decode(wire.encode(handle)) == handle


def test_a_tag_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\$nope is not a tag"):
        wire.decode('{"a":{"$nope":1}}')
