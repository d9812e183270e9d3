"""The command line of `fmsh jobs`. argparse is imported here only: the shell's start-up must not pay for it."""

from __future__ import annotations

import argparse
from contextlib import redirect_stdout

from fmsh.builtins.kinds import duration
from fmsh.errors import UsageError
from fmsh.store.base import ACTIVE_STATES, OVER_STATES
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, NoReturn

STATES = (*ACTIVE_STATES, *OVER_STATES)
JOB_HELP = "a job's number, %%N, its key, its name if unique, or `last`"

EXPORT_HELP = """The file goes to standard output: `fmsh jobs export 12 > release.job`. It holds the source, the events,
the state, what processes wrote, and what has arrived; secrets stay here. A job that runs in a terminal must be detached
first (Ctrl-Z), one that does not come to rest paused; one whose command runs here is refused until it has ended. If the
file could not be written whole the job stays as it was; if it is lost, exporting the job again writes it once more.
"""
IMPORT_HELP = """The file is verified whole before anything is taken in. The job goes on under the daemon. Secret
variables of its environment are taken from the environment of this command, or of `fmsh jobs resume`; other secrets
must be in the store under their names, and while one is missing the job is paused. A job comes back to the store that
it was moved from under its old number; a store that has it takes no second copy.
"""


INSPECT_HELP = """The state is rebuilt from what is recorded; the job is not touched, and nothing is done again. The
numbers of events are those of `fmsh jobs log`. At the prompt of --interactive the variables of that moment and the
functions of the program can be used; an effect is refused. `help` there says how to go from event to event."""
FORK_HELP = """The program runs from its start on the recorded answers of the other job, and from the first that is
missing on it does what it asks for. What that is, is shown on standard error. The new job has keys of its own, and does
not undo what the other did. The address of a callback, and children, are reused only with all that came of them."""
GC_HELP = """Removes ended jobs, and the output of ended jobs, that are older than the settings retention.history and
retention.output say (`fmsh config`), and says how many bytes that freed. The daemon does the same once an hour."""


ATTACH_HELP = """What it displayed so far comes first. Ctrl-Z detaches and the job goes on; Ctrl-C cancels it. The exit
status is that of the job. Several terminals can follow one job."""
WAIT_HELP = """The exit status is that of the last one; 1 if one has not ended in time, is damaged or was moved. A job
that is parked waits for a person, and is named."""
CANCEL_HELP = """What it has in progress is stopped, and its `defer` and `undo` are run before it ends."""
RETRY_HELP = """A parked job needs a person: nobody knows how its step ended, or it was started with --hold. The step is
done again, and a stream that fed it. A job that has ended can be forked instead (`fmsh jobs fork`)."""
ANSWER_HELP = (
    """Of several questions the oldest is answered. The outcome of a step is what its command would have given."""
)
OUTPUT_HELP = """What processes wrote to standard error goes there. `fmsh jobs log` has the numbers of the steps."""
EXAMPLES = {
    "list": "fmsh jobs list --state failed --tag team=web",
    "show": "fmsh jobs show last",
    "attach": "fmsh jobs attach 12",
    "wait": "fmsh jobs wait 12 13 --timeout 10m",
    "output": "fmsh jobs output 12 --step 3 > build.log",
    "log": "fmsh jobs log 12 --follow",
    "why": "fmsh jobs why last",
    "trace": "fmsh jobs trace 12 --html trace.html",
    "inspect": "fmsh jobs inspect 12 --at 24 --interactive",
    "cancel": "fmsh jobs cancel 12 13",
    "pause": "fmsh jobs pause 12",
    "resume": "fmsh jobs resume 12",
    "retry": "fmsh jobs retry 12",
    "answer": "fmsh jobs answer 12 yes",
    "signal": 'fmsh jobs signal 12 approval \'{"by": "ann"}\'',
    "fork": "fmsh jobs fork 12 --at 24 --edit release.fmsh",
    "script": "fmsh jobs script 7 8 12 > deploy.fmsh",
    "rm": "fmsh jobs rm 12 13",
    "gc": "fmsh jobs gc --older-than 7d",
    "export": "fmsh jobs export 12 > release.job",
    "import": "fmsh jobs import release.job --paused",
}


