"""The wrapper: a `/bin/sh` per attempt that starts the stages, waits for them and leaves their statuses on disk.

Its text is made of constants and small integers only: every word of the user reaches it as a positional argument, as an
environment variable or as a file, and is never read as code. Descriptors, for which sh allows one digit:

    0 1     of the pipeline: its first stage's stdin, its last one's stdout
    2       /dev/null: sh reports a stage's death by signal there
    3 4 5   where the terminal is lent: what the wrapper says, and two that are read until their end (`handover`)
    6       everybody's stderr
    7       status.new; its offset is shared, so that each stage appends its line
    8       command.lock, the only one that a command keeps
    9       wrapper.lock

Redirections are `exec` with constants and the numbers of the arguments that name the files: see `redirecting`.

How the environment gets there unchanged. sh drops names that are not identifiers and gives a meaning to others. So what
all stages share and sh leaves alone is simply the wrapper's environment; all else travels as a numbered variable that
holds `NAME=VALUE` and is unpacked in the stage: by `export`; for a name that `export` refuses by `env`; and where that
would show a secret on a command line for an instant, by 15 ms of Python.

Why sh: nothing to compile, and it survives us; a C program would be 3 ms faster. Why the programs `sync` and `mv`
rather than an fsync of ours: they must work when we are dead. Any `sync` syncs the named files in order, or everything.
One command at a terminal has neither: no output is to be synced, one line is whole or not there, and whoever reads it
records it at once. Only if the machine goes down just then, and we were killed before, its outcome stays unknown.
"""

from __future__ import annotations

import os
import sys

from fmsh.connectors import spool
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fmsh.values import Secret

    # What the wrapper has, what each stage exports and what it needs `env` for, and the variables that these number.
    Carried = tuple[dict[bytes, bytes], tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...], list[bytes]]

SHELL = "/bin/sh"
FIXED_ARGUMENTS = 8  # directory, boot id, mode, working directory, sync, mv, python, umask
STANDARD_DIRECTORIES = ("/bin", "/usr/bin", "/usr/local/bin")

# Linux takes no single argument of 128 KiB or more (MAX_ARG_STRLEN); the text names each argument but one stage's.
TEXT_BYTES_MAX = 120_000

# What sh would act on, change or refuse to import.
SHELL_NAMES = frozenset(
    ("ENV", "IFS", "PS1", "PS2", "PS4", "PWD", "OLDPWD", "OPTIND", "OPTARG", "CDPATH", "POSIXLY_CORRECT", "LINENO")
)
READ_ONLY_NAMES = frozenset(("UID", "EUID", "PPID", "SHELLOPTS", "BASHOPTS", "IFS", "OPTIND", "LINENO"))
LOADER_PREFIXES = ("LD_", "DYLD_", "BASH_", "MALLOC_", "GLIBC_")

NUMBERED = "fmsh_wrapper_"

# Whether a Ctrl-C came. The note is taken in one command: a trap runs before it or after it, and no signal is missed.
INTERRUPT = f"{NUMBERED}int=1"
NOTE = f"{NUMBERED}during=${NUMBERED}int {NUMBERED}int="
READY, ENDED = "r", "e"  # what is said on 3: by each stage, and when all have ended

# What an operator is in sh; `{}` is the argument that names the file.
REDIRECTIONS = {
    ">": "1>{}",
    ">>": "1>>{}",
    "<": "0<{}",
    "2>": "2>{}",
    "2>>": "2>>{}",
    "&>": "1>{} 2>&1",
    "&>>": "1>>{} 2>&1",
    "2>&1": "2>&1",
    ">&2": "1>&2",
    "<<": "0<{}",
    "<<<": "0<{}",
}

# Python ignores two signals at its start, and what is ignored stays so in the program that it becomes. It also sets
# LC_CTYPE in the C locale (PEP 538); its first argument is empty where that was not set.
UNPACK = """import os, sys, _signal
environment = {}
for name, value in os.environb.items():
    if name.startswith(b"fmsh_wrapper_"):
        name, _, value = value.partition(b"=")
    environment[name] = value
if not sys.argv.pop(1):
    environment.pop(b"LC_CTYPE", None)
_signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
_signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
os.execvpe(sys.argv[1], sys.argv[1:], environment)"""


class Stage(Record):
    """One command of a pipeline. `argv` and `environment` as bytes, as the system takes them.

    `hides`: a secret is among the variables that only a command line could set. `redirections`: operators, and the file
    of those that name one.
    """

    argv: Sequence[bytes]
    environment: Mapping[bytes, bytes]
    hides: bool = False
    redirections: Sequence[tuple[str, bytes | None]] = ()


