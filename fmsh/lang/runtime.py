"""What generated code calls besides operators and commands: pure functions on values that the language itself needs."""

from __future__ import annotations

from fmsh.lang.turns import (
    again,
    check_retry,
    is_again,
    is_found,
    keys_of_turn,
    next_turn,
    no_keys,
    poll_failure,
    poll_pause,
    retry_policy,
    retry_wait,
)
from fmsh.machine.code import UNSET, is_source
from fmsh.machine.signature import COMPUTED, KEY
from fmsh.values import (
    Block,
    Duration,
    ErrorValue,
    Handle,
    Raised,
    Secret,
    a_kind,
    error_value,
    kind_of,
    raised,
    text_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.values import Value

SIGPIPE_STATUS = 141


def known(value: Value, name: str) -> Value:
    """A variable that a function reads before its `let` has run is an error."""
    if value is UNSET:
        raise raised("name", f"${name} has no value yet here: its `let` has not run")
    return value


def loop_items(value: Value) -> Value:
    """What `for` goes over: a list or range, the pairs of a record, a channel."""
    if type(value) is list or type(value) is range:
        return value
    if type(value) is Handle and (value.kind == "channel" or value.fields_.get("many")):
        return value
    if type(value) is dict:
        return [[key, item] for key, item in value.items()]
    hint = (
        "take its lines with `| lines`"
        if type(value) is str
        else "`for` goes over a list, a range, a record or a channel"
    )
    raise raised("type", f"`for` cannot go over {a_kind(kind_of(value))}", hint=hint)


# ---- Arguments -------------------------------------------------------------------------------------------------------

_ACCEPTED: dict[str, tuple[str, ...]] = {
    "number": ("int", "float"),
    "float": ("float", "int"),
    "path": ("string",),
    "field": ("string", "list", "int"),
    KEY: ("string", "list", "int", "block"),
    "string": ("string", "secret"),
    "handle": ("callback", "task", "job", "channel", "inbox", "topic", "api"),
}


def accepts(type_name: str, kind: str) -> bool:
    """Whether a parameter of a type takes a value of a kind."""
    return type_name in ("any", "word", COMPUTED, kind) or kind in _ACCEPTED.get(type_name, ())


def check_argument(value: Value, type_name: str, parameter: str, usage: str) -> Value:
    """Gives the value back if the parameter takes it."""
    kind = kind_of(value)
    if not accepts(type_name, kind):
        hint = f"usage: {usage}" if usage else None
        raise raised("type", f"{parameter} must be {a_kind(type_name)}, this is {a_kind(kind)}", hint=hint)
    return value


def only_computes(value: Value) -> bool:
    """Whether a block has no effects."""
    return not isinstance(value, Block) or value.code.make_function is not None


def as_function(value: Value, gives: int = 1) -> Callable[..., Value]:
    """A block without effects as a Python function, for a command that computes and `gives` it so many arguments."""
    if not isinstance(value, Block):
        raise raised("type", f"a block is needed here, this is {a_kind(kind_of(value))}")
    if value.code.make_function is None:
        raise raised(
            "type",
            "a block that is held by a variable may only compute here; this block has effects",
            hint="write it where it is used, or `each { call $f $it }`",
        )
    taken = len(value.code.parameters)
    if taken != gives:
        takes = "no argument" if taken == 0 else "one argument" if taken == 1 else f"{taken} arguments"
        hint = "a block names what it takes: { |item| … }, { |so_far, item| … }"
        raise raised("type", f"the block takes {takes}, {gives} {'is' if gives == 1 else 'are'} given to it", hint=hint)
    return value.code.make_function(value.scope)  # type: ignore[no-any-return]


def as_function_if_block(value: Value) -> Value:
    """A block without effects as a Python function, any other value as it is."""
    return as_function(value) if isinstance(value, Block) else value


def in_zone_of_job(value: Value, zone: str) -> Value:
    """The moment that a date or time without an offset names in the job's time zone."""
    from datetime import UTC, timedelta, timezone
    from zoneinfo import ZoneInfo

    try:
        moment = value.replace(tzinfo=ZoneInfo(zone or "UTC"))
    except (KeyError, ValueError, OSError):
        hint = "write the offset (`2026-12-24T18:00+01:00`), or set TZ to a name such as Europe/Berlin"
        raise raised("type", f"the time zone {zone!r} of the job is not known here", hint=hint) from None
    offset = moment.utcoffset() or timedelta()
    return moment.replace(tzinfo=timezone(offset) if offset else UTC)


# ---- External commands -----------------------------------------------------------------------------------------------


def process_argument(value: Value, to_text: Callable[[Value], Any]) -> str:
    """One argument of an external command. A secret is refused: everybody can read a command line."""
    if isinstance(value, Secret):
        hint = "hand it over in the environment (NAME=$secret command) or on standard input"
        raise raised("type", "a secret cannot be an argument of an external command: others could read it", hint=hint)
    text = to_text(value)
    if "\0" in text:
        raise raised("type", "an argument of an external command cannot hold a NUL character")
    return str(text)


def process_input(value: Value, to_text: Callable[[Value], Any], is_line: bool) -> Value:
    """What an external command reads from the pipe: text and bytes as they are, a list as one line per element."""
    if isinstance(value, str):
        return value + "\n" if is_line else value
    if isinstance(value, Secret):  # it becomes text where the command is started
        return value
    if value is None:
        return ""  # nothing is an input that is empty: what follows a pipe never reads the terminal
    if isinstance(value, bytes):
        return value
    if isinstance(value, list | range):
        return "".join(f"{to_text(item)}\n" for item in value)
    if type(value) is Block and is_source(value):  # its last stage makes lines
        return value
    return f"{to_text(value)}\n"


def process_value(result: dict[str, Value], names: list[str]) -> Value:
    """The value of a run of external commands: its text without the trailing newlines. Raises its failure."""
    error = process_error(result, names)
    if error is not None:
        from fmsh.values import Raised

        raise Raised(error)
    output = result["output"]
    return output.rstrip("\n") if isinstance(output, str) else output


def process_condition(result: dict[str, Value], names: list[str]) -> bool:
    """Whether a run of external commands succeeded. Death by a signal is not an answer but an error."""
    error = process_error(result, names)
    if error is not None and error.fields.get("signal") is not None:
        from fmsh.values import Raised

        raise Raised(error)
    return error is None


def process_error(result: dict[str, Value], names: list[str]) -> ErrorValue | None:
    """The failure of the last stage that failed. A stage that a later one cut off (SIGPIPE) did not fail."""
    statuses = result["statuses"]
    for index in reversed(range(len(statuses))):
        status = statuses[index]
        if status == 0 or (status == SIGPIPE_STATUS and index < len(statuses) - 1):
            continue
        signal = status - 128 if 128 < status < 160 else None
        how = f"was ended by signal {signal}" if signal else f"ended with status {status}"
        stderr = result.get("stderr") or ""
        fields = {"status": status, "signal": signal, "stderr": stderr, "command": names[index]}
        return error_value("exit", f"{names[index]} {how}", **fields)
    return None


# ---- Redirections ----------------------------------------------------------------------------------------------------


def redirected_path(value: Value, to_text: Callable[[Value], Any]) -> str:
    """The file of a redirection: one path, also if a pattern stands for it."""
    if type(value) is list and len(value) == 1:
        value = value[0]
    if type(value) is list:
        raise raised(
            "type", f"a redirection takes one file, this is a list of {len(value)}", hint="quote it, or name one"
        )
    if type(value) not in (str, int, float):
        raise raised("type", f"a redirection takes the name of a file, not {a_kind(kind_of(value))}")
    text = str(to_text(value))
    if not text or "\0" in text:
        raise raised("type", "the name of a file cannot " + ("be empty" if not text else "hold a NUL character"))
    return text


def redirected_text(value: Value, to_text: Callable[[Value], Any], is_line: bool) -> Value:
    """What `<<<` and `<<` hand over: as a pipe carries it, for `<<<` with a newline."""
    if isinstance(value, Secret) and is_line:
        return Secret((*value.parts, "\n"))
    return "\n" if value is None and is_line else process_input(value, to_text, is_line)


def captured_value(result: dict[str, Value]) -> Value:
    return result["value"]


def captured_text(result: dict[str, Value], streams: list[str], rest: Value = None) -> Value:
    """What a stage displayed on some streams, in order, and after it its value as a pipe carries it."""
    text = "".join(shown for stream, shown in result["shown"] if stream in streams)
    if isinstance(rest, bytes):
        return text_bytes(text) + rest
    if isinstance(rest, Secret):
        return Secret((text, *rest.parts))
    return text + (rest or "")


def captured_output(result: dict[str, Value], streams: list[str], rest: Value) -> Value:
    """All that a stage said, as the output of a command is a value."""
    text = captured_text(result, streams, rest)
    return text.rstrip("\n") if isinstance(text, str) else text


def captured_record(result: dict[str, Value]) -> dict[str, Value]:
    """What `capture` gives; the value of its body is the error that ended it, or null."""
    error = result["value"]
    status = 0
    if error is not None:
        status = error.fields.get("status") if error.kind == "exit" else 1
    return {
        "stdout": captured_text(result, ["out"]),
        "stderr": captured_text(result, ["err"]),
        "status": status if type(status) is int else 1,
    }


# ---- Messages --------------------------------------------------------------------------------------------------------


def inbox_handle(name: Value) -> Handle:
    """The handle of what is sent to this job under a name."""
    if not isinstance(name, str) or not name:
        raise raised("type", "an inbox has a name, such as `inbox stop`")
    return Handle("inbox", name, {"id": name, "many": True})


def answer_or_default(result: dict[str, Value], default: Value) -> Value:
    """What a person answered; past the time-out the default."""
    if result["ok"] is True:
        return result["value"]
    error = result["error"]
    if error.kind == "timeout":
        return default
    raise Raised(error)


# ---- Errors ----------------------------------------------------------------------------------------------------------


def failure(value: Value) -> ErrorValue:
    """What `fail VALUE` raises: a text, a record with a message, or a caught error as it was."""
    if isinstance(value, ErrorValue):
        return value
    if isinstance(value, dict):
        fields = {"kind": "fail", "message": "failed", **value}
        kind, message = fields.pop("kind"), fields.pop("message")
        return error_value(str(kind), str(message), **fields)
    if isinstance(value, str | Secret):
        return error_value("fail", str(value))
    raise raised("type", f"fail takes a text, a record or an error, not {a_kind(kind_of(value))}")


def exit_status(value: Value) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise raised("type", "an exit status is a whole number from 0 to 255")
    return value


def soft_failure() -> ErrorValue:
    """What `||` binds to `$error` when its left side was a condition that is false."""
    return error_value("false", "the condition is false")


# ---- Effects ---------------------------------------------------------------------------------------------------------


def sleep_duration(value: Value) -> Duration:
    """`sleep 90` is in seconds."""
    if type(value) in (int, float):
        value = Duration(round(value * 10**9))
    if isinstance(value, Duration):
        if value.nanoseconds < 0:
            raise raised("type", "sleep takes a time that is not negative", hint="such as `sleep 10s`")
        return value
    raise raised(
        "type",
        f"sleep takes a duration or a number of seconds, not {a_kind(kind_of(value))}",
        hint="such as `sleep 10s`",
    )


def url_part(value: Value, to_text: Callable[[Value], Any]) -> Value:
    """A value put into a URL: percent-encoded, so that it can never change the path or add a query."""
    text = to_text(value)
    if isinstance(text, Secret):
        return text
    if text in (".", ".."):
        raise raised("type", f"`{text}` cannot be a segment of an address", hint="check the value, or use `url raw`")
    from urllib.parse import quote

    return quote(text, safe="", errors="surrogateescape")


def through_api(api: dict[str, Value], name: str, request: dict[str, Value]) -> dict[str, Value]:
    """The arguments of a request whose address begins with the name of an api: its base, its defaults below them."""
    base, url = api["url"], request["url"]
    if isinstance(base, Secret) or isinstance(url, Secret):
        first, *rest = url.parts if isinstance(url, Secret) else (url,)
        *head, last = base.parts if isinstance(base, Secret) else (base,)
        end = last.rstrip("/") if isinstance(last, str) else last
        joined: Value = Secret((*head, end, str(first)[len(name) :], *rest))
    else:
        joined = base.rstrip("/") + url[len(name) :]
    merged: dict[str, Value] = {
        key: api[key] | request[key] for key in ("headers", "query") if key in api and key in request
    }
    through: dict[str, Value] = {**api, **request, **merged, "url": joined}
    through.pop("interval", None)  # it is waited for before
    return through


def request_retries(value: Value) -> int:
    if type(value) is not int or value < 0:
        raise raised("type", "--retry takes a whole number from 0", hint="0 is one try and no further one")
    return value


def parallel_limit(value: Value) -> int:
    if type(value) is not int or value < 1:
        raise raised("type", "--parallel takes a whole number from 1", hint="such as `each --parallel 8 { … }`")
    return value


# ---- Looking ---------------------------------------------------------------------------------------------------------


def found_program(path: Value) -> Value:
    """What `which` gives. Raises: Raised where there is no such program."""
    if path is None:
        raise raised("name", "there is no such command: not of fmsh, not of this program, not in PATH")
    return path


# ---- Values of several kinds -----------------------------------------------------------------------------------------


def spread_record(value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise raised("type", f"`...` needs a record here, not {a_kind(kind_of(value))}")
    return value


def spread_list(value: Value) -> Value:
    if not isinstance(value, list | range):
        raise raised("type", f"`...` needs a list, not {a_kind(kind_of(value))}")
    return value


def environment_items(items: dict[str, Value], to_text: Callable[[Value], Any]) -> dict[str, Value]:
    """Texts for the environment; secrets stay references; null unsets."""
    return {
        name: value if isinstance(value, Secret) or value is None else to_text(value) for name, value in items.items()
    }


def coalesce(left: Value, right: Callable[[], Value]) -> Value:
    return right() if left is None else left


def split_output(value: Value) -> Value:
    """What an external command wrote, as its lines."""
    return [] if value in ("", None) else value.split("\n") if isinstance(value, str) else value


def process_arguments(values: Value, to_text: Callable[[Value], Any]) -> list[str]:
    return [process_argument(value, to_text) for value in values]


def captured(names: list[str], values: Value) -> dict[str, Value]:
    """Copies of variables for a job of its own. One that has no value yet is left out."""
    for value in values:
        _refuse_own(value)
    return {name: value for name, value in zip(names, values, strict=True) if value is not UNSET}


def _refuse_own(value: Value) -> None:
    """Raises an error for a value that holds what lives in this job only."""
    if type(value) is dict:
        value = list(value.values())
    if type(value) is list:
        for item in value:
            _refuse_own(item)
    elif type(value) is Handle and value.kind in ("task", "channel"):
        hint = "await it first, and hand over its value" if value.kind == "task" else "hand over what it should work on"
        raise raised("type", f"a {value.kind} belongs to its job: what runs with `&` cannot have it", hint=hint)


def glob_literal(value: Value) -> str:
    """Text that stands in a pattern and means itself."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in str(value))


def with_elapsed(result: dict[str, Value], elapsed: Value) -> dict[str, Value]:
    return {**result, "elapsed": elapsed}


FUNCTIONS: dict[str, Any] = {
    function.__name__: function
    for function in (
        known,
        loop_items,
        check_argument,
        only_computes,
        as_function,
        as_function_if_block,
        in_zone_of_job,
        process_argument,
        process_input,
        process_value,
        process_condition,
        redirected_path,
        redirected_text,
        captured_value,
        captured_text,
        captured_output,
        captured_record,
        failure,
        exit_status,
        soft_failure,
        answer_or_default,
        inbox_handle,
        sleep_duration,
        url_part,
        through_api,
        parallel_limit,
        request_retries,
        retry_policy,
        next_turn,
        no_keys,
        keys_of_turn,
        check_retry,
        retry_wait,
        again,
        is_again,
        poll_pause,
        poll_failure,
        is_found,
        found_program,
        spread_record,
        spread_list,
        environment_items,
        coalesce,
        split_output,
        process_arguments,
        captured,
        glob_literal,
        with_elapsed,
    )
} | {"Block": Block, "UNSET": UNSET}
