"""The prompt: each text is a job that starts where the one before it ended."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import pexpect

from tests.cli.shell import Shell, until
from tests.cli.test_callbacks import post

PROMPT = re.compile(r"\r?\n?(\S+) (?:\[(\d+)\] )?> $")


class Prompt:
    """A shell at a terminal without a line editor's escapes. `enter` gives what a line shows."""

    def __init__(self, shell: Shell, *arguments: str) -> None:
        self.child: pexpect.spawn = shell.terminal(*arguments, TERM="dumb")
        self.directory = self.status = ""
        self.greeting = self._await_prompt()

    def enter(self, line: str) -> str:
        self.child.sendline(line)
        self.child.expect_exact(line + "\r\n")
        return self._await_prompt()

    def _await_prompt(self) -> str:
        self.child.expect(PROMPT)
        self.directory, self.status = self.child.match[1], self.child.match[2] or "0"
        return str(self.child.before).replace("\r\n", "\n").strip("\n")

    def leave(self, how: str = "exit") -> int:
        self.child.sendline(how)
        until(lambda: not self.child.isalive(), "its end")
        return int(self.child.exitstatus)


def test_texts_of_several_lines_ctrl_c_and_ctrl_d(shell: Shell) -> None:
    child = shell.terminal(TERM="dumb")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendline("echo one")
    child.expect("\none\r\n")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendline("for x in [a, b] {")
    child.expect(r"\.\.\.  ")
    child.sendline('echo "item $x"')
    child.expect(r"\.\.\.  ")
    child.sendline("}")
    child.expect("item a\r\nitem b\r\n")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendline("if true {")
    child.expect(r"\.\.\.  ")
    child.sendcontrol("c")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendline("let x = (1")
    child.expect(r"\.\.\.  ")
    child.sendcontrol("c")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendline("echo ) oops")
    child.expect("error")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendline("undo { echo undone }; echo sleeping; sleep 1h")
    child.expect("\nsleeping\r\n")
    child.sendcontrol("c")
    child.expect("undone\r\n")
    child.expect("cancelled\r\n")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendline("sh -c 'exit 7'")
    child.expect("ended with status 7")
    child.expect(r"~ (?:\[\d+\] )?> ")
    child.sendcontrol("d")
    until(lambda: not child.isalive(), "its end")
    assert child.exitstatus == 7
    assert [job["command"] for job in reversed(shell.json("jobs", "list"))] == [
        "echo one", 'for x in [a, b] {\necho "item $x"\n}', "undo { echo undone }; echo sleeping; sleep 1h",
        "sh -c 'exit 7'",
    ]  # fmt: skip


def test_a_value_is_drawn_for_a_person_and_plain_in_a_pipe(shell: Shell) -> None:
    at = Prompt(shell)
    assert at.enter("let rows = [{name: a, size: 10}, {name: longer, size: 2}]") == ""
    assert at.enter("$rows") == "name    size\na         10\nlonger     2" == at.enter("print $rows")
    assert at.enter("$rows | cat").startswith('{"name":"a","size":10}')
    assert at.enter("{at: {x: 1}, none: null}") == "at    {x: 1}\nnone  null"
    assert at.enter("[a, b]") == "a\nb" and at.enter("echo [1, 2]") == "[1,2]"


def test_of_a_long_list_the_beginning_is_shown_and_the_rest_is_there(shell: Shell) -> None:
    at = Prompt(shell)
    shown = at.enter("range 1 2500").splitlines()
    assert shown[:2] == ["1", "2"] and shown[99:] == ["100", "… and 2,400 more: `$last | skip 100` shows them"]
    assert at.enter("$last | skip 2000 | first 1") == "2001"


def test_what_a_line_leaves_is_there_for_the_next(shell: Shell) -> None:
    at = Prompt(shell)
    assert at.enter("let x = {a: [1, 2]}") == ""
    assert at.enter("$x.a") == "1\n2" == at.enter("$last")
    assert at.enter("seq 3 | where { $it != '2' }") == "1\n3" == at.enter("$last")
    at.enter("$x.b = null")
    assert at.enter("$x") == "a  [1, 2]\nb  null"
    at.enter('def greet(who: string) { echo "hello $who from ${x.a}" }')
    assert at.enter("greet you") == "hello you from [1,2]"
    at.enter("def greet(who: string) { echo again $who }")
    assert at.enter("greet you") == "again you"
    at.enter("alias say = echo said")
    assert at.enter("say it") == "said it"
    at.enter("mkdir d; cd d")
    assert at.enter("pwd").endswith("/d") and at.directory == "~/d"
    at.enter("export FOO=bar")
    assert at.enter("sh -c 'echo $FOO'") == "bar"
    at.enter("let bytes = 'ab' | bytes; let when = 2026-01-02T03:04Z; let gone = null")
    assert at.enter("print ($bytes | kind) ($when | kind) ($gone == null)") == "bytes datetime true"
    assert at.leave("exit 3") == 3