class Shape(Record):
    """All that the text of a wrapper depends on.

    `counts`: arguments per stage. `longest`: the stage whose arguments stand last. `exported`, `exotic`: per stage the
    numbers of the variables that it unpacks with `export` and with `env`; `hides`: not with `env` but with Python.
    `variables`: how many there are. `redirections`: per stage the operators, and the number of the argument that names
    the file, 0 for none; `targets`: how many there are. `is_moved`: the status is, after all was synced.
    """

    counts: tuple[int, ...]
    longest: int
    exported: tuple[tuple[int, ...], ...]
    exotic: tuple[tuple[int, ...], ...]
    hides: tuple[bool, ...]
    variables: int
    spooled: tuple[str, ...]
    waits_for_terminal: bool
    is_moved: bool
    redirections: tuple[tuple[tuple[str, int], ...], ...] = ()
    targets: int = 0


class Launch(Record):
    """What `posix_spawn` needs, but for the descriptors."""

    argv: list[bytes]
    environment: dict[bytes, bytes]


class Unstartable(Exception):
    """The pipeline cannot be handed to the system. `status` is what a shell would report (126, 127)."""

    def __init__(self, message: str, *, status: int = 126, kind: str = "exit", command: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.command = command


class Environments:
    """Environments as bytes, and how a wrapper carries them. The last one is kept: a loop runs all in the same.

    A mapping that was given must not change any more. What holds a secret is not kept.
    """

    __slots__ = ("_carried", "_kept", "_of", "_reveal")

    def __init__(self, reveal: Callable[[Secret], str]) -> None:
        self._reveal = reveal
        self._of: Mapping[str, str | Secret] | None = None
        self._kept: dict[bytes, bytes] = {}
        self._carried: Carried | None = None

    def encoded(
        self, environment: Mapping[str, str | Secret], more: Mapping[str, str | Secret]
    ) -> tuple[Mapping[bytes, bytes], bool]:
        """Gives an environment with changes, and whether it hides a secret. Raises: ValueError."""
        if environment is self._of and not more:
            return self._kept, False
        variables, hides, is_plain = {}, False, not more
        for key, value in {**environment, **more}.items():
            if not isinstance(value, str):
                hides, is_plain = hides or not _is_exportable(key), False
                value = self._reveal(value)
            if key and "=" not in key:
                variables[_encode(key)] = _encode(value)
        if is_plain:
            self._of, self._kept, self._carried = environment, variables, None
        return variables, hides

    def carried(self, environments: Sequence[Mapping[bytes, bytes]]) -> Carried:
        if len(environments) > 1 or environments[0] is not self._kept:
            return _carry(environments)
        if self._carried is None:
            self._carried = _carry(environments)
        shared, exported, exotic, numbered = self._carried
        return dict(shared), exported, exotic, numbered


def prepare_stage(
    argv: Sequence[str],
    environment: Mapping[str, str | Secret],
    more: Mapping[str, str | Secret],
    directory: str,
    environments: Environments,
    redirections: Sequence[tuple[str, bytes | None]] = (),
) -> Stage:
    """Turns a stage into bytes, and sees that its command exists. `more`: its own variables. Raises: Unstartable."""
    if not argv or not argv[0]:
        raise Unstartable("the name of a command must not be empty", status=127)
    name = argv[0]
    try:
        words = [_encode(word) for word in argv]
        variables, hides = environments.encoded(environment, more)
    except ValueError as error:
        raise Unstartable(f"{name}: {error}", kind="type", command=name) from None
    found = find_command(words[0], variables.get(b"PATH"), os.fsencode(directory), name)
    if words[0][:1] == b"-":
        words[0] = found
    return Stage(words, variables, hides, redirections)


def _encode(text: str) -> bytes:
    """Raises: ValueError for what no process can be given."""
    if "\0" in text:
        raise ValueError("an argument or environment variable holds a NUL character, which no process can be given")
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("an argument or environment variable holds half of a surrogate pair") from None


def find_command(word: bytes, path: bytes | None, directory: bytes, name: str) -> bytes:
    """Finds a command as sh would, in the task's PATH and directory. Raises: Unstartable with status 126 or 127."""
    if b"/" in word:
        candidates = [word]
    else:
        entries = (path if path is not None else b"/usr/local/bin:/usr/bin:/bin").split(b":")
        candidates = [(entry or b".") + b"/" + word for entry in entries]
    refused = None
    for candidate in candidates:
        place = candidate if candidate[:1] == b"/" else directory + b"/" + candidate
        if os.path.isdir(place):
            refused = refused or (f"{name} is a directory" if b"/" in word else None)
        elif os.access(place, os.X_OK):
            return candidate
        elif os.path.exists(place):
            refused = f"{name} is not executable"
    if refused:
        raise Unstartable(refused, status=126, command=name)
    raise Unstartable(f"command not found: {name}", status=127, command=name)


def plan(
    stages: Sequence[Stage],
    *,
    environments: Environments,
    attempt: str,
    boot_id: str,
    mode: str,
    directory: str,
    spooled: tuple[str, ...],
    umask: int | None = None,
) -> Launch:
    """Makes the wrapper's arguments and environment. `attempt`: its directory. `spooled`: the files of "out", "err".

    Raises: Unstartable.
    """
    shared, exported, exotic, numbered = environments.carried([stage.environment for stage in stages])
    counts = tuple(len(stage.argv) for stage in stages)
    longest = counts.index(max(counts))
    hides = tuple(stage.hides for stage in stages)
    redirections, targets = _number_targets(stages)
    shape = Shape(
        counts,
        longest,
        exported,
        exotic,
        hides,
        len(numbered),
        spooled,
        waits_for_terminal=mode == "tty",
        is_moved=mode == "spool" or bool(spooled) or len(stages) > 1,
        redirections=redirections,
        targets=len(targets),
    )
    text = script(shape)
    if len(text) > TEXT_BYTES_MAX:
        raise Unstartable("too many arguments in more than one stage of a pipeline", kind="limit")
    mask = "" if umask is None else f"{umask:04o}"
    shown_mode = "spool" if mode == "spool" else "terminal"
    fixed = (attempt, boot_id, shown_mode, directory, program("sync"), program("mv"), sys.executable, mask)
    argv = [b"sh", b"-c", text.encode(), b"fmsh-wrapper", *map(os.fsencode, fixed), *targets]
    for index, stage in enumerate(stages):
        if index != longest:
            argv += stage.argv
    argv += stages[longest].argv
    for number, variable in enumerate(numbered):
        shared[f"{NUMBERED}{number}".encode()] = variable
    return Launch(argv, shared)


def _number_targets(stages: Sequence[Stage]) -> tuple[tuple[tuple[tuple[str, int], ...], ...], list[bytes]]:
    """Gives each redirection the number of the argument that its file becomes, and these arguments."""
    targets: list[bytes] = []
    made = []
    for stage in stages:
        own = []
        for operator, target in stage.redirections:
            if target is not None:
                targets.append(target)
            own.append((operator, 0 if target is None else FIXED_ARGUMENTS + len(targets)))
        made.append(tuple(own))
    return tuple(made), targets


def program(name: str) -> str:
    """Where a standard program is, whatever the user's PATH says. `:` if missing: `spool.adopt_statuses` does it."""
    for directory in STANDARD_DIRECTORIES:
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    return ":"


def _is_identifier(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _is_exportable(name: str) -> bool:
    return _is_identifier(name) and name not in READ_ONLY_NAMES


def _is_left_alone(name: str) -> bool:
    """Whether sh passes a variable of this name on as it is, without acting on it."""
    return _is_identifier(name) and name not in SHELL_NAMES | READ_ONLY_NAMES and not name.startswith(LOADER_PREFIXES)


def _carry(environments: Sequence[Mapping[bytes, bytes]]) -> Carried:
    """Splits environments into what the wrapper simply has, and the numbered variables that each stage unpacks."""
    first, *others = environments
    shared = {
        key: value
        for key, value in first.items()
        if _is_left_alone(key.decode("latin-1")) and all(other.get(key) == value for other in others)
    }
    exported, exotic = [], []
    numbered: list[bytes] = []
    for environment in environments:
        own: tuple[list[int], list[int]] = ([], [])
        for key, value in environment.items():
            if key not in shared and key != b"PWD":  # PWD is the task's directory, and `cd` says so
                name = key.decode("latin-1")
                own[_is_exportable(name)].append(len(numbered))
                numbered.append(key + b"=" + value)
        exotic.append(tuple(own[0]))
        exported.append(tuple(own[1]))
    return shared, tuple(exported), tuple(exotic), numbered


def script(shape: Shape) -> str:
    """Writes the text of a wrapper. Nothing but integers goes into it.

    It must outlive the signals of its group to report what they did; PIPE is how a stream is ended early. TERM may end
    it as long as nothing was started: otherwise a cancel that comes early would be swallowed.
    """
    lines = [
        f"trap : HUP QUIT PIPE; trap {INTERRUPT} INT" if shape.waits_for_terminal else "trap : HUP INT QUIT PIPE",
        'set -C; echo "$$ $2 $3" >"$1/claim" || exit 0; set +C',
        'if cd -- "$4" 2>&6; then unset OLDPWD; [ -z "$8" ] || umask "$8"; trap : TERM',
        _pipeline(shape),
        "else",
        *[f'echo "{index} 126" >&7' for index in range(len(shape.counts))],
        "fi",
        *(_give_back() if shape.waits_for_terminal else ()),
    ]
    if shape.is_moved:
        lines += [
            '"$5" ' + " ".join(f'"$1/{name}"' for name in (*shape.spooled, "status.new")),
            'exec "$6" -f "$1/status.new" "$1/status"',
        ]
    return "\n".join(lines)


def _pipeline(shape: Shape) -> str:
    noted = f" {NOTE}" if shape.waits_for_terminal else ""
    if len(shape.counts) == 1:
        return f'{_stage(shape, 0)} 9>&-\n{NUMBERED}status=$?{noted}; echo "0 ${NUMBERED}status" >&7'
    stages = " |\n".join(
        f'{{ trap : HUP INT QUIT PIPE TERM; {_stage(shape, index)}; echo "{index} $?" >&7; }} 9>&-'
        for index in range(len(shape.counts))
    )
    return f"{stages}\n{noted}"


def _give_back() -> list[str]:
    """All stages have ended: the terminal goes back. Whether a Ctrl-C came before that is written down."""
    return [
        f'[ -z "${NUMBERED}during" ] || echo "{spool.INTERRUPTED_DURING}" >&7',
        f"trap '' PIPE; echo {ENDED} >&3 2>&-; read -r {NUMBERED}go <&4",
        f'[ -z "${NUMBERED}int" ] || echo "{spool.INTERRUPTED_AFTER}" >&7',
    ]


def _stage(shape: Shape, index: int) -> str:
    """One stage as a subshell: what it unpacks, what it must not pass on, and the command that it becomes."""
    steps, words = _words(shape, index)
    opened = [REDIRECTIONS[operator].format(f'"${{{number}}}"') for operator, number in _redirections(shape, index)]
    if shape.waits_for_terminal:
        opened = ["3>&- 4<&- 5<&-", *opened]
    if opened:
        steps.insert(0, "exec " + " ".join(opened))
    command, kept = words, frozenset[int]()
    if shape.exported[index]:
        steps.append("export " + _variables(shape.exported[index]))
    if shape.hides[index]:
        steps.insert(0, f"{NUMBERED}python=$7")
        command = f'"${{{NUMBERED}python}}" -I -S -c \'{UNPACK}\' "${{LC_CTYPE+set}}" {words}'
        kept = frozenset(shape.exotic[index])
    elif shape.exotic[index]:
        steps.append(f"set -- {_variables(shape.exotic[index])} {words}")
        command = '/usr/bin/env -- "$@"'
    unset = [f"{NUMBERED}{number}" for number in range(shape.variables) if number not in kept]
    if unset:
        steps.append("unset " + " ".join(unset))
    if shape.waits_for_terminal:  # our signals are our own by now: a subshell keeps no trap
        steps.insert(0, f"trap '' PIPE; echo {READY} >&3 2>&-; trap - PIPE; read -r {NUMBERED}go <&5")
    return f"( {'; '.join((*steps, f'exec {command}'))} ) 2>&6 6>&- 7>&-"


def _redirections(shape: Shape, index: int) -> tuple[tuple[str, int], ...]:
    return shape.redirections[index] if shape.redirections else ()


def _words(shape: Shape, index: int) -> tuple[list[str], str]:
    """How a stage gets at its arguments. Those of the longest one stand last: a long glob costs nothing to cut out."""
    others = [count if other != shape.longest else 0 for other, count in enumerate(shape.counts)]
    before = FIXED_ARGUMENTS + shape.targets
    if index == shape.longest:
        return [f"shift {before + sum(others)}"], '"$@"'
    start = before + 1 + sum(others[:index])
    return [], " ".join(f'"${{{start + offset}}}"' for offset in range(shape.counts[index]))


def _variables(numbers: Sequence[int]) -> str:
    return " ".join(f'"${NUMBERED}{number}"' for number in numbers)
