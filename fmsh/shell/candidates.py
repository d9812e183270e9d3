"""What completion gives, a candidate, and what it knows of the session and the machine, a world."""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fmsh.machine.signature import Signature
    from fmsh.shell.described import Offer
    from fmsh.values import Value


class Candidate(Record):
    """A text for what stands from `start` to the cursor, and a few words about it.

    `shown`: what a menu shows of it, where that is not all; `end`: what follows it if it is the only one.
    """

    start: int
    text: str
    about: str = ""
    shown: str = ""
    end: str = ""


class World(Record):
    """`commands` gives names with what they do, `programs` those of the system; `value` may raise KeyError.

    `arguments` gives what may stand behind the words of a command, None if nothing is known of it. `evaluate` gives the
    value of a pipeline that has no effect, or raises FmshError. `fits` says whether a text is meant by what is typed.
    """

    commands: Callable[[], dict[str, str]]
    programs: Callable[[], Iterable[str]]
    signature: Callable[[str], Signature | None]
    arguments: Callable[[str, list[str], str], Offer | None]
    variables: Sequence[str]
    value: Callable[[str], Value]
    evaluate: Callable[[str], Value]
    environment: Callable[[], Mapping[str, str]]
    directory: str
    fits: Callable[[str, str], bool] = str.startswith


def starts_whatever_case(text: str, typed: str) -> bool:
    return text.lower().startswith(typed.lower())


def contains(text: str, typed: str) -> bool:
    return typed.lower() in text.lower()