def test_what_a_line_that_fails_has_done_stays(shell: Shell) -> None:
    at = Prompt(shell)
    shown = at.enter('let x = 1; cd /; fail "no"; let y = 2')
    assert "no" in shown and at.status == "1" and at.directory == "/"
    assert at.enter("$x") == "1" and at.status == "0"
    assert "there is no variable $y" in at.enter("$y") and at.status == "2"
    assert at.leave() == 0


def test_a_block_is_not_kept_and_that_is_said(shell: Shell) -> None:
    at = Prompt(shell)
    assert "$f ends with its line" in at.enter("let f = { |n| $n + 1 }; let g = [$f]; let n = call $f 1")
    assert at.enter("$n") == "2"
    assert "there is no variable $g" in at.enter("$g")


def test_a_job_of_an_earlier_line_is_awaited_also_by_a_session_that_is_resumed(shell: Shell) -> None:
    at = Prompt(shell)
    program = "while test ! -e %s; do sleep 0.01; done; exit %d"
    at.enter(f"let t = start {{ sh -c '{program % ('one', 0)}'; 5 }}")
    at.enter(f"let u = (sh -c '{program % ('two', 3)}' &)")
    at.child.sendline("await [$t]")
    until(lambda: any(job["command"] == "await [$t]" for job in shell.json("jobs", "list")))
    (shell.directory / "one").touch()
    assert "5" in at._await_prompt()
    assert at.enter("await $t").splitlines()[-1] == "5"  # over already
    at.leave()
    again = Prompt(shell, "--resume")
    again.child.sendline("await $u")
    until(lambda: any(job["command"] == "await $u" for job in shell.json("jobs", "list")))
    again.child.sendcontrol("z")  # and by the daemon, too
    assert "goes on in the background" in again._await_prompt()
    (shell.directory / "two").touch()
    number = max(job["id"] for job in shell.json("jobs", "list"))
    assert shell.await_state(number, "failed")["exit_status"] == 3


def test_what_a_name_of_every_line_was_given_is_not_kept_and_that_is_said(shell: Shell) -> None:
    at = Prompt(shell)
    assert "$job ends with its line" in at.enter("let job = 3")
    assert "ends with its line" not in at.enter("let n = $job.id")


def test_a_line_that_went_to_the_background_is_awaited_by_its_number(shell: Shell) -> None:
    at = Prompt(shell)
    at.child.sendline("let news = await (inbox news); {a: $news}")
    shell.await_state(1, "waiting")
    at.child.sendcontrol("z")
    assert "goes on in the background" in at._await_prompt()
    at.child.sendline("(await %1).a")
    shell.await_state(2, "waiting")
    shell.ok("jobs", "signal", "1", "news", "5")
    assert "5" in at._await_prompt().splitlines()
    assert "error: there is no job 99" in at.enter("await %99")


def test_what_is_sent_to_an_address_of_an_earlier_line_is_awaited_by_any_later_one(shell: Shell) -> None:
    at = Prompt(shell)
    for name in ("a", "b", "c"):
        assert "ends with its line" not in at.enter(
            f"let {name} = {{hook: (callback)}}; echo ${name}.hook.url > {name}"
        )
    assert post(shell.await_file("a").strip(), b"first")[0] == 202  # while no line runs
    assert at.enter("await $a.hook") == "first" == at.enter("await $a.hook")
    at.child.sendline("await [$b.hook, $a.hook]")
    until(lambda: any(job["state"] == "waiting" for job in shell.json("jobs", "list")))
    assert post(shell.await_file("b").strip(), b"second")[0] == 202
    assert at._await_prompt().splitlines()[-2:] == ["second", "first"]
    assert post(shell.await_file("b").strip(), b"another")[0] == 404
    os.kill(at.child.pid, signal.SIGKILL)
    assert post(shell.await_file("c").strip(), b"third")[0] == 202
    again = Prompt(shell, "--resume")
    assert again.enter("await $c.hook") == "third" and again.enter("await $b.hook") == "second"


def test_what_comes_to_an_address_in_its_own_line_is_there_for_the_next(shell: Shell) -> None:
    at = Prompt(shell)
    request = "u.Request(sys.argv[1], b'[5]', {'Content-Type': 'application/json'})"
    (shell.directory / "send.py").write_text(f"import sys, urllib.request as u\nu.urlopen({request})\n")
    assert at.enter(f"let h = callback; {sys.executable} send.py $h.url") == ""
    assert at.enter("await $h | get [0]") == "5"


