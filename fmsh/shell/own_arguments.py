"""What may stand behind the commands of fmsh itself: jobs, topics, services, secrets, names of commands."""

from __future__ import annotations

from fmsh.lang import pages
from fmsh.lang.lines import API
from fmsh.render.cells import visible
from fmsh.shell.described import FILES, Offer
from fmsh.store.base import ACTIVE_STATES, JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.shell.knowledge import Knowledge
    from fmsh.shell.session import Session
    from fmsh.store.base import EventStore, Job

JOBS_MAX = 50
EVENTS_MAX = 1000  # of topics, that are looked through for their names
OF_JOBS = ("fg", "attach", "bg", "wait", "cancel")
OF_ANY_JOB = [[verb] for verb in ("show", "output", "log", "why", "trace", "inspect", "fork", "script", "rm", "export")]
OF_TOPICS = ("publish", "subscribe")
OF_PROGRAMS = ("which", "man", "type", "whereis", "killall", "pkill")
OF_ENVIRONMENT = ("export", "unset")
OF_FILES = ("use", "load", "save")
REQUESTS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def offer_of(session: Session, name: str, words: list[str], word: str, knowledge: Knowledge) -> Offer | None:
    """What may stand behind some words of a command of fmsh; None: nothing special."""
    if name in OF_JOBS:
        return Offer(_jobs(session.store, ACTIVE_STATES))
    if name == "fmsh" and words[:1] == ["jobs"] and words[1:] in OF_ANY_JOB and not word.startswith("-"):
        return Offer(_jobs(session.store, ()))
    if name == "fmsh" and words[:1] == ["help"]:
        name, words = "help", words[1:]
    if name == "fmsh" and words in (["publish"], ["events"]) and not word.startswith("-"):
        return Offer(_topics(session.store))
    if name == "await" or (name == "signal" and not words):
        return Offer({f"%{number}": about for number, about in _jobs(session.store, ACTIVE_STATES).items()})
    if name in OF_TOPICS and not words:
        return Offer(_topics(session.store))
    if name in REQUESTS and not [word for word in words if not word.startswith("-")]:
        return Offer({f"{name.removeprefix(API)}/": "" for name in session.names() if name.startswith(API)})
    if name == "secret" and not words:
        return Offer(dict.fromkeys(session.store.secret_names(), "a secret"))
    if name == "help":
        return Offer(_commands(words, knowledge.commands()) | ({} if words else pages.subjects()))
    if name in OF_PROGRAMS:
        return Offer(dict.fromkeys(sorted(knowledge.programs()), "") if word else {})
    if name in OF_ENVIRONMENT:
        mark = "=" if name == "export" else ""
        return Offer({f"{each}{mark}": "" for each in sorted(knowledge.environment())})
    if name in OF_FILES:
        return Offer({}, FILES)
    return None


def _commands(words: list[str], commands: dict[str, str]) -> dict[str, str]:
    """The first words of commands, or the second ones of those with a first."""
    if not words:
        return {name.partition(" ")[0]: about for name, about in commands.items()}
    parts = ((name.partition(" "), about) for name, about in commands.items())
    return {second: about for (first, _, second), about in parts if second and [first] == words}


def _jobs(store: EventStore, states: tuple[str, ...]) -> dict[str, str]:
    return {str(job.id): _about(job) for job in store.jobs(JobFilter(states=states, limit=JOBS_MAX))}


def _about(job: Job) -> str:
    return f"{job.state}: {visible(job.command.partition(chr(10))[0])}"


def _topics(store: EventStore) -> dict[str, str]:
    found: dict[str, int] = {}
    for event in store.topic_events(None, after=0, limit=EVENTS_MAX):
        found[event.topic] = found.get(event.topic, 0) + 1
    return {topic: f"{count} events" for topic, count in found.items()} | {"jobs": "the changes of jobs"}
