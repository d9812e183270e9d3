"""The command line: from arguments to an exit status. Options are read by hand: argparse costs 15 ms of start-up."""

from __future__ import annotations

import errno
import os
import sys

from fmsh.errors import DaemonError, FmshError, SourceError, StoreCorrupt, StoreError, UsageError
from fmsh.settings import read_settings
from fmsh.shell.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from fmsh.settings import Settings
else:
    import _signal  # importing signal itself would cost its enums

FAILED, USAGE, STORE_UNAVAILABLE, INTERRUPTED, PIPE_CLOSED = 1, 2, 75, 130, 141
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

HELP = """usage: fmsh [OPTION…] FILE [ARG…]      run a script as one durable job
       fmsh [OPTION…] -c TEXT [ARG…]   run a text
       fmsh [--resume]                 the prompt, with the last variables
       fmsh COMMAND …

FILE - is standard input, which is also read where there is no terminal.

commands:
  jobs [VERB …]            see and steer jobs: list show attach wait output log
                           why trace inspect cancel pause resume retry answer
                           signal fork script rm gc export import
  daemon VERB              start stop status run install uninstall
  on TOPIC|cron EXPR FILE  run a script as a job for every event; on list | rm N
  publish TOPIC [JSON]     publish an event for the jobs that subscribed
  events [TOPIC]           what was published; --follow
  secret set NAME          keep a secret; secret list | rm NAME
  test [FILE…]             run files of tests, or --with N a program on the
                           recorded answers of a job
  fmt [--check] FILE…      put programs into their one layout
  config [get|set|path]    the settings, and where each comes from
  doctor [--repair]        what is wrong with the store and all around it
  help [NAME]              the commands of the language
  completion SHELL         completion for bash, zsh or fish

options:
  -d, --detach   start it as a detached job: prints its number
  --key KEY      if a job with KEY exists, attach to it and start no other
  --name NAME    a name for people
  --tag K=V      a tag for queries
  --json         print the final value as one JSON document
  --check        parse and check only; with --json the problems as a list
  --hold         where nothing catches an error, park the job there, before
                 defer and undo
  --plan         do nothing in the world: show what it would ask for
  -v, --verbose  tell of each step as it happens
  --version, --help

examples:
  fmsh release.fmsh api --version 1.4.0
  fmsh -d --key nightly backup.fmsh
  fmsh jobs why last

`fmsh COMMAND --help` says more of a command.
"""
COMPLETION_HELP = """usage: fmsh completion bash|zsh|fish

Prints the completion of fmsh for another shell, for its start-up file.

Example: eval "$(fmsh completion bash)"
"""