class Page(argparse.HelpFormatter):
    """Fills each paragraph by itself."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(paragraph, width, indent) for paragraph in text.split("\n\n"))


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line as an exception."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=self.format_usage().strip())


def parse(arguments: list[str], *, help_stream: IO[str]) -> argparse.Namespace:
    """Reads the arguments after `fmsh jobs`; without a verb it is `list`.

    Raises: UsageError; SystemExit with status 0 after `--help`.
    """
    is_help = arguments[:1] in (["-h"], ["--help"])
    if not arguments or (arguments[0].startswith("-") and not is_help):
        arguments = ["list", *arguments]
    parser, verbs = _parsers()
    with redirect_stdout(help_stream):  # argparse knows no other way
        if is_help:
            parser.parse_args(arguments)
        verb, *rest = arguments
        if verb not in verbs:
            raise _no_such_verb(verb, rest, list(verbs))
        return verbs[verb].parse_args(rest, argparse.Namespace(verb=verb))


def _no_such_verb(word: str, rest: list[str], verbs: list[str]) -> UsageError:
    from difflib import get_close_matches

    near = get_close_matches(word, verbs, 1)
    if word.removeprefix("%").isdigit() or word == "last":
        hint = f"did you mean `fmsh jobs show {word}`?"
    elif near:
        hint = f"did you mean `fmsh jobs {' '.join([near[0], *rest])}`?"
    else:
        hint = f"there are {', '.join(verbs)}; `fmsh jobs VERB --help` says more of one"
    return UsageError(f"fmsh jobs has no verb {word!r}", hint=hint)


def _parsers() -> tuple[Parser, dict[str, Parser]]:
    """The parser whose help lists the verbs, and that of each verb."""
    text = "Lists, shows, follows and steers jobs. Without a verb it is `list`."
    epilog = f"N is {JOB_HELP.replace('%%', '%')}. `fmsh jobs VERB --help` says more of a verb."
    parser = Parser(prog="fmsh jobs", description=text, epilog=epilog, formatter_class=Page, allow_abbrev=False)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    _add_list(verbs)
    _add(verbs, "show", "a job's state, what it waits for, its steps so far, its error")
    _add(verbs, "attach", "follow a job; Ctrl-C cancels it, Ctrl-Z detaches", ATTACH_HELP)
    wait = _add(verbs, "wait", "wait until jobs have ended; exit status of the last", WAIT_HELP, is_many=True)
    wait.add_argument("--timeout", type=_seconds, metavar="D", help="give up after this long: 90, 10s, 1h30m")
    output = _add(verbs, "output", "what a job displayed, or what one process wrote", OUTPUT_HELP)
    output.add_argument("--follow", "-f", action="store_true", help="go on until the job ends")
    output.add_argument("--step", type=_count, metavar="K", help="only what the process of this step wrote")
    log = _add(verbs, "log", "the events of a job, numbered")
    log.add_argument("--follow", "-f", action="store_true", help="go on until the job ends")
    _add_looking(verbs)
    _add(verbs, "cancel", "cancel jobs", CANCEL_HELP, is_many=True)
    _add(verbs, "pause", "start nothing new in these jobs until `resume`", is_many=True)
    _add(verbs, "resume", "go on with paused jobs", is_many=True)
    _add(verbs, "retry", "do the step again at which a job is parked", RETRY_HELP, is_many=True)
    answer = _add(
        verbs, "answer", "answer an `ask`, or give the outcome of the step at which a job is parked", ANSWER_HELP
    )
    answer.add_argument("value", nargs="?", metavar="VALUE", help="JSON if it parses, else text; null if left out")
    signal = _add(verbs, "signal", "send a message to a job, which takes it from `inbox NAME`")
    signal.add_argument("name", type=_name, metavar="NAME", help="the name of the inbox")
    signal.add_argument("value", nargs="?", metavar="JSON", help="JSON if it parses, else text; null if left out")
    _add(verbs, "rm", "remove ended jobs with all that was kept of them", is_many=True)
    gc = _begin(verbs, "gc", "remove ended jobs that are too old", GC_HELP)
    gc.add_argument("--older-than", type=_seconds, metavar="D", help="all that ended longer ago than this, such as 12h")
    gc.add_argument("--json", action="store_true", help="one JSON document")
    _add_moving(verbs)
    return parser, verbs.choices


def _add_looking(verbs: Any) -> None:
    _add(verbs, "why", "what a job waits for or ended with, what ran again and why, what it needs")
    trace = _add(verbs, "trace", "a timeline: steps as bars, tries, waits, who ran it when, where the time went")
    trace.add_argument("--all", action="store_true", help="all steps of a long job, not only the last ones")
    trace.add_argument("--html", metavar="FILE", help="write all of it as one page of HTML; - for standard output")
    fork = _add(verbs, "fork", "a new detached job that goes on from an event of another; prints its number", FORK_HELP)
    fork.add_argument("--at", type=_count, metavar="SEQ", required=True, help="the last event whose answer is reused")
    fork.add_argument("--edit", metavar="FILE", help="with this program instead of the old one")
    fork.add_argument("--plan", action="store_true", help="show what would be reused and what new, and start nothing")
    _add(verbs, "script", "the lines of jobs, such as those of a session, as one script", is_many=True)
    inspect = _add(verbs, "inspect", "the stack and every variable of a job, now or as of an event", INSPECT_HELP)
    inspect.add_argument(
        "--at", type=_count, metavar="SEQ", help="as it was after this event; the last one if left out"
    )
    inspect.add_argument("--interactive", "-i", action="store_true", help="a prompt there, for what is pure")


def _add_moving(verbs: Any) -> None:
    text = "write a job whole as one file; one that is active is moved, and goes on where the file is imported"
    export = _begin(verbs, "export", text, EXPORT_HELP)
    export.add_argument("jobs", nargs=1, metavar="N", help=JOB_HELP)
    export.set_defaults(json=False)
    incoming = _begin(
        verbs, "import", "take in a job that `fmsh jobs export` wrote; prints its number here", IMPORT_HELP
    )
    incoming.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    incoming.add_argument("--paused", action="store_true", help="do not let it go on until `fmsh jobs resume`")
    incoming.add_argument("--json", action="store_true", help="the job as one JSON document")


def _add_list(verbs: Any) -> None:
    listing = _begin(verbs, "list", "jobs, active ones first, newest first")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    listing.add_argument("--all", action="store_true", help="every ended job too, not only the newest")
    listing.add_argument("--state", action="append", type=_state, metavar="S", help=", ".join(STATES))
    listing.add_argument("--tag", action="append", type=_tag, metavar="K=V", help="only jobs with this tag")
    listing.add_argument("--limit", type=_count, metavar="N", help="at most N jobs")


def _begin(verbs: Any, name: str, text: str, more: str = "") -> Parser:
    """Adds a verb with its page: what it does, more of that, and an example."""
    sentence = text[0].upper() + text[1:] + "."
    epilog = "\n\n".join(filter(None, [more, f"Example: {EXAMPLES[name]}"]))
    parser: Parser = verbs.add_parser(
        name, help=text, description=sentence, epilog=epilog, formatter_class=Page, allow_abbrev=False
    )
    return parser


def _add(verbs: Any, name: str, text: str, more: str = "", *, is_many: bool = False) -> Parser:
    parser = _begin(verbs, name, text, more)
    parser.add_argument("jobs", nargs="+" if is_many else 1, metavar="N", help=JOB_HELP)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def _state(text: str) -> str:
    if text not in STATES:
        raise argparse.ArgumentTypeError(f"there is no state {text!r}; there are {', '.join(STATES)}")
    return text


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("an inbox has a name that is not empty")
    return text


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not K=V")
    return name, value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else float(duration(text).seconds)
    except Raised:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 10s or 1h30m") from None
