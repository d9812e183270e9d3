"""The line editor on the screen of a real terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import termios

import pytest

from tests.cli.screen import Screen
from tests.cli.shell import Shell, until

UP, TAB, CTRL_C, CTRL_D, ESCAPE = "\x1b[A", "\t", "\x03", "\x04", "\x1b"
ALT = ESCAPE  # and a key
CTRL_W, CTRL_UNDERSCORE = "\x17", "\x1f"


def test_colours_completion_history_and_suggestions(shell: Shell) -> None:
    at = Screen(shell)
    at.see(r"^~ > $|^~ >$")
    at.type("let build = {id: 7, status: passed}\r")
    at.see(r"passed\}\n~ >")
    at.type("nosuch $build.sta" + TAB)
    at.see(r"nosuch \$build\.status")
    assert at.style_at("nosuch") == ("red", False) and at.style_at("$build.status") == ("cyan", False)
    at.type(CTRL_C)
    at.see(r"^~ \[130\] >")
    at.type("echo $build.status\r")
    at.see(r"^passed$")
    at.type("ec")
    at.see(r"> echo \$build\.status$")  # what history suggests
    at.type("\x1b[C")  # taken with the right arrow
    at.type("\r")
    at.see(r"passed\n.*\npassed")
    at.type(UP + UP)
    at.see(r"> let build = ")
    at.type(CTRL_C + "exit 4\r")
    until(lambda: not at.child.isalive(), "its end")
    assert at.child.exitstatus == 4
    again = Screen(shell)
    again.see("~ >")
    again.type(UP + UP)
    again.see(r"> echo \$build\.status")


def test_what_the_session_defines_is_a_command(shell: Shell) -> None:
    (shell.directory / "lib.fmsh").write_text("def twice(n: int, --triple) { $n * 2 }\ndef _own() { 1 }\n")
    program = shell.directory / "bin" / "of-mine"
    program.parent.mkdir()
    program.touch(mode=0o755)
    at = Screen(shell)
    at.see("~ >")
    for line in ("use ./lib.fmsh", "def mine() { 1 }", 'export PATH="$env.HOME/bin:$env.PATH"'):
        at.type(line + "\r")
        at.see(re.escape(line) + r"\n~ >$")
    at.type("^of-m" + TAB)
    at.see(r"\^of-mine$")
    assert at.style_at("of-mine") == ("green", False)
    at.type(CTRL_C)
    at.see(r"^~ \[130\] >$")
    at.type("mine | lib twice 2")
    at.see("twice 2$")
    assert at.style_at("mine | lib") == ("green", False) == at.style_at("lib twice")
    at.type(CTRL_C + "lib " + TAB + "2 --t" + TAB)
    at.see(r"> lib twice 2 --triple$")
    at.type(CTRL_C + "use ./lib.fmsh *\r")
    at.see(r"lib\.fmsh \*\n~ >$")
    at.type("twic" + TAB + "5")
    at.see(r"> twice 5$")
    assert at.style_at("twice 5") == ("green", False)


def test_the_arguments_of_programs_complete_and_one_that_is_slow_keeps_no_key_waiting(shell: Shell) -> None:
    (shell.directory / "config" / "completions").mkdir(parents=True)
    own = shell.directory / "config" / "completions" / "deploy.fmsh"
    own.write_text(
        "def hosts() { sh -c 'while test ! -e go; do sleep 0.01; done; echo alpha; echo beta' | lines }\n"
        "{commands: {up: {about: 'starts it', arguments: hosts}, down: {about: 'ends it'}}}\n"
    )
    subprocess.run(["git", "init", "-q", "-b", "topic", str(shell.directory)], check=True)
    at = Screen(shell)
    at.see("^~ topic >")
    at.type("git sw" + TAB)
    at.see(r"> git switch$")
    at.type("\x15deploy " + TAB)
    at.see(r"up +starts it.*\n.*down +ends it")
    at.type("up " + TAB)
    at.type("typed")  # while the program is asked
    at.see(r"> deploy up typed$")
    (shell.directory / "go").touch()

    def has_hosts() -> bool:  # a busy machine may need more than the time that a program has
        at.type("\x07\x15deploy up " + TAB)
        try:
            return bool(at.see(r"alpha.*\n.*beta", timeout_s=3))
        except AssertionError:
            return False

    until(has_hosts, "the hosts")
    own.write_text("{commands: oops}\n")
    at.type("\x15deploy " + TAB)
    at.see(r"^fmsh: .*deploy\.fmsh: `commands` is no record\n(.*\n)*~ topic > deploy")
    assert not shell.json("jobs", "list")


def test_jobs_apis_topics_and_flags_of_own_functions_complete(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    for line in (
        "let j = (sleep 1h &)",
        "def greet(name, --loud) { 1 }",
        "api ci http://127.0.0.1:1",
        "publish deployed 5",
    ):
        at.type(line + "\r")
        at.see(re.escape(line) + r"\n(\d+\n)?~ >$")
    number = next(job["id"] for job in shell.json("jobs", "list") if job["detached"])
    for typed, seen in (
        ("cancel ", rf"> cancel {number}$"),
        ("await %", rf"> await %{number}$"),
        ("GET c", r"> GET ci/$"),
        ("subscribe d", r"> subscribe deployed$"),
        ("fmsh publish d", r"> fmsh publish deployed$"),
        ("jobs show " + str(number), rf"> jobs show {number}$"),
        ("export HOM", r"> export HOME=$"),
        ("jobs | where { .stat", r"> jobs \| where \{ \.state$"),
        ("greet x --l", r"> greet x --loud$"),
        ("jobs wh", r"> jobs why$"),
        ("help from js", r"> help from json$|jsonl"),
        ("help concurr", r"> help concurrency ?$"),
    ):
        at.type("\x07\x15" + typed + TAB)
        at.see(seen)


def test_what_is_typed_behind_tab_comes_behind_what_it_completed(shell: Shell) -> None:
    (shell.directory / "a dir" / "below").mkdir(parents=True)
    (shell.directory / "file").touch()
    at = Screen(shell)
    at.see("~ >")
    for typed, seen in (
        ("git sw" + TAB + "x", r"> git switch x$"),
        ("git che" + TAB + TAB + "\rx", r"> git checkout x$"),
        ("cd A" + TAB + "b" + TAB + "x", r"> cd a\\ dir/below/x$"),  # only directories, in whatever letters
        ('cd "$env.HOME/a' + TAB + "b" + TAB + "x", r'> cd "\$env\.HOME/a dir/below/x$'),
        ('echo "$(git sw' + TAB + "x", r"git switch x$"),
        ("git che" + TAB + TAB + ESCAPE, r"> git che\Z"),  # the menu is gone
    ):
        at.type(CTRL_C + typed)
        at.see(seen)


def test_a_name_that_is_no_text_can_be_completed_and_bytes_of_no_text_are_refused(shell: Shell) -> None:
    with open(os.fsencode(shell.directory) + b"/odd\xff\xfe", "w") as file:
        file.write("what is in it\n")
    at = Screen(shell)
    at.see("~ >")
    at.type("cat < od" + TAB + "x")
    at.see(r'> cat < "odd\\u\{dcff\}\\u\{dcfe\}" x$')
    at.type("\x7f\r")  # Backspace
    at.see(r"^what is in it\n~ >$")
    os.write(at.child.child_fd, b"echo \xff\r")
    at.see(r"character 6 of this line is a byte that is no text(.*\n)*~ \[2\] >$")


def test_the_keys_of_history_and_of_several_lines(shell: Shell) -> None:
    for name in ("ac", "one/ab"):
        (shell.directory / name).mkdir(parents=True)
    at = Screen(shell)
    at.see("~ >")
    for line in ("echo one two", "^true three"):
        at.type(line + "\r")
        at.see(re.escape(line) + r"\n(one two\n)?~ >$")
    for typed, seen in (
        ("ec" + UP, r"> echo one two$"),  # the newest that begins so
        ("ls " + ALT + ".", r"> ls three$"),
        ("ls " + ALT + "." + ALT + ".", r"> ls two$"),
        ("if true {" + ALT + "\rx", r"> if true \{\n +…   x$"),
        ("let a = [\r1\r]", r"> let a = \[\n +…   1\n +… \]$"),
        ("cat <<EOF\rif {\rx", r"> cat <<EOF\n +… if \{\n +… x$"),
        ("one two three" + CTRL_UNDERSCORE, r"> one two\Z"),
        ("one two three" + CTRL_UNDERSCORE * 2, r"> one\Z"),
        ("one two" + CTRL_UNDERSCORE * 3 + "x", r"> x\Z"),
        ("one two" + CTRL_W + "x" + CTRL_UNDERSCORE * 2, r"> one two\Z"),
    ):
        at.type(CTRL_C + typed)
        at.see(seen)
    at.type(CTRL_C + "echo o")
    at.see(r"> echo one two$")  # suggested
    at.type("\x1b[Fx")  # the key End takes it
    at.see(r"> echo one twox$")
    at.type(CTRL_C + "echo o")
    at.see(r"> echo one two$")
    at.type(ALT + "fx")  # one word
    at.see(r"> echo one x$")
    for line in ("cd ac", "cd ../one/", "cd ab", "cd"):
        at.type(CTRL_C + line + "\r")
        at.see(rf"> {line}\n~(/ac|/one|/one/ab)? >$")
    at.type("\x0ccd a")  # Ctrl-L
    at.see(r"\A~ > cd ac$")  # the newest that begins so leads nowhere from here
    at.type(CTRL_C + "\x12two\rx")  # Ctrl-R, as fast as it comes
    at.see(r"> echo one twox$")


def test_several_lines_are_indented(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("for x in [a, b] {\r")
    at.see("…")
    at.type('echo "item $x"\r}')
    at.see(r"^ +… }$")
    at.type("\r")
    shown = at.see(r"^item b$")
    assert re.search(r"…   echo \"item \$x\"\n +… \}", shown), shown


def test_notices_and_the_toolbar(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("let j = (sh -c 'while test ! -e go; do sleep 0.01; done' &)\r")
    at.see(r"1 (running|waiting)")
    (shell.directory / "go").touch()
    number = next(job["id"] for job in shell.json("jobs", "list") if job["detached"])
    shell.await_state(number, "succeeded")
    at.type("\r")
    at.see(rf"^\[{number}\] succeeded: sh -c 'while test ! -e go; do sleep 0.01; done' &$")


def test_a_job_in_the_background_that_asks_a_person_is_told_of_once_and_one_that_was_quick_too(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("let j = ({ print (confirm 'Deploy?') } &)\r")
    at.see(r"^1 waiting  \[2\] asks: Deploy\?$")
    at.type("let k = (sh -c true &)\r")
    shell.await_state(4, "succeeded")
    at.type("\r")
    at.see(r"^\[2\] asks: Deploy\? \(`fg 2`, or `jobs answer 2 VALUE`\): \{ print")
    shown = at.see(r"^\[4\] succeeded: sh -c true &\n~ >$")
    assert shown.count("[2] asks: Deploy? (`") == 1
    at.type("jobs answer 2 yes\r")
    shell.await_state(2, "succeeded")
    at.type("\r")
    at.see(r"^\[2\] succeeded: ")


def test_jobs_of_which_the_same_is_to_be_said_are_told_of_in_one_line(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("1..6 | each { |n| start { sh -c true } }\r")
    at.see(r"^job 7$")
    for number in range(2, 8):
        shell.await_state(number, "succeeded")
    at.type("\r")
    at.see(r"^\[2 … 7\] succeeded: sh -c true$")


def test_turns_of_a_schedule_are_not_told_of(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("let j = (every 20ms { sh -c true } &)\r")
    until(lambda: len([job for job in shell.json("jobs", "list") if job["state"] == "succeeded"]) > 4, "its turns")
    at.type("echo here\r")
    assert "] succeeded" not in at.see(r"^here\n~ >$")


def test_the_toolbar_says_what_jobs_wait_for(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("let j = (sleep 1h &)\r")
    at.see(r"^1 waiting  \[\d+\] sleep until .*\d$")


@pytest.mark.parametrize("columns", [80, 40])
def test_output_without_a_line_end_is_marked_and_stays(shell: Shell, columns: int) -> None:
    at = Screen(shell, columns=columns)
    at.see("~ >")
    at.type("printf unended\r")
    at.see(r"^unended⏎\n~ >$")
    at.type("printf 'ended\\n'\r")
    at.see(r"^ended\n~ >$")
    at.type(f"printf '%{columns}s' x\r")  # a line that is just full
    at.see(rf"^ {{{columns - 1}}}x\n(⏎\n)?~ >$")


def test_ctrl_r_searches_the_lines_of_all_sessions_with_their_directories_and_statuses(shell: Shell) -> None:
    (shell.directory / "below").mkdir()
    first = Screen(shell)
    first.see("~ >")
    first.type("cd below\r")
    first.see("^~/below >")
    first.type("sh -c 'exit 3' one\r")
    first.see(r"below \[3\] >")
    at = Screen(shell)
    at.see("^~ >")
    at.type("echo two\r")
    at.see(r"^two\n~ >")
    at.type("half\x12")  # Ctrl-R
    at.see(r"^search: ")
    at.type("\x15")  # Ctrl-U
    at.see(r"echo two +~ ")
    at.type("exit sh")
    at.see(r"sh -c 'exit 3' one +~/below  \[3\]  .* ago")
    at.type("\r")
    at.see(r"^~ > sh -c 'exit 3' one$")
    at.type("\x15begun\x12two")
    at.see(r"begun")
    at.see(r"^search: no line has all of these words")
    at.type("\x07")  # Ctrl-G
    at.see(r"^~ > begun\Z")


def test_no_color_and_the_branch(shell: Shell) -> None:
    subprocess.run(["git", "init", "-q", "-b", "topic", str(shell.directory)], check=True)
    at = Screen(shell, NO_COLOR="1")
    at.see("^~ topic >")
    at.type("nosuch")
    at.see("nosuch")
    assert at.style_at("nosuch") == ("default", False)


def test_help_and_jobs_at_the_prompt(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("help sleep\r")
    at.see("usage: sleep")
    at.type("jobs\r")
    at.see("there are no jobs|no jobs|STATE")
    at.type("\x1b[200~# Ships it.\ndef ship(what: string, --dry) { 1 }\x1b[201~\r")  # pasted
    at.see(r"\}\n~ >$")
    for line, seen in (
        ("help ship", r"usage: ship WHAT \[--dry\]\n\nShips it\."),
        ("alias again = git push", "again"),
        ("help again", "^alias again = git push$"),
        ("help fg", r"^usage: fg \["),
        ("help sh", "sh is a program of the system"),
        ("help nosuch", "fmsh has no command nosuch"),
    ):
        at.type(line + "\r")
        at.see(seen)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(shell: Shell, number: int) -> None:
    at = Screen(shell)
    before = termios.tcgetattr(at.child.child_fd)
    at.see("~ >")
    until(lambda: termios.tcgetattr(at.child.child_fd) != before, "the editor's own modes")
    os.kill(at.child.pid, number)
    until(lambda: not at.child.isalive(), "its end")
    assert at.child.exitstatus == 128 + number and termios.tcgetattr(at.child.child_fd) == before


INIT = """\
alias hi = echo hello
def greet(name) { print "dear $name" }
api svc { base: "http://127.0.0.1:1" }
let shell = {
  keys: vi
  colors: {command: blue}
  abbreviations: {gs: "git status"}
  bindings: {f5: "greet key"}
}
def prompt(now) { [{text: "$now.status", style: "bold red"}, {text: " here> "}] }
"""


def start_file(shell: Shell, text: str) -> None:
    (shell.directory / "config").mkdir()
    (shell.directory / "config" / "init.fmsh").write_text(text)


def test_the_start_file_gives_aliases_functions_the_prompt_colours_and_keys(shell: Shell) -> None:
    start_file(shell, INIT)
    at = Screen(shell)
    at.see("^0 here>$")
    assert at.style_at("0 here") == ("red", False)
    at.type("hi\r")
    at.see(r"^hello\n0 here>$")
    at.type("gs ")
    at.see(r"here> git status$")
    at.type("\x15hi")  # Ctrl-U
    at.see(r"here> hi$")
    assert at.style_at("hi") == ("blue", False)
    at.type("\x1b0")  # vi: to the beginning of the line
    at.type("i^false \x1b\r")
    at.see(r"^1 here>$")
    at.type("\x1b[15~")  # F5
    at.see(r"^dear key\n0 here>$")


def test_the_keys_of_vi_and_the_cursor_that_tells_its_mode(shell: Shell) -> None:
    bar, block, default = "\x1b[6 q", "\x1b[2 q", "\x1b[0 q"
    start_file(shell, "let shell = {keys: vi}\n")
    at = Screen(shell)

    def is_cursor(shape: str) -> bool:
        at.see("~ >")
        return re.findall(r"\x1b\[\d q", at.written)[-1:] == [shape]

    at.see("~ >")
    until(lambda: is_cursor(bar), "a bar where text is inserted")
    at.type("echo one two" + ESCAPE)
    until(lambda: is_cursor(block), "a block where keys are commands")
    at.type("0dw")
    at.see(r"> one two$")
    at.type("u")
    at.see(r"> echo one two$")
    at.type("cwtrue")
    until(lambda: is_cursor(bar), "a bar again")
    at.type(ESCAPE)
    until(lambda: is_cursor(block), "a block again")
    at.type("wcwecho" + ESCAPE)
    at.see(r"> true echo two$")
    until(lambda: is_cursor(block), "a block")
    at.type("dd")
    at.see(r"^~ >\Z")
    at.type("iecho of vi\r")
    at.see(r"^of vi\n~ >$")
    assert default in at.written  # while a line runs


def test_an_error_in_the_start_file_is_shown_and_the_shell_starts(shell: Shell) -> None:
    start_file(shell, "alias hi = echo hello\nfail 'not here'\nalias no = echo no\n")
    at = Screen(shell)
    shown = at.see(r"^~ >$")
    assert "not here" in shown and "init.fmsh:2:1" in shown and "starts without the rest" in shown
    at.type("hi\r")
    at.see(r"^hello\n~ >$")


def test_what_cannot_be_used_of_the_look_is_said_once(shell: Shell) -> None:
    start_file(shell, "let shell = {keys: wordstar}\ndef prompt(now) { GET http://127.0.0.1:1/ }\n")
    at = Screen(shell)
    shown = at.see(r"^~ >$")
    assert "expected emacs or vi" in shown and "it asks for an effect" in shown
    at.type("echo one\r")
    shown = at.see(r"^one\n~ >$")
    assert shown.count("expected emacs or vi") == 1
