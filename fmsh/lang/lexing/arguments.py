"""Modes of a command's arguments, and the redirections among them."""

from __future__ import annotations

from fmsh.lang.lexing import hints, numbers, operands, records, words
from fmsh.lang.lexing.frames import ARGUMENT_PATH, ARGUMENTS, BODY, ENVIRONMENT, OPERAND, STATEMENT, Pending
from fmsh.lang.lexing.marks import LITERALS, punctuation
from fmsh.lang.tokens import COMMAND_CHARS, DIGITS, NAME_CHARS, NAME_START, Token, name_end
from fmsh.values import Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.lang.lexer import Lexer

METHODS = frozenset(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
LONE_OPERATORS = frozenset(["==", "!=", "<=", ">=", "=~", "!~", "and", "or", "not", "in", "+", "-", "*", "/", "??"])


def argument(lexer: Lexer) -> None:
    """Mode ARGUMENTS."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, begin = lexer.text, lexer.pos
    c = text[begin]
    handler = _ARGUMENTS.get(c)
    if handler is not None and handler(lexer):
        return
    if (c == "]" and lexer.frame.close != "]") or not punctuation(lexer):
        _argument_word(lexer)


def _argument_word(lexer: Lexer) -> None:
    frame, begin = lexer.frame, lexer.pos
    if _lone_operator(lexer) or literal(lexer):
        return
    frame.arguments += 1
    is_url, frame.takes_url = frame.takes_url, False
    if frame.command == "get" and frame.arguments == 1 and words.begins_with_scheme(lexer.text, begin):
        message, hint = hints.LOWER_CASE_GET
        end = lexer.word_limit(begin)
        lexer.report(begin, end, message, hint.format(url=lexer.text[begin:end]))
    words.begin(lexer, "argument", is_url=is_url)


def _word_text(lexer: Lexer) -> str:
    """Gives the text up to the next white space or bracket that does not belong to it."""
    text, end = lexer.text, lexer.pos
    while not lexer.is_word_end(end):
        end += 1
    return text[lexer.pos : end]


def _lone_operator(lexer: Lexer) -> bool:
    frame = lexer.frame
    if lexer.text[lexer.pos] not in _OPERATOR_STARTS:
        return False
    word = _word_text(lexer)
    if word in ("=", "+=", "-=", "*=", "/=") and frame.arguments == 0 and frame.command.isidentifier():
        message, hint = hints.SPACED_ASSIGNMENT
        lexer.report(
            lexer.pos, lexer.pos + len(word), message.format(name=frame.command), hint.format(name=frame.command)
        )
        return False
    if word == "=" and lexer.text.startswith("=>", lexer.pos) and frame.kind == "match":
        lexer.emit("ARROW", lexer.pos, lexer.pos + 2)
        frame.mode, frame.in_condition = BODY, False
        return True
    if not frame.in_condition or word not in LONE_OPERATORS or frame.command == "str":
        return False
    lexer.report(
        lexer.pos,
        lexer.pos + len(word),
        f"`{word}` as an argument of a command in a condition",
        f"put the command in ( ): `({frame.command or 'cmd'} …) {word} …`; quote it if it is text",
    )
    return False


_OPERATOR_STARTS = frozenset("=!<>+-*/?aoni")


def literal(lexer: Lexer) -> bool:
    """Takes an argument that is wholly a number, duration, size, date, or null, true, false."""
    text, begin = lexer.text, lexer.pos
    c = text[begin]
    if c in "tfn":
        end = name_end(text, begin)
        if text[begin:end] not in LITERALS or not lexer.is_word_end(end):
            return False
        lexer.emit("LIT", begin, end, LITERALS[text[begin:end]])
    else:
        first = begin + (c == "-")
        if text[first : first + 1] not in DIGITS:
            return False
        end = numbers.run_end(text, first)
        value = numbers.read_run(text[first:end]) if lexer.is_word_end(end) else numbers.NOT_A_NUMBER
        if value is numbers.NOT_A_NUMBER or value == operands.INFINITY:
            return False
        if first > begin and type(value) not in (int, float, Duration):
            return False
        lexer.emit("LIT", begin, end, operands.negated(value) if first > begin else value)
    lexer.frame.arguments += 1
    return True


def _argument_brace(lexer: Lexer) -> bool:
    lexer.frame.arguments += 1
    is_word = lexer.text.startswith("{}", lexer.pos) and lexer.text[lexer.pos + 2 : lexer.pos + 3] in _AFTER_BRACES
    if not lexer.frame.in_condition and (is_word or records.is_brace_list(lexer)):
        words.begin(lexer, "argument")
        return True
    records.open_brace(lexer, ARGUMENTS)
    return True


_AFTER_BRACES = frozenset("./-_,:=+@%") | NAME_CHARS  # `find -exec cp {} {}.bak \\;`


def _argument_parenthesis(lexer: Lexer) -> bool:
    lexer.frame.arguments += 1
    lexer.frame.takes_url = False
    lexer.open("paren", "LPAR", ")", STATEMENT, ARGUMENT_PATH)
    return True


def _argument_bracket(lexer: Lexer) -> bool:
    """A list, unless text follows its `]` directly, as in `[ab]*.txt`, or an address is taken here.

    `[a, b][0]` is an item of a list: no set of characters needs a comma.
    """
    if lexer.frame.takes_url:
        return False
    text, pos, depth = lexer.text, lexer.pos, 0
    limit = lexer.word_limit(pos)
    for at in range(pos, limit):
        if text[at] in "\"'$,{(" or (text[at] == "[" and depth):
            break
        depth += (text[at] == "[") - (text[at] == "]")
        if depth == 0:
            if at + 1 < limit and text[at + 1] not in ("]", ",") and not lexer.is_word_end(at + 1):
                return False
            break
    lexer.frame.arguments += 1
    lexer.open("list", "LSQB", "]", OPERAND, ARGUMENT_PATH)
    return True


def _argument_angle(lexer: Lexer) -> bool:
    if lexer.text.startswith(("<(", ">("), lexer.pos):
        process_substitution(lexer)
        return True
    if lexer.frame.in_condition and _lone_operator(lexer):
        return True
    return redirect(lexer)


def _argument_digit(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    if text[begin + 1 : begin + 2] not in ("<", ">"):
        return False
    if text[begin] in "12":
        return redirect(lexer)
    lexer.report(
        begin, begin + 2, "only standard output and standard error (1 and 2) can be redirected", "write `2> FILE`"
    )
    lexer.pos += 1
    return redirect(lexer)


def _argument_minus(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    before = lexer.frame.out[-1:]
    if before and before[0].type == "FLAGEQ" and before[0].end == begin:
        return False  # the value of a flag, as in `--sort=-date`
    dashes = 2 if text.startswith("--", begin) else 1
    if text[begin + dashes : begin + dashes + 1] not in NAME_START:
        return False
    end = name_end(text, begin + dashes, COMMAND_CHARS)
    name = text[begin:end]
    message_and_hint = hints.FIRST_ARGUMENTS.get((lexer.frame.command, name)) if lexer.frame.arguments == 0 else None
    if message_and_hint is not None:
        lexer.report(begin, end, *message_and_hint)
    if lexer.is_word_end(end):
        lexer.emit("FLAG", begin, end, name)
    elif text[end] == "=" and dashes == 2:
        lexer.emit("FLAGEQ", begin, end + 1, name)
        if lexer.is_word_end(end + 1) and text[end + 1 : end + 2] not in ("(", "{"):
            lexer.emit("WORD", end + 1, end + 1, "")
    else:
        return False
    return True


def spread(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    starts = ("$", "(", "[", "{") if lexer.frame.mode == ENVIRONMENT else ("$", "(", "[")
    if not text.startswith("...", begin) or text[begin + 3 : begin + 4] not in starts:
        return False
    lexer.emit("SPREAD", begin, begin + 3)
    return True


def _argument_ampersand(lexer: Lexer) -> bool:
    return lexer.text.startswith("&>", lexer.pos) and redirect(lexer)


def _argument_at(lexer: Lexer) -> bool:
    if not lexer.text.startswith("@(", lexer.pos):
        return False
    lexer.report(lexer.pos, lexer.pos + 2, *hints.AT_PAREN)
    lexer.pos += 1
    return True


_ARGUMENTS: Mapping[str, Callable[[Lexer], bool]] = dict.fromkeys("0123456789", _argument_digit) | {
    "{": _argument_brace,
    "(": _argument_parenthesis,
    "[": _argument_bracket,
    "<": _argument_angle,
    ">": _argument_angle,
    "-": _argument_minus,
    ".": spread,
    "@": _argument_at,
    "&": _argument_ampersand,
}


def word_done(lexer: Lexer, pending: Pending, token: Token) -> None:
    """Puts out a finished word, with the mark of what it begins."""
    out, frame = pending.out, lexer.frame
    if token.start == token.end and pending.role != "environment":
        if lexer.pos < lexer.size:
            lexer.unexpected()
        return
    frame.is_soft = pending.role == "environment"
    if pending.role == "head":
        _head_done(lexer, token)
    elif frame.command == "http" and frame.arguments == 1 and pending.role == "argument":
        frame.takes_url = True
    out.append(token)


def _head_done(lexer: Lexer, token: Token) -> None:
    frame = lexer.frame
    is_forced = lexer.last is not None and lexer.last.type == "CARET"
    if any(part.type in ("GLOB", "BRACES") for part in token.parts or ()) and not is_forced:
        frame.out.append(Token("PATHS", token.start, token.start))
        frame.begin_command("")
        return
    if not is_forced:
        frame.out.append(Token("COMMAND", token.start, token.start))
    frame.begin_command(token.value if token.type == "WORD" and not is_forced else "")
    frame.takes_url = frame.command in METHODS


# ---- Redirections


def redirect(lexer: Lexer) -> bool:
    """Takes a redirection's operator; its target is read as an argument."""
    text, begin = lexer.text, lexer.pos
    for operator in _REDIRECTIONS:
        if text.startswith(operator, begin):
            break
    end = begin + len(operator)
    if operator in ("2>&1", ">&2", "1>&2"):
        lexer.emit("REDIRDUP", begin, end, operator.removeprefix("1"))
        return True
    lexer.emit("REDIR", begin, end, operator.removeprefix("1"))
    if operator == "<<":
        from fmsh.lang.lexing import heredocs

        heredocs.begin(lexer)
    elif lexer.text[end : end + 1] == "&":
        lexer.report(begin, end + 1, f"`{operator}&` goes to 1 or 2 only: `2>&1`, `>&2`")
        lexer.pos = end + 1
    else:
        _check_target(lexer, operator)
    return True


_REDIRECTIONS = (
    "2>&1",
    "1>&2",
    ">&2",
    "&>>",
    "&>",
    "2>>",
    "2>",
    "1>>",
    "1>",
    ">>",
    ">",
    "<<<",
    "<<",
    "<",
    "2",
    "1",
    "0",
)


def _check_target(lexer: Lexer, operator: str) -> None:
    target = lexer.pos
    while lexer.text[target : target + 1] in (" ", "\t"):
        target += 1
    if lexer.text[target : target + 1] in DIGITS and operator != "<<<":
        end = numbers.run_end(lexer.text, target)
        if lexer.is_word_end(end):
            hint = "to compare, put the left side in ( ); to write to a file of that name, quote it"
            if lexer.frame.command in ("where", "any", "all", "take-while"):
                hint = f"what is compared stands in braces: `{lexer.frame.command} {{ $it {operator} … }}`"
            lexer.report(target, end, f"`{operator}` to a number", hint)


def process_substitution(lexer: Lexer) -> None:
    form = f"{lexer.text[lexer.pos]}( )"
    message, hint = hints.PROCESS_SUBSTITUTION
    lexer.report(lexer.pos, lexer.pos + 2, message.format(form=form), hint)
    lexer.pos += 1
    lexer.open("paren", "LPAR", ")", STATEMENT, ARGUMENTS)