def test_the_calls_of_an_address_for_many_are_for_all_lines_each_for_one(shell: Shell) -> None:
    at = Prompt(shell)
    assert at.enter("let cb = callback --many; echo $cb.url > url") == ""
    url = shell.await_file("url").strip()

    def send(*bodies: str) -> None:
        assert all(post(url, body.encode())[0] == 202 for body in bodies)

    send("one", "two")  # while no line runs
    assert at.enter("await $cb") == "one"
    at.enter("echo $cb.url")  # takes none
    at.child.sendline("for e in $cb { echo $e; if $e == three { break } }; echo over")
    at.child.expect_exact("\ntwo\r\n")
    send("three")
    assert at._await_prompt() == "three\nover"
    at.child.sendline("for e in $cb { echo $e >> seen }")
    until(lambda: shell.json("jobs", "list", "--state", "waiting"))
    at.child.sendcontrol("z")
    assert "goes on in the background" in at._await_prompt()
    send("four")
    assert shell.await_file("seen") == "four\n"
    shell.ok("jobs", "cancel", str(shell.json("jobs", "list", "--state", "waiting")[0]["id"]))
    until(lambda: not shell.json("jobs", "list", "--state", "waiting"))
    os.kill(at.child.pid, signal.SIGKILL)
    send("five", "six")
    again = Prompt(shell, "--resume")
    assert again.enter("await [$cb, $cb]") == "five\nsix"
    again.child.sendline("await $cb --timeout 1h")
    until(lambda: shell.json("jobs", "list", "--state", "waiting"))
    os.kill(again.child.pid, signal.SIGKILL)  # the daemon goes on with that line
    send("seven", "eight")
    until(lambda: not shell.json("jobs", "list", "--state", "waiting"))
    assert shell.json("jobs", "list")[0]["value"] == "seven"
    assert Prompt(shell, "--resume").enter("await $cb") == "eight"


def test_a_request_to_an_address_of_an_earlier_line_is_answered_by_a_later_one(shell: Shell) -> None:
    at = Prompt(shell)
    at.enter("let hook = callback --many --reply; echo $hook.url > url")
    at.child.sendline("for r in $hook { reply $r {got: $r.body} }")
    until(lambda: shell.json("jobs", "list", "--state", "waiting"))
    url = shell.await_file("url").strip()
    assert post(url, b"a") == (200, b'{"got":"a"}') and post(url, b"b") == (200, b'{"got":"b"}')


def test_who_waits_at_an_address_whose_line_is_removed_is_told(shell: Shell) -> None:
    at = Prompt(shell)
    for line in ("let h = callback", "let h = callback --many"):
        at.enter(line)
        number = shell.json("jobs", "list")[0]["id"]
        at.child.sendline("await $h")
        until(lambda: shell.json("jobs", "list", "--state", "waiting"))
        shell.ok("jobs", "rm", str(number))
        assert f"not kept any more: job {number} had opened it" in at._await_prompt()
        assert f"job {number} had opened it" in at.enter("await $h")


def test_a_session_is_resumed(shell: Shell) -> None:
    first = Prompt(shell)
    first.enter("let x = 5; export FOO=bar; cd /")
    first.enter("def double() { $x * 2 }")
    first.enter("api here http://127.0.0.1:1/")
    first.leave()
    again = Prompt(shell, "--resume")
    assert again.directory == "/"
    assert again.enter("double") == "10" and again.enter("sh -c 'echo $FOO'") == "bar"
    assert "http://127.0.0.1:1/x" in again.enter("GET here/x --retry 0")
    again.leave()
    fresh = Prompt(shell)
    assert "there is no variable $x" in fresh.enter("$x")


def test_ctrl_c_while_a_line_is_read_into_code_gives_up_that_line_alone(shell: Shell) -> None:
    at = Prompt(shell)
    os.mkfifo(shell.directory / "lib.fmsh")
    at.child.sendline("use ./lib.fmsh")  # which waits for a writer, as a slow disk would
    at.child.expect_exact("use ./lib.fmsh\r\n")
    at.child.sendcontrol("c")
    at._await_prompt()
    assert at.status == "130" and at.enter("echo on") == "on"


def test_ctrl_c_is_heard_also_where_it_was_ignored_before(shell: Shell) -> None:
    shell.prefix = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    at = Prompt(shell)
    for line in ("echo up; sleep 1h", "sh -c 'echo up; exec sleep 600'"):
        at.child.sendline(line)
        at.child.expect_exact("\nup\r\n")
        at.child.sendcontrol("c")
        at._await_prompt()
        assert at.status == "130"


