"""The help of commands, made from their signatures: one page for each, and the list of all."""

from __future__ import annotations

from fmsh.errors import UsageError
from fmsh.lang.arguments import help_text
from fmsh.lang.forms import FORMS
from fmsh.lang.keywords import KEYWORDS, help_of_keyword
from fmsh.lang.subjects import SUBJECTS, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.library import Library
    from fmsh.machine.signature import Signature

NAME_CELLS = 18
SUBJECT_CELLS = 11
STATEMENTS = "statements"


def help_of(name: str, library: Library) -> str:
    """Gives the page of a command, which may have two words, or of a subject, or without a name what there is.

    Raises: UsageError.
    """
    known = names(library)
    if not name:
        return overview({})
    if name in SUBJECTS:
        return "".join(_line(each, library) for each in SUBJECTS[name])
    if name == STATEMENTS:
        return "".join(f"{word:<{NAME_CELLS}} {KEYWORDS[word][1]}\n" for word in KEYWORDS)
    signature = find(name, library)
    family = [each for each in known if each.startswith(name + " ")]
    if signature is not None:
        return help_text(signature) + _example(name) + _family(family, library)
    if family:
        return "".join(_line(each, library) for each in family)
    if page := help_of_keyword(name):
        return page + _example(name)
    from difflib import get_close_matches

    near = get_close_matches(name, [*known, *KEYWORDS, *SUBJECTS, STATEMENTS], 1)
    hint = f"did you mean {near[0]}?" if near else "`help` lists them; a program of the system has a man page"
    raise UsageError(f"fmsh has no command {name}", hint=hint)


def overview(more: dict[str, str]) -> str:
    """Names all commands by what they are about; `more` are further subjects with their names."""
    return (
        "".join(f"{subject:<{SUBJECT_CELLS}}  {named}\n" for subject, named in (subjects() | more).items())
        + "\n`help NAME` says what a command does and takes, `help lists` a line about each of that subject.\n"
        "Everything else is a program of the system.\n"
    )


def subjects() -> dict[str, str]:
    """What the commands and statements are about, each with their names."""
    return {subject: shown(named) for subject, named in SUBJECTS.items()} | {STATEMENTS: " ".join(KEYWORDS)}


def find(name: str, library: Library) -> Signature | None:
    """The signature of a command of fmsh. One that computes goes before a form of its name, whose help is shorter."""
    found = library.find(name)
    form = FORMS.get(name)
    if found is None:
        return None if form is None else form.signature
    if form is None:
        return found.signature
    more = [each for each in form.signature.parameters if found.signature.flag_named(each.flag) is None]
    flags = tuple(each for each in more if each.kind == "flag")
    return found.signature.replace(parameters=(*found.signature.parameters, *flags))  # type: ignore[no-any-return]


def names(library: Library) -> list[str]:
    """The names of all commands of fmsh, in the order of the alphabet."""
    return sorted({*FORMS, *library.names()}, key=str.lower)


def first_line(name: str, library: Library) -> str:
    """What a command of fmsh does, in one sentence, which may go over lines."""
    signature = find(name, library)
    if signature is None:
        return ""
    text = " ".join(signature.help.partition("\n\n")[0].split("\n"))
    sentence, end, _rest = text.partition(". ")
    return sentence + end.rstrip()


def _example(name: str) -> str:
    from fmsh.lang.examples import EXAMPLES  # no program needs them

    example = EXAMPLES.get(name)
    return "" if example is None else "\nFor example:\n\n" + "".join(f"  {line}\n" for line in example.split("\n"))


def _family(family: list[str], library: Library) -> str:
    return "\n" + "".join(_line(each, library) for each in family) if family else ""


def _line(name: str, library: Library) -> str:
    return f"{name:<{NAME_CELLS}} {first_line(name, library)}".rstrip() + "\n"
