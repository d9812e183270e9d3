"""Commands on records, and on every record of a list."""

from __future__ import annotations

from fmsh.values import error_value
from tests.builtins.running import error_of, run

ROWS = [{"n": 1, "m": {"x": "a"}}, {"n": 2, "m": {"x": "b"}}]


def test_get_reads_from_a_record_or_from_every_record() -> None:
    assert run("get", ROWS[0], "m.x") == "a"
    assert run("get", ROWS, ".m.x") == ["a", "b"]
    assert run("get", {"items": [1, 2]}, "items[1]") == 2
    assert run("get", [5, 6], 1) == 6 and run("get", [5, 6], "[-1]") == 6
    assert run("get", {"a.b": {"c": 1}}, ["a.b", "c"]) == run("get", {"a.b": {"c": 1}}, '."a.b".c') == 1
    assert run("get", {}, "?a?.b") is None
    assert run("get", error_value("exit", "no", status=3), "status") == 3


def test_get_of_a_missing_field_names_it_and_the_near_one() -> None:
    failure = error_of(run, "get", {"status": 1}, "statsu")
    assert failure.kind == "name" and "`status`" in failure.fields["hint"]
    for path in ("", "a..b", "a[", "a[x]", '"a', "a?"):
        assert error_of(run, "get", {"a": {}}, path).kind in ("parse", "name"), path


def test_select_keeps_and_reject_drops_fields() -> None:
    assert run("select", ROWS, "m.x", "n") == [{"x": "a", "n": 1}, {"x": "b", "n": 2}]
    assert run("reject", ROWS[0], "m.x") == {"n": 1, "m": {}}
    assert run("reject", ROWS, "m", "n") == [{}, {}]
    assert error_of(run, "reject", ROWS, "q").kind == "name"
    assert error_of(run, "select", ROWS, "n", "n").kind == "value"
    assert run("reject", {"a": [1, 2, 3]}, "a[-1]") == {"a": [1, 2]}


def test_insert_adds_and_update_changes_and_neither_does_the_other() -> None:
    assert run("insert", {"a": 1}, "b", 2) == {"a": 1, "b": 2}
    assert run("insert", {"a": {}}, "a.c", lambda row: len(row)) == {"a": {"c": 1}}
    assert run("update", ROWS, "n", lambda old: old * 10) == [{**ROWS[0], "n": 10}, {**ROWS[1], "n": 20}]
    assert run("update", {"a": [1, 2]}, "a[0]", 9) == {"a": [9, 2]}
    assert "`update`" in error_of(run, "insert", {"a": 1}, "a", 2).fields["hint"]
    assert error_of(run, "update", {"a": 1}, "b", 2).kind == "name"


def test_rename_merge_keys_values_entries() -> None:
    assert list(run("rename-keys", {"a": 1, "b": 2}, {"a": "z"}).items()) == [("z", 1), ("b", 2)]
    assert run("rename-keys", {"a": 1, "b": 2}, {"a": "b", "b": "a"}) == {"b": 1, "a": 2}
    assert error_of(run, "rename-keys", {"a": 1, "b": 2}, {"a": "b"}).kind == "value"
    assert error_of(run, "rename-keys", {"a": 1}, {"q": "b"}).kind == "name"
    assert run("merge", ROWS, {"n": 0}) == [{**row, "n": 0} for row in ROWS]
    assert run("keys", {"a": 1, "b": 2}) == ["a", "b"] and run("values", {"a": 1, "b": 2}) == [1, 2]
    assert run("entries", {"a": 1}) == [{"key": "a", "value": 1}]


def test_what_is_no_record_is_an_error_that_says_so() -> None:
    assert error_of(run, "keys", 5).message == "the input of `keys` must be a record, not an int"
    assert (
        error_of(run, "merge", [{}, "a"], {}).message
        == "every item of the list for `merge` must be a record, not a string"
    )
    assert error_of(run, "merge", {}, 5).kind == "type"


def test_the_original_never_changes() -> None:
    row = {"a": {"b": 1}}
    for name, arguments in (("insert", ("c", 1)), ("update", ("a.b", 2)), ("reject", ("a.b",)), ("merge", ({"a": 0},))):
        run(name, row, *arguments)
    assert row == {"a": {"b": 1}}
