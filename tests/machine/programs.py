"""Random programs over the whole slice of the language, as trees that can be written as text and run by the model.

A node is a tuple `(kind, number, …)`; numbers are unique, so that every request and every printed line names its
place. Variables hold whole numbers unless said otherwise. Weights favour what is hard: nested concurrency in cleanup,
failures, and waits in every place where a cancel may find them.
"""

from __future__ import annotations

import random
from typing import Any

Node = tuple[Any, ...]
Body = list[Node]

BUDGET_MAX = 40  # statements in a program, so that a run stays short


class Sight:
    """What a statement may use where it stands."""

    def __init__(self) -> None:
        self.ints: list[str] = []
        self.own: list[str] = []  # the ints that may be assigned here
        self.tasks: list[str] = []
        self.callbacks: list[tuple[str, bool]] = []
        self.channels: list[str] = []
        self.sends_above = 0  # in a loop over a channel only into those made after it, so that nothing goes in circles
        self.functions: list[tuple[str, bool]] = []
        self.is_in_loop = False
        self.is_in_function = False
        self.may_emit = False
        self.depth = 0

    def inner(self, **changes: Any) -> Sight:
        made = Sight()
        made.__dict__.update(
            {name: list(value) if isinstance(value, list) else value for name, value in self.__dict__.items()}
        )
        made.__dict__.update(changes)
        made.depth = self.depth + 1
        return made

    def concurrent(self, **changes: Any) -> Sight:
        return self.inner(own=[], is_in_loop=False, is_in_function=True, may_emit=False, **changes)

    def cleanup(self) -> Sight:
        return self.inner(is_in_loop=False, is_in_function=False, may_emit=False)