def test_a_directory_that_is_removed_is_said_once_and_left_with_cd(shell: Shell) -> None:
    at = Prompt(shell, "--resume")
    assert "there is no session to go on with" in at.greeting
    at.enter("mkdir -p a/b; cd a/b")
    assert "cannot go to" in at.enter("rm -r ../b") and at.enter("echo on") == "on"
    assert "does not exist any more: cd somewhere else" in at.enter("ls")
    assert at.enter("cd ..") == "" and at.directory == "~/a" and at.enter("pwd").endswith("/a")


def test_functions_of_a_module_stay(shell: Shell) -> None:
    Path(shell.directory, "lib.fmsh").write_text("def twice(n: int) { $n * 2 }\n")
    at = Prompt(shell)
    at.enter("use ./lib.fmsh")
    at.enter("cd /")
    assert at.enter("lib twice 4") == "8"
    Path(shell.directory, "lib.fmsh").unlink()
    assert "cannot be read" in at.enter("lib twice 4")


def test_a_definition_that_cannot_be_used_any_more_fails_only_the_lines_that_need_it(shell: Shell) -> None:
    Path(shell.directory, "lib.fmsh").write_text("def twice(n: int) { $n * 2 }\n")
    at = Prompt(shell)
    at.enter("use ./lib.fmsh")
    at.enter("let f = { 1 }; def broken() { call $f }; def through() { broken }; def fine() { lib twice 2 }")
    assert at.enter("fine") == "4"
    Path(shell.directory, "lib.fmsh").unlink()
    assert at.enter("echo works") == "works" and at.status == "0"
    assert "cannot be read" in at.enter("fine")
    assert "there is no variable $f" in at.enter("through")
    at.enter("def broken() { 3 }")
    assert at.enter("through") == "3"
    at.leave()
    assert Prompt(shell, "--resume").enter("echo still") == "still"


def test_an_error_in_a_function_names_its_place(shell: Shell) -> None:
    at = Prompt(shell)
    at.enter("def broken() { fail inside }")
    assert "session:1:16" in at.enter("broken")


def test_a_program_that_fails_is_marked_only_in_a_line_that_says_more(shell: Shell) -> None:
    prompt = Prompt(shell)
    assert prompt.enter("sh -c 'exit 3'") == "error: sh ended with status 3" and prompt.status == "3"
    assert "  --> prompt:1:7\n" in prompt.enter("true; sh -c 'exit 3'")
    assert "  --> prompt:1:1\n" in prompt.enter("sh -c 'exit 3' | cat")
    assert "  --> prompt:1:1\n" in prompt.enter("nosuchprogram")


def test_a_variable_of_an_earlier_line_may_have_been_meant(shell: Shell) -> None:
    prompt = Prompt(shell)
    prompt.enter("let service = 5")
    assert "= hint: did you mean $service?" in prompt.enter("echo $servcie")


def test_kill_9_in_the_middle_of_a_line_loses_nothing_that_was_kept(shell: Shell) -> None:
    at = Prompt(shell)
    at.enter("let x = 1")
    at.child.sendline("$x = 2; touch begun; sleep 1h")
    until(lambda: shell.file("begun") is not None)
    os.kill(at.child.pid, signal.SIGKILL)
    at.child.close(force=True)
    again = Prompt(shell, "--resume")
    assert again.enter("$x") == "1"


def test_a_line_that_goes_on_elsewhere_leaves_nothing(shell: Shell) -> None:
    at = Prompt(shell)
    at.enter("let x = 1")
    at.child.sendline("$x = 2; sleep 1s; touch done")
    until(lambda: shell.json("jobs", "list")[0]["state"] == "waiting")
    at.child.sendcontrol("z")
    assert "goes on in the background" in at._await_prompt()
    until(lambda: shell.file("done") is not None)
    assert at.enter("$x").splitlines()[0] == "1" and at.leave() == 0


def test_jobs_are_values_and_verbs(shell: Shell) -> None:
    at = Prompt(shell)
    assert at.enter('let j = (sh -c "while test ! -e go; do sleep 0.01; done" &)') == ""
    number = at.enter("print $j.id")
    assert at.enter(f"jobs | where {{ .id == {number} }} | get command").endswith("&")
    (shell.directory / "go").touch()
    at.enter(f"wait {number}")
    assert at.status == "0"
    assert at.enter(f"jobs | where {{ .id == {number} }} | first | get state") == "succeeded"
    assert "has ended already" in at.enter(f"bg {number}") and at.status == "1"
    assert at.leave() == 0