def run(arguments: list[str]) -> int:
    """Runs fmsh; gives its exit status. No exception leaves it."""
    _open_standard_descriptors()
    try:
        status = _guarded(lambda: _dispatch(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as problem:  # what we say has nowhere to go: the interpreter must not try again at its end
        if problem.errno in NO_ROOM:
            _tell_of_no_room(problem.errno)
        _drop_output()
        return FAILED if problem.errno in NO_ROOM else PIPE_CLOSED


def _guarded(do: Callable[[], int]) -> int:
    try:
        return do()
    except SourceError as error:
        _show_problems(error)
        return USAGE
    except FmshError as error:
        sys.stderr.write(f"fmsh: {error.message}\n" + (f"  {error.hint}\n" if error.hint else ""))
        return _status_of(error)
    except OSError as problem:
        if problem.errno in (errno.EPIPE, *NO_ROOM):
            raise
        return _own_fault(problem)
    except Exception as fault:
        return _own_fault(fault)


def _open_standard_descriptors() -> None:
    """A descriptor that is closed would become that of the next file that is opened, such as the store."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None or sys.stderr is None:
        sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def _tell_of_no_room(number: int) -> None:
    try:
        os.write(2, f"fmsh: standard output cannot be written: {os.strerror(number).lower()}\n".encode())
    except OSError:  # standard error is as full
        return


def _drop_output() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):
        os.dup2(null, fd)


def _status_of(error: FmshError) -> int:
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, StoreCorrupt) and error.is_local:
        return FAILED
    is_of_store = isinstance(error, StoreError) or (isinstance(error, DaemonError) and error.is_of_store)
    return STORE_UNAVAILABLE if is_of_store else FAILED


def _own_fault(fault: Exception) -> int:
    """A fault of fmsh: one line for the user, the traceback into a file."""
    import tempfile
    import traceback

    fd, path = tempfile.mkstemp(".txt", "fmsh-fault-")
    with open(fd, "w", encoding="utf-8") as report:
        traceback.print_exception(fault, file=report)
    sys.stderr.write(f"fmsh: this is a fault of fmsh, please report it: {fault!r}\n  the details are in {path}\n")
    return FAILED


def _show_problems(error: SourceError) -> None:
    from fmsh.render.diagnostics import render
    from fmsh.shell.terminal import has_colors

    sys.stderr.write(render(error.diagnostics, color=has_colors(2)))


# ---- What is to be done ----------------------------------------------------------------------------------------------


def _dispatch(arguments: list[str]) -> int:
    if not _runs_a_script(arguments) and _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)  # those that run one watch for it by themselves
    if arguments[:1] == ["config"]:
        from fmsh.shell import config  # before the settings are read, which may be what has to be mended

        return config.main(arguments[1:])
    if arguments[:1] == ["doctor"]:
        from fmsh.doctor import command

        return command.main(arguments[1:])
    if arguments and arguments[0] in _COMMANDS:
        return _COMMANDS[arguments[0]](arguments[1:], read_settings(os.environ))
    if arguments[:1] in (["--version"], ["-V"], ["--resume"]) and len(arguments) > 1:
        raise UsageError(f"{arguments[0]} stands alone, without {arguments[1]}", hint="see fmsh --help")
    if arguments in (["--version"], ["-V"]):
        from fmsh import __version__

        sys.stdout.write(f"fmsh {__version__}\n")
        return 0
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    if arguments == ["--resume"]:
        return _prompt(resumes=True)
    options = parse(arguments)
    if options.file is None and options.text is None:
        if arguments:
            raise UsageError("there is nothing to run", hint="give a FILE or -c TEXT; see fmsh --help")
        if os.isatty(0):
            return _prompt(resumes=False)
        options = options.replace(file="-")
    elif options.file is not None and options.file.isalpha() and not os.path.lexists(options.file):
        raise _no_such_command(options.file)
    from fmsh.shell import script

    return script.run(options)


def _no_such_command(word: str) -> UsageError:
    from difflib import get_close_matches

    near = get_close_matches(word, [*_COMMANDS, *_OWN_SETTINGS], 1)
    hint = f"did you mean `fmsh {near[0]}`?" if near else "see fmsh --help for commands"
    return UsageError(f"fmsh has no command {word}, and there is no file of that name", hint=hint)


def _runs_a_script(arguments: list[str]) -> bool:
    return bool(arguments) and arguments[0] not in {*_COMMANDS, *_OWN_SETTINGS, "--resume"}


def _prompt(*, resumes: bool) -> int:
    from fmsh.shell import prompt
    from fmsh.shell.session import Session

    for number in (_signal.SIGQUIT, _signal.SIGTSTP):  # as of every shell: they are for programs, not for us
        _signal.signal(number, _signal.SIG_IGN)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)  # whoever started us may have ignored it: `xterm &`
    session = Session(read_settings(os.environ), resumes=resumes)
    try:
        return prompt.run(session, _guarded, _run_verb)
    finally:
        session.close()


def _run_verb(words: list[str]) -> int:
    """A line at the prompt that is a verb of jobs, or a question for help."""
    settings = read_settings(os.environ)
    if words[0] == "help":
        return _help(words[1:], settings)
    verbs = {"jobs": [], "fg": ["attach"], "bg": ["resume"]}
    return _jobs([*verbs.get(words[0], [words[0]]), *words[1:]], settings)


def _jobs(arguments: list[str], settings: Settings) -> int:
    from fmsh import retention
    from fmsh.assembly import load_program
    from fmsh.jobs.command import main
    from fmsh.shell import daemon
    from fmsh.store.sqlite import SqliteStore
    from fmsh.store.vault import Vault

    return main(
        arguments,
        lambda: SqliteStore.open(settings.state_directory, kind="shell"),
        fx_directory=settings.fx_directory,
        stdout=sys.stdout,
        stderr=sys.stderr,
        load_program=load_program,
        start_daemon=lambda store: daemon.start(settings, store),
        daemon_state=lambda: daemon.state(settings),
        limits=lambda: retention.limits_of(settings),
        keep_secret=lambda store, name, text: Vault(store, settings.key_path).keep(name, text),
    )


def _test(arguments: list[str], settings: Settings) -> int:
    from fmsh.assembly import load_program
    from fmsh.jobs import testing
    from fmsh.jobs.desk import Desk
    from fmsh.store.sqlite import SqliteStore

    try:
        parsed = testing.parse_arguments(arguments)
    except SystemExit:  # after --help
        return 0
    store = SqliteStore.open(settings.state_directory, kind="shell")
    try:
        directory = settings.fx_directory
        desk = Desk(store, fx_directory=directory, stdout=sys.stdout, stderr=sys.stderr, load_program=load_program)
        return testing.main(parsed, settings, desk)
    finally:
        store.close()


def _daemon(arguments: list[str], settings: Settings) -> int:
    from fmsh.daemon.command import main

    return main(arguments, settings)


def _help(arguments: list[str], settings: Settings) -> int:
    from fmsh.shell import help

    sys.stdout.write(help.page(arguments))
    return 0


def _secret(arguments: list[str], settings: Settings) -> int:
    from fmsh.shell.secret import main

    return main(arguments, settings)


def _fmt(arguments: list[str], settings: Settings) -> int:
    from fmsh.shell import fmt

    return fmt.run(arguments)


def _completion(arguments: list[str], settings: Settings) -> int:
    """Prints the completion of fmsh for another shell."""
    files = {"bash": "fmsh.bash", "zsh": "_fmsh", "fish": "fmsh.fish"}
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(COMPLETION_HELP)
        return 0
    if arguments[:1] == ["words"]:  # what these files ask
        from fmsh.shell import elsewhere

        sys.stdout.write(elsewhere.page(arguments[1:]))
        return 0
    if len(arguments) != 1 or arguments[0] not in files:
        raise UsageError("fmsh completion takes bash, zsh or fish", hint='such as eval "$(fmsh completion bash)"')
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "completions", files[arguments[0]])
    with open(path, encoding="utf-8") as file:
        sys.stdout.write(file.read())
    return 0


def _on(arguments: list[str], settings: Settings) -> int:
    from fmsh.shell.registering import main

    return main(arguments, settings)


def _publish(arguments: list[str], settings: Settings) -> int:
    from fmsh.shell.events import publish

    return publish(arguments, settings)


def _events(arguments: list[str], settings: Settings) -> int:
    from fmsh.shell.events import events

    return events(arguments, settings)


_OWN_SETTINGS = ("config", "doctor")  # commands that read the settings by themselves
_COMMANDS: dict[str, Callable[[list[str], Settings], int]] = {
    "jobs": _jobs,
    "test": _test,
    "daemon": _daemon,
    "fmt": _fmt,
    "help": _help,
    "completion": _completion,
    "secret": _secret,
    "on": _on,
    "publish": _publish,
    "events": _events,
}


# ---- Options ---------------------------------------------------------------------------------------------------------


def parse(arguments: list[str]) -> Options:
    """Reads the options. Raises: UsageError."""
    found: dict[str, object] = {}
    tags: dict[str, str] = {}
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, has_value, value = argument.partition("=")
        if argument == "--":
            break
        if argument in _SWITCHES:
            found[_SWITCHES[argument]] = True
        elif name in _VALUES:
            if not (has_value and name.startswith("--")):
                if not waiting:
                    raise UsageError(f"{name} needs a value", hint="see fmsh --help")
                value = waiting.pop(0)
            if name == "--tag":
                _add_tag(tags, value)
            elif name == "--key" and not value:
                raise UsageError("--key takes a text that is not empty", hint="is a variable unset?")
            else:
                found[_VALUES[name]] = value
        elif argument.startswith("-") and argument != "-":
            raise UsageError(f"fmsh has no option {argument}", hint="see fmsh --help")
        else:
            waiting.insert(0, argument)
            break
    if "text" not in found and waiting:
        found["file"] = waiting.pop(0)
    return Options(**{**found, "arguments": waiting, "tags": tags})  # type: ignore[arg-type]


_SWITCHES = {
    "-d": "is_detached",
    "--detach": "is_detached",
    "--json": "is_json",
    "--check": "is_check",
    "--plan": "is_plan",
    "--hold": "is_held",
    "-v": "is_verbose",
    "--verbose": "is_verbose",
}
_VALUES = {"-c": "text", "--key": "key", "--name": "name", "--tag": "tag"}


def _add_tag(tags: dict[str, str], text: str) -> None:
    key, has_value, value = text.partition("=")
    if not key or not has_value:
        raise UsageError(f"--tag takes K=V, this is {text!r}", hint="such as --tag team=web")
    tags[key] = value