class Maker:
    """Makes one program from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0
        self.left = self.random.randint(12, BUDGET_MAX)

    def number(self) -> int:
        self.count += 1
        return self.count

    def program(self) -> Body:
        sight = Sight()
        first = self.number()
        body: Body = [("let", first, 1)]
        sight.ints.append(f"v{first}")
        sight.own.append(f"v{first}")
        for _ in range(self.random.choice([0, 0, 1, 2, 2])):
            channel = self.number()
            body.append(("channel", channel, self.random.choice([1, 1, 2, 3])))
            sight.channels.append(f"q{channel}")
        for _ in range(self.random.choice([0, 0, 1, 2])):
            body.append(self.function(sight))
        body.append(self.make_post(sight))
        while self.left > 0 and len(body) < 14:
            body.append(self.statement(sight))
        body.append(("print", self.number(), None))
        return body

    def function(self, sight: Sight) -> Node:
        number, emits = self.number(), self.random.random() < 0.3
        inside = Sight()
        inside.ints = [f"v{number}"]
        inside.own = [f"v{number}"]
        inside.functions = list(sight.functions)
        inside.is_in_function = True
        inside.may_emit = emits
        inside.depth = 1
        body = self.body(inside)
        if emits:
            body.insert(self.random.randint(0, len(body)), ("emit", self.number(), f"v{number}"))
        sight.functions.append((f"f{number}", emits))
        return ("def", number, [*body, ("value", self.number(), f"v{number}")])

    def body(self, sight: Sight) -> Body:
        """Statements; at least one, unless the budget is spent."""
        made: Body = []
        before = self.left
        self.left = share = max(1, before // 2)  # so that the first body does not take all
        for _ in range(self.random.choice([1, 2, 2, 3, 4])):
            if self.left <= 0 and made:
                break
            made.append(self.statement(sight))
        self.left = before - (share - self.left)
        return made

    def valued(self, sight: Sight) -> Body:
        body = self.body(sight)
        return [*body, ("value", self.number(), self.pick(sight))]

    def pick(self, sight: Sight) -> str | int:
        if sight.ints and self.random.random() < 0.8:
            return self.random.choice(sight.ints)
        return self.random.randint(0, 5)

    def statement(self, sight: Sight) -> Node:
        self.left -= 1
        simple = sight.depth >= 5 or self.left <= 0
        table = _SIMPLE if simple else _ALL
        while True:
            kind = self.random.choices(table[0], table[1])[0]
            node = getattr(self, f"make_{kind}")(sight)
            if node is not None:
                made: Node = node
                return made

    # -- simple statements

    def make_print(self, sight: Sight) -> Node:
        return ("print", self.number(), self.random.choice(sight.ints) if sight.ints else None)

    def make_post(self, sight: Sight) -> Node:
        number = self.number()
        given = self.pick(sight)
        sight.ints.append(f"v{number}")
        sight.own.append(f"v{number}")
        return ("post", number, given)

    def make_run(self, sight: Sight) -> Node:
        return ("run", self.number(), self.pick(sight), self.random.random() < 0.5)

    def make_sleep(self, sight: Sight) -> Node:
        return ("sleep", self.number(), self.random.randint(1, 9))

    def make_set(self, sight: Sight) -> Node | None:
        return ("set", self.number(), self.random.choice(sight.own), self.pick(sight)) if sight.own else None

    def make_fail(self, sight: Sight) -> Node | None:
        if sight.depth < 2:
            return None
        failed = ("fail", self.number())
        if self.random.random() < 0.4:
            return failed
        return ("if", self.number(), self.condition(sight), [failed], [])

    def make_exit(self, sight: Sight) -> Node:
        return ("if", self.number(), self.condition(sight), [("exit", self.number(), self.random.choice([0, 3]))], [])

    def make_leave(self, sight: Sight) -> Node | None:
        """`break`, `continue` or `return`, under a condition more often than not."""
        options: Body = []
        if sight.is_in_loop:
            options += [("break", self.number()), ("continue", self.number())]
        if sight.is_in_function:
            options.append(("return", self.number(), self.pick(sight)))
        if not options:
            return None
        left = self.random.choice(options)
        if self.random.random() < 0.2:
            return left
        return ("if", self.number(), self.condition(sight), [left], [])

    def make_emit(self, sight: Sight) -> Node | None:
        return ("emit", self.number(), self.pick(sight)) if sight.may_emit else None

    def make_callback(self, sight: Sight) -> Node:
        number, is_many = self.number(), self.random.random() < 0.3
        sight.callbacks.append((f"h{number}", is_many))
        return ("callback", number, is_many)

    def make_await(self, sight: Sight) -> Node | None:
        names = [name for name, _ in sight.callbacks] + sight.tasks * 2 + sight.channels * 2
        if not names:
            return None
        count = 2 if len(names) > 1 and self.random.random() < 0.2 else 1
        chosen = self.random.sample(names, count) if count > 1 else [self.random.choice(names)]
        timeout = self.random.random() < 0.4
        return ("await", self.number(), chosen, timeout)

    def make_send(self, sight: Sight) -> Node | None:
        allowed = [name for name in sight.channels if int(name[1:]) > sight.sends_above]
        if not allowed:
            return None
        return ("send", self.number(), self.random.choice(allowed), self.pick(sight))

    def make_close(self, sight: Sight) -> Node | None:
        return ("close", self.number(), self.random.choice(sight.channels)) if sight.channels else None

    def make_call(self, sight: Sight) -> Node | None:
        if not sight.functions:
            return None
        name, _ = self.random.choice(sight.functions)
        return ("call", self.number(), name, self.pick(sight))

    def condition(self, sight: Sight) -> Node:
        kind = self.random.choice(["compare", "compare", "check", "asked"])
        if kind == "compare":
            return ("compare", self.number(), self.pick(sight), self.random.randint(0, 4))
        return (kind, self.number(), self.pick(sight))

    # -- what has bodies

    def make_if(self, sight: Sight) -> Node:
        otherwise = self.body(sight.inner()) if self.random.random() < 0.4 else []
        return ("if", self.number(), self.condition(sight), self.body(sight.inner()), otherwise)

    def make_for(self, sight: Sight) -> Node:
        number = self.number()
        inside = sight.inner(is_in_loop=True)
        inside.ints.append(f"v{number}")
        return ("for", number, self.random.randint(0, 3), self.body(inside))

    def make_take(self, sight: Sight) -> Node | None:
        """A loop over a channel."""
        if not sight.channels:
            return None
        number = self.number()
        name = self.random.choice(sight.channels)
        inside = sight.inner(is_in_loop=True, sends_above=max(sight.sends_above, int(name[1:])))
        inside.ints.append(f"v{number}")
        return ("take", number, name, self.body(inside))

    def make_read(self, sight: Sight) -> Node:
        """A loop over a stream."""
        number = self.number()
        inside = sight.inner(is_in_loop=True)
        inside.ints.append(f"v{number}")
        return ("read", number, self.body(inside))

    def make_while(self, sight: Sight) -> Node:
        number = self.number()
        return ("while", number, self.random.randint(1, 3), self.body(sight.inner(is_in_loop=True)))

    def make_try(self, sight: Sight) -> Node:
        number = self.number()
        has_catch = self.random.random() < 0.75
        catch = self.body(sight.inner()) if has_catch else None
        has_finally = not has_catch or self.random.random() < 0.4
        finally_ = self.body(sight.inner()) if has_finally else None
        return ("try", number, self.body(sight.inner()), catch, finally_)

    def make_undo(self, sight: Sight) -> Node:
        return ("undo", self.number(), self.body(sight.cleanup()))

    def make_defer(self, sight: Sight) -> Node:
        return ("defer", self.number(), self.body(sight.cleanup()))

    def make_or(self, sight: Sight) -> Node:
        return ("or", self.number(), self.body(sight.inner()), self.body(sight.inner()))

    def make_and(self, sight: Sight) -> Node:
        return ("and", self.number(), self.body(sight.inner()), self.body(sight.inner()))

    def make_spawn(self, sight: Sight) -> Node:
        number = self.number()
        node = ("spawn", number, self.valued(sight.concurrent()))
        sight.tasks.append(f"t{number}")
        return node

    def make_each(self, sight: Sight) -> Node:
        number = self.number()
        inside = sight.concurrent()
        inside.ints.append(f"v{number}")
        return ("each", number, self.random.randint(1, 4), self.random.randint(1, 3), self.valued(inside))

    def make_race(self, sight: Sight) -> Node:
        count = self.random.choice([1, 2, 2, 3])
        return ("race", self.number(), [self.valued(sight.concurrent()) for _ in range(count)])

    def make_turns(self, sight: Sight) -> Node:
        number = self.number()
        inside = sight.inner(is_in_loop=True, is_in_function=True, may_emit=False)
        inside.ints.append(f"v{number}")
        return ("turns", number, self.random.randint(0, 3), self.valued(inside))

    def make_within(self, sight: Sight) -> Node:
        return ("within", self.number(), self.random.randint(1, 20), self.valued(sight.inner()))

    def make_result(self, sight: Sight) -> Node:
        return ("result", self.number(), self.valued(sight.inner()))

    def make_once(self, sight: Sight) -> Node:
        return ("once", self.number(), self.valued(sight.inner()))

    def make_block(self, sight: Sight) -> Node:
        number = self.number()
        inside = sight.inner(is_in_loop=False, is_in_function=True, may_emit=False)
        inside.ints.append(f"v{number}")
        return ("block", number, self.pick(sight), self.valued(inside))


_SIMPLE_WEIGHTS = {
    "print": 2, "post": 6, "run": 3, "sleep": 3, "set": 2, "fail": 3, "exit": 0.5, "leave": 2, "emit": 2,
    "callback": 1, "await": 3, "call": 2, "send": 5, "close": 0.5,
}  # fmt: skip
_NESTED_WEIGHTS = {
    "if": 2, "for": 2, "take": 3, "read": 3, "while": 1, "try": 5, "undo": 4, "defer": 4, "or": 2, "and": 1,
    "spawn": 5, "each": 4, "race": 4, "turns": 1, "within": 4, "result": 2, "once": 1, "block": 1,
}  # fmt: skip
_SIMPLE = (list(_SIMPLE_WEIGHTS), list(_SIMPLE_WEIGHTS.values()))
_ALL = ([*_SIMPLE_WEIGHTS, *_NESTED_WEIGHTS], [*_SIMPLE_WEIGHTS.values(), *_NESTED_WEIGHTS.values()])


def make(seed: int) -> Body:
    """Makes the tree of a program."""
    return Maker(seed).program()


# ---- As text


def text(body: Body) -> str:
    """Writes a program in the language."""
    return "\n".join(_lines(body, 0)) + "\n"


def _operand(given: str | int) -> str:
    return f"${given}" if isinstance(given, str) else str(given)


def _condition(node: Node) -> str:
    kind, number, *rest = node
    if kind == "compare":
        return f"{_operand(rest[0])} > {rest[1]}"
    if kind == "check":
        return f"^check {number} {_operand(rest[0])}"
    return f"(POST http://world/{number} {{x: {_operand(rest[0])}}}) > 2"


def _lines(body: Body, depth: int) -> list[str]:
    pad = "  " * depth
    made: list[str] = []
    for node in body:
        made += [pad + line for line in _statement(node)]
    return made


def _block(head: str, body: Body, tail: str = "}") -> list[str]:
    return [head + " {", *_lines(body, 1), tail]


def _statement(node: Node) -> list[str]:
    kind, number, *rest = node
    if kind in _WRITE:
        return [_WRITE[kind](number, *rest)]
    return _NESTED[kind](number, *rest)  # type: ignore[no-any-return]


def _if(number: int, condition: Node, then: Body, otherwise: Body) -> list[str]:
    made = _block(f"if {_condition(condition)}", then)
    return [*made[:-1], *_block("} else", otherwise)] if otherwise else made


def _try(number: int, body: Body, catch: Body | None, finally_: Body | None) -> list[str]:
    made = _block("try", body)
    if catch is not None:
        made[-1:] = [f"}} catch e{number} {{", f'  print "caught {number} $e{number}.kind"', *_lines(catch, 1), "}"]
    if finally_ is not None:
        made[-1:] = ["} finally {", f'  print "finally {number}"', *_lines(finally_, 1), "}"]
    return made


def _joined(operator: str) -> Any:
    def write(number: int, left: Body, right: Body) -> list[str]:
        made = _block("", left, f"}} {operator} {{")
        return [made[0].strip(), *made[1:], *_lines(right, 1), "}"]

    return write


def _cleanup(kind: str) -> Any:
    def write(number: int, body: Body) -> list[str]:
        return [*_block(kind, [("print", f"{kind} {number}", None), *body]), f'print "{kind} {number} is set"']

    return write


def _while(number: int, turns: int, body: Body) -> list[str]:
    return [
        f"let w{number} = {turns}",
        f"let n{number} = {{left: $w{number}}}",
        *_block(f"while $n{number}.left > 0", [("raw", f"$n{number}.left -= 1"), *body]),
    ]


def _captured(head: str) -> Any:
    def write(number: int, *rest: Any) -> list[str]:
        *before, body = rest
        return [
            *_block(head.format(number, *map(_argument, before)), body, _TAILS.get(head, "}")),
            f'print "{number} $v{number}"',
        ]

    return write


def _argument(value: Any) -> Any:
    return _operand(value) if isinstance(value, str) else value


_WRITE: dict[str, Any] = {
    "let": lambda n, value: f"let v{n} = {value}",
    "raw": lambda line: line,
    "print": lambda n, name: f'print "{n}"' if name is None else f'print "{n} ${name}"',
    "value": lambda n, given: _operand(given),
    "post": lambda n, given: f"let v{n} = POST http://world/{n} {{x: {_operand(given)}}}",
    "run": lambda n, given, captured: (
        f'let r{n} = ^go {n} {_operand(given)}; print "{n} $r{n}"' if captured else f"^go {n} {_operand(given)}"
    ),
    "sleep": lambda n, seconds: f"sleep {seconds}s",
    "set": lambda n, name, given: f"${name} = {_operand(given)}",
    "fail": lambda n: f"fail {{kind: f{n}, message: made}}",
    "exit": lambda n, status: f"exit {status}",
    "break": lambda n: "break",
    "continue": lambda n: "continue",
    "return": lambda n, given: f"return {_operand(given)}",
    "emit": lambda n, given: f"emit {_operand(given)}",
    "callback": lambda n, many: f"let h{n} = callback{' --many' if many else ''}",
    "await": lambda n, names, timeout: (
        f'let a{n} = await {_handles(names)}{" --timeout 7s" if timeout else ""}; print "{n} $a{n}"'
    ),
    "channel": lambda n, capacity: f"let q{n} = channel {capacity}",
    "send": lambda n, name, given: f'send ${name} {_operand(given)}; print "{n} sent"',
    "close": lambda n, name: f"close ${name}",
    "call": lambda n, name, given: f'let a{n} = {name} {_operand(given)}; print "{n} $a{n}"',
}


def _handles(names: list[str]) -> str:
    return f"${names[0]}" if len(names) == 1 else "[" + ", ".join(f"${name}" for name in names) + "]"


_EACH = "let v{0} = range 1 {1} | each --parallel {2}"
_TURNS = "let v{0} = range 1 {1} | each"
_RESULT = "let v{0} = (result"
_BLOCK = "let b{0} ="
_TAILS = {_RESULT: "}).ok"}


def _block_value(number: int, given: Any, body: Body) -> list[str]:
    return [
        f"let b{number} = {{ |v{number}|",
        *_lines(body, 1),
        "}",
        f"let c{number} = call $b{number} {_operand(given)}",
        f'print "{number} $c{number}"',
    ]


def _spawn(number: int, body: Body) -> list[str]:
    return _block(f"let t{number} = spawn", body)


def _each(number: int, items: int, limit: int, body: Body) -> list[str]:
    head = f"let e{number} = range 1 {items} | each --parallel {limit} {{ |v{number}|"
    return [head, *_lines(body, 1), "}", f'print "{number} $e{number}"']


def _race(number: int, bodies: list[Body]) -> list[str]:
    made = [f"let e{number} = race {{"]
    for body in bodies:
        made += [*_lines(body, 1), "} {"]
    return [*made[:-1], "}", f'print "{number} $e{number}"']


def _turns(number: int, items: int, body: Body) -> list[str]:
    head = f"let e{number} = range 1 {items} | each {{ |v{number}|"
    return [head, *_lines(body, 1), "}", f'print "{number} $e{number}"']


def _function(number: int, body: Body) -> list[str]:
    return _block(f"def f{number}(v{number})", body)


_NESTED: dict[str, Any] = {
    "if": _if,
    "try": _try,
    "take": lambda n, name, body: _block(f"for v{n} in ${name}", [("print", n, f"v{n}"), *body]),
    "read": lambda n, body: _block(f"for v{n} in ^feed {n} 0", [("print", n, f"v{n}"), *body]),
    "for": lambda n, count, body: _block(f"for v{n} in range 1 {count}", body),
    "while": _while,
    "undo": _cleanup("undo"),
    "defer": _cleanup("defer"),
    "or": _joined("||"),
    "and": _joined("&&"),
    "spawn": _spawn,
    "each": _each,
    "race": _race,
    "turns": _turns,
    "within": lambda n, seconds, body: [*_block(f"let e{n} = within {seconds}s", body), f'print "{n} $e{n}"'],
    "result": lambda n, body: [*_block(f"let e{n} = result", body), f'print "{n} $e{n}.ok"'],
    "once": lambda n, body: [*_block(f"let e{n} = once", body), f'print "{n} $e{n}"'],
    "block": _block_value,
    "def": _function,
}
