"""Completion of `fmsh` in other shells: what may stand behind its words, as `completions/fmsh.fmsh` says it.

The first line says which paths may stand there, too: files, directories or nothing. The others are texts, each with
what it means behind a tab.
"""

from __future__ import annotations

import os

from fmsh.errors import FmshError
from fmsh.machine.facts import Facts
from fmsh.shell import outputs
from fmsh.shell.described import NOTHING, Described, Offer
from fmsh.shell.knowledge import BUDGET, OWN_COMPLETIONS
from fmsh.shell.outputs import NotYet, Outputs
from fmsh.shell.pure import evaluate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.code import Program
    from fmsh.values import Value

PROGRAMS_MAX = 8


def page(words: list[str]) -> str:
    """What may stand in the place of the last of the words behind `fmsh`. Nobody is there to be told of an error."""
    *before, word = words or [""]
    spelling, equals, _ = word.partition("=")
    head = spelling + equals if word.startswith("-") and equals else ""
    try:
        offer = _offer([*before, head] if head else before, word.removeprefix(head))
    except FmshError:
        offer = Offer({})
    fitting = [(head + text, about) for text, about in offer.texts.items() if (head + text).startswith(word)]
    return "".join(f"{line}\n" for line in [offer.paths, *(f"{text}\t{about}".rstrip() for text, about in fitting)])


def _offer(words: list[str], word: str) -> Offer:
    described, written = Described([OWN_COMPLETIONS]), Outputs()

    def value(program: Program, variables: dict[str, Value]) -> Value:
        facts = Facts(0, None, None, [], os.getcwd(), "UTC", variables)
        return evaluate(program, facts, os.environ, answer=written.answer, budget=BUDGET)

    for _ in range(PROGRAMS_MAX):
        try:
            return described.offer("fmsh", words, word, value) or Offer({}, NOTHING)
        except NotYet as asks:
            written.know(asks.wanted, *outputs.run(asks.wanted))
    return Offer({})
