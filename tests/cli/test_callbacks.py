"""Callback addresses as a program of the language has them, in real processes."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import urllib.error
import urllib.request

from tests.cli.shell import Shell, until


def post(url: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    named = {"Content-Type": "text/plain"} | {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, named), timeout=30) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


SERVICE = """
let hook = callback --many --reply
echo $hook.url > url
for request in $hook {
  reply $request {sum: ($request.body.a + $request.body.b)} --status 201
  if $request.body.last { break }
}
"""


def test_a_job_is_a_small_service_in_the_foreground_and_under_the_daemon(shell: Shell) -> None:
    (shell.directory / "service.fmsh").write_text(SERVICE)
    for number, mode in enumerate(([], ["-d"]), 1):
        process = shell.start(*mode, "service.fmsh")
        url = until(lambda: shell.file("url"), "the address").strip()
        assert post(url, b'{"a": 1, "b": 2, "last": false}') == (201, b'{"sum":3}')
        assert post(url, b'{"a": 3, "b": 4, "last": true}') == (201, b'{"sum":7}')
        assert post(url, b'{"a": 3, "b": 4, "last": true}') == (201, b'{"sum":7}'), "a repeat"
        process.communicate(timeout=30)
        shell.ok("jobs", "wait", str(number))
        (shell.directory / "url").unlink()


def test_what_is_no_request_cannot_be_answered(shell: Shell) -> None:
    result = shell.run("-c", "reply 5 x")
    assert result.status == 1 and "`reply` takes what came to a `callback --reply`" in result.err
    result = shell.run("-c", "reply abc (secret new)")
    assert result.status == 1 and "a reply cannot hold a secret" in result.err


def test_a_named_address_is_the_same_in_every_job_and_one_jobs_at_a_time(shell: Shell) -> None:
    line = "let hook = callback --name ci; echo $hook.url; let got = await $hook; echo got $got"
    first = shell.start("-c", line)
    url = first_line(first)
    taken = shell.run("-c", line)
    assert taken.status == 1 and "callback --name ci: job 1 has this address" in taken.err
    assert post(url, b"one")[0] == 202
    assert first.communicate(timeout=30)[0] == "got one\n"
    second = shell.start("-c", line)
    assert first_line(second) == url
    assert post(url, b"one")[0] == 202, "a repeat of what the other job had"
    assert post(url, b"two")[0] == 202
    assert second.communicate(timeout=30)[0] == "got two\n"
    assert post(url, b"three")[0] == 404


def test_only_what_is_signed_arrives(shell: Shell) -> None:
    missing = shell.run("-c", "callback --verify github --secret HOOK")
    assert missing.status == 1 and "there is no secret 'HOOK'" in missing.err
    for options, message in (("--verify odd --secret HOOK", "--verify takes"), ("--verify slack", "needs --secret")):
        result = shell.run("-c", f"callback {options}")
        assert result.status == 1 and message in result.err, result
    assert shell.run("secret", "set", "HOOK", input="s3cret").status == 0
    process = shell.start(
        "-c", "let hook = callback --verify github --secret HOOK; echo $hook.url; let got = await $hook; echo $got.n"
    )
    url = first_line(process)
    good, bad = (hmac.new(key, b'{"n": 5}', hashlib.sha256).hexdigest() for key in (b"s3cret", b"other"))
    assert post(url, b'{"n": 5}', X_Hub_Signature_256=f"sha256={bad}")[0] == 401
    assert post(url, b'{"n": 5}', X_Hub_Signature_256=f"sha256={good}")[0] == 202
    assert process.communicate(timeout=30)[0] == "5\n"
    assert "s3cret" not in shell.ok("jobs", "log", "last")
