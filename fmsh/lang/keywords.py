"""The help of statements and of what is written between commands, which are no commands and have no signature."""

from __future__ import annotations

# What is asked for: how it is written, and what it does.
KEYWORDS: dict[str, tuple[str, str]] = {
    "let": (
        "let NAME = PIPELINE",
        "Declares a variable; `let {id, name: n} = $record` several.",
    ),
    "if": ("if CONDITION { … } else if CONDITION { … } else { … }", "A bool decides, or the status of a program."),
    "while": ("while CONDITION { … }", "Repeats while a bool is true, or a program ends with 0."),
    "for": ("for NAME in SOURCE { … }", "Goes over a list, a range, a record (`for k, v in`), a channel or lines."),
    "match": ("match VALUE { PATTERN => { … }  _ => { … } }", "Takes the first arm whose pattern fits."),
    "try": ("try { … } catch NAME { … } finally { … }", "Catches what fails; `finally` runs in any case."),
    "defer": ("defer { … }", "Runs at the end of its block, whatever happens, last first."),
    "undo": (
        "undo { … }",
        "Runs when a failure, a cancel or an exit that is not 0 unwinds its block. Put it before what it undoes.",
    ),
    "def": (
        "def NAME(PARAMETER: TYPE = DEFAULT, ...REST, --FLAG) { … }",
        "Defines a function. The comment above it is its help.",
    ),
    "param": ("param NAME: TYPE = DEFAULT", "Declares an argument of the script; `param --name (-n)` is a flag."),
    "return": ("return PIPELINE", "Ends a function, or the script, with a value."),
    "break": ("break", "Leaves the innermost loop."),
    "continue": ("continue", "Goes on with the next turn of the innermost loop."),
    "export": ("export NAME=VALUE", "Sets a variable of the environment; `$env.NAME` reads it."),
    "unset": ("unset NAME", "Removes a variable of the environment."),
    "alias": ("alias NAME = COMMAND", "Lets a name stand for a command with arguments."),
    "use": ("use ./FILE.fmsh", "Makes the functions of a file available as `FILE NAME`, with `*` without the prefix."),
    "&&": ("COMMAND && COMMAND", "Runs the second if the first did not fail."),
    "||": ("COMMAND || COMMAND", "Runs the second if the first failed, with its error as `$error`."),
    "!": ("! COMMAND", "Fails where the command succeeds, and the other way round. Before an expression write `not`."),
    "&": ("COMMAND &", "Starts a job of its own, which nobody waits for, and gives its handle."),
}
KEYWORDS |= {"else": KEYWORDS["if"], "catch": KEYWORDS["try"], "finally": KEYWORDS["try"]}


def help_of_keyword(name: str) -> str:
    """The page of a statement; "" if there is none of that name."""
    if name not in KEYWORDS:
        return ""
    usage, sentence = KEYWORDS[name]
    return f"usage: {usage}\n\n{sentence}\n"
