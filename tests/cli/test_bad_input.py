"""What is wrong is said once, clearly, in time, and loses nothing."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fmsh.observing import READ_BYTES_MAX
from tests.cli.shell import ROOT, TIMEOUT_S, Shell, until
from tests.connectors.http_server import Server, json_answer

EFFECT = "sh -c 'echo happened > marker'\n"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("mkdri x", "did you mean `mkdir`?"),
        ("let day = 2026-13-45", "there is no such day or time; quote it if it is a string"),
        ("match open { _ => { } }", "quote it if it is a string"),
    ],
)
def test_a_command_that_is_not_found_comes_with_what_was_meant(shell: Shell, text: str, hint: str) -> None:
    found = shell.run("-c", text)
    assert found.status == 127 and hint in found.err


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("let x = (", "3:9", "`(` is never closed"),
        ("if true { echo a", "3:9", ""),
        ('echo "open', "3:6", ""),
        ("echo $nothing", "3:6", "nothing"),
        ("def f(n: int) { echo $n }\nf abc", "4:3", "int"),
        ("def f(n: int) { echo $n }\nf 1 2", "4:", ""),
        ("[1] | sort-by --nope", "3:", "--nope"),
        ("GET", "3:1", ""),
        ("sleep 1s 2s", "3:", ""),
        ("let x = 1 + ;", "3:", ""),
        ("[ -f x ]", "3:", ""),
    ],
)
def test_a_mistake_anywhere_stops_a_script_before_its_first_effect(
    shell: Shell, text: str, place: str, message: str
) -> None:
    file = shell.script(f"{EFFECT}{EFFECT}{text}\n{EFFECT}")
    result = shell.run(file)
    assert (result.status, result.out) == (2, ""), result
    assert (
        f"{file}:{place}" in result.err and message in result.err and "      | " in result.err and "^\n" in result.err
    ), result
    assert shell.file("marker") is None
    assert shell.json("jobs", "list") == []


def test_text_that_is_not_utf8_is_said_with_its_line(shell: Shell) -> None:
    (shell.directory / "bad.fmsh").write_bytes(EFFECT.encode() + b"echo \xff\n")
    result = shell.run("bad.fmsh")
    assert result.status == 2 and result.err == "fmsh: bad.fmsh:2: a script must be UTF-8 text, and byte 36 is not\n"
    assert shell.file("marker") is None


def test_a_command_that_is_not_there_is_said_when_it_runs(shell: Shell) -> None:
    file = shell.script(f"{EFFECT}nosuchcommand a\necho never\n")
    result = shell.run(file)
    assert (result.status, result.out) == (127, "")
    assert result.err.startswith("error: command not found: nosuchcommand\n  --> script.fmsh:2:1\n")
    assert shell.file("marker") == "happened\n"


def test_a_second_word_that_fmsh_does_not_know_gets_those_that_it_knows(shell: Shell) -> None:
    result = shell.run("--check", "-c", '"abc" | digest sha1; "a" | path exists')
    assert result.status == 0 and "command not found: path" not in result.err
    assert "hint: fmsh has `digest sha256`, `digest md5`, `digest hmac-sha256`" in result.err


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("let x = nosuchcommand", 'quote it if it is a string: `"nosuchcommand"`'),
        ("for x in nosuchcommand b c { echo $x }", "write a list: `[nosuchcommand, b, c]`"),
    ],
)
def test_a_command_that_was_meant_as_data_is_not_found_with_a_hint(shell: Shell, text: str, hint: str) -> None:
    result = shell.run("-c", f"let y = 1\n{text}")
    assert result.status == 127 and hint in result.err, result
    assert hint in shell.run("--check", "-c", text).err


def test_the_help_of_a_script_tells_short_flags_and_defaults(shell: Shell) -> None:
    file = shell.script("param --version (-v): string = latest  # which\nparam --count: int = 3  # how many\n")
    help = shell.ok(file, "--help")
    assert "  --version, -v        which (string, default latest)\n" in help
    assert "  --count              how many (int, default 3)\n" in help


# -- the store


def refused(shell: Shell, *arguments: str, **environment: str) -> str:
    """Runs a line that the store must refuse: status 75, one message, and no effect."""
    result = shell.run(*(arguments or ("-c", EFFECT)), **environment)
    assert (result.status, result.out) == (75, ""), result
    assert result.err.startswith("fmsh: ") and result.err.count("fmsh: ") == 1, result
    assert shell.file("marker") is None
    return result.err


def test_a_store_whose_place_is_no_directory(shell: Shell) -> None:
    (shell.directory / "file").write_text("")
    assert "directory" in refused(shell, FMSH_STATE_DIR=str(shell.directory / "file" / "state"))


def test_a_store_that_is_no_database(shell: Shell) -> None:
    shell.ok("-c", "echo a")
    for name in ("store.db", "store.db-wal"):
        (shell.state / name).write_bytes(b"this is no database " * 1000)
    assert "damaged" in refused(shell)
    assert "damaged" in refused(shell, "jobs", "list")


def test_a_store_of_a_newer_fmsh(shell: Shell) -> None:
    shell.ok("-c", "echo a")
    connection = sqlite3.connect(shell.state / "store.db")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    assert "newer" in refused(shell)
    assert "newer" in refused(shell, "jobs", "list")
    assert "newer" in refused(shell, "daemon", "run")
    assert "newer" in refused(shell, "-d", "-c", EFFECT)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not hold for root")
def test_a_store_that_cannot_be_written(shell: Shell) -> None:
    shell.state.mkdir(0o500)
    assert "cannot be written" in refused(shell)


NETWORK = """
import sys
from fmsh import cli
from fmsh.store import files
files.file_system_of = lambda path: "nfs4"
sys.exit(cli.run(sys.argv[1:]))
"""


def test_a_store_on_a_network_file_system(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NETWORK, "-c", EFFECT], env=shell.environment, capture_output=True, text=True
    )
    assert done.returncode == 75 and done.stderr.count("fmsh: ") == 1 and "nfs4" in done.stderr, done
    assert shell.file("marker") is None


# -- the daemon


def test_a_daemon_that_cannot_start_says_why_and_no_job_is_made(shell: Shell) -> None:
    (shell.directory / "r").write_text("in the way")
    result = shell.run("-d", "-c", EFFECT)
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("fmsh: ") and result.err.count("fmsh: ") == 1 and "control.sock" in result.err, result
    assert shell.json("jobs", "list") == []
    assert shell.ok("-c", "echo works") == "works\n"


def test_a_nonsensical_address_to_listen_on(shell: Shell) -> None:
    result = shell.run("daemon", "start", FMSH_LISTEN="nonsense:port")
    assert result.status == 1 and "HOST:PORT" in result.err and result.err.count("fmsh: ") == 1, result
    result = shell.run("daemon", "start", FMSH_PUBLIC_URL="ci.local")
    assert result.status == 1 and "must be an address of http or https" in result.err, result
    assert "public_url" in result.err and result.err.count("fmsh: ") == 1, result


def test_a_taken_port_keeps_callbacks_away_and_nothing_else(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        shell.environment["FMSH_LISTEN"] = address
        result = shell.run("-c", "callback")
        assert result.status == 1 and f"callbacks cannot arrive: cannot listen on {address}" in result.err, result
        status = shell.daemon_status()
        assert (status["running"], status["listen"], status["public_url"]) == (True, None, None)
        assert address in status["reason"]
        assert f"callbacks cannot arrive: cannot listen on {address}" in shell.ok("daemon", "status")
        number = shell.ok("-d", "-c", "echo detached").strip()
        assert shell.ok("jobs", "attach", number) == "detached\n"
    until(lambda: shell.daemon_status()["listen"] == address, "the freed port")
    assert shell.ok("-c", "(callback).url").startswith(f"http://{address}/cb/")


# -- the world


def test_a_service_that_is_down(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    result = shell.run("-c", f"GET {url} --retry 0\n{EFFECT}")
    assert result.status == 1 and result.err.count("error: ") == 1 and "-c:1:1" in result.err, result
    assert shell.job("last")["error"]["kind"] == "network" and shell.file("marker") is None


def test_an_answer_that_is_broken_json(shell: Shell) -> None:
    server = Server(json_answer('{"status": "ok", "items": [1, 2'))
    try:
        result = shell.run("-c", f"let a = GET {server.url}/x\n{EFFECT}")
    finally:
        server.close()
    assert result.status == 1 and result.err.count("error: ") == 1 and "-c:1:9" in result.err, result
    assert shell.job("last")["error"]["kind"] == "parse" and shell.file("marker") is None


BROKEN = """
import sys
from fmsh import cli
from fmsh.shell import script
script.run = None
sys.exit(cli.run(sys.argv[1:]))
"""


def test_a_fault_of_ours_is_one_line_and_a_report(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "-c", EFFECT],
        env=shell.environment | {"TMPDIR": str(shell.directory)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1 and done.stderr.startswith("fmsh: this is a fault of fmsh"), done
    report = done.stderr.rstrip().rpartition(" ")[2]
    assert "Traceback" in Path(report).read_text()


def test_a_job_that_does_not_exist(shell: Shell) -> None:
    for verb in ("show", "attach", "wait", "output", "log", "cancel", "pause", "resume", "retry", "answer"):
        result = shell.run("jobs", verb, "77")
        assert (result.status, result.out) == (1, "") and "there is no job 77" in result.err, (verb, result)
    for arguments in (["nosuchverb"], ["show"], ["list", "--state", "odd"], ["wait", "1", "--timeout", "soon"]):
        result = shell.run("jobs", *arguments)
        assert (result.status, result.out) == (2, "") and result.err.startswith("fmsh: "), result
    assert json.loads(shell.ok("jobs", "--json")) == []


def test_a_directory_that_was_removed_is_said_and_no_fault_of_fmsh(shell: Shell) -> None:
    gone = shell.directory / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD"; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *shell.command("-c", "true")],
        cwd=gone, env=shell.environment | {"PWD": str(gone)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("fmsh: the current directory does not exist"), done


def test_a_file_that_is_too_large_to_be_a_value_is_to_be_read_as_a_stream(shell: Shell) -> None:
    with open(shell.directory / "large.txt", "wb") as file:
        file.truncate(READ_BYTES_MAX + 1)
    result = shell.run("-c", "load large.txt | count")
    assert result.status == 1 and "256 MiB" in result.err and "cat large.txt | lines" in result.err, result


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize("arguments", [["help"], ["--version"], ["jobs", "list", "--json"]])
def test_what_cannot_be_written_for_want_of_room_is_said_and_no_fault_of_ours(
    shell: Shell, arguments: list[str]
) -> None:
    with open("/dev/full", "w") as full:
        process = shell.start(*arguments, stdout=full)
        err = process.communicate(timeout=TIMEOUT_S)[1]
    said = "fmsh: standard output cannot be written: no space left on device\n"
    assert (process.returncode, err) == (1, said)
