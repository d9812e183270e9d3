"""The programs that simulated jobs run: random ones of the machine's tests, and some by hand for what those lack."""

from __future__ import annotations

from functools import lru_cache

from fmsh.assembly import make_program
from fmsh.machine.code import Program
from fmsh.spans import Source
from fmsh.store.base import NewProgram
from tests.machine import programs

SHARED_BY = 8  # jobs that share one random program, so that compiling it is paid once
SEQUENTIAL = {
    "let", "raw", "print", "value", "post", "run", "sleep", "set", "fail", "exit", "break", "continue", "return",
    "emit", "call", "if", "for", "while", "try", "undo", "defer", "or", "and", "turns", "result", "once", "block",
    "def", "compare", "check", "asked", "read",
}  # fmt: skip

TEXTS = {
    "steps": """
        let a = POST http://world/1 {x: 1}
        let b = ^go 2 7
        for i in 1..4 { let c = POST http://world/3 {x: $i}; print "$i $c" }
        sleep 20s
        print "$a $b"
        $a + 1
    """,
    "once": """
        let a = once { POST http://world/1 {x: 1} }
        let b = once { ^go 2 7 }
        let c = result { once { POST http://world/3 {x: 3} } }
        print "$a $b $c.ok"
    """,
    "undo": """
        undo { ^go 1 1 }
        let a = POST http://world/2 {x: 1}
        try {
          undo { POST http://world/3 {x: 1}; print undone }
          defer { ^go 4 1 }
          POST http://world/5 {x: 1}
          sleep 2s
          fail "on purpose"
        } catch e { print $e.message }
        ^go 6 1
    """,
    "computing": """
        let a = POST http://world/1 {x: 1}
        let w = result { within 2s { while true { let n = 1 } } }
        print "$w.ok"
        let xs = result {
          range 1 3 | each --parallel 3 { |n|
            if $n == 2 { while true { let m = 1 } }
            let b = POST http://world/2 {x: $n}
            sleep 1s
            if $n == 3 { fail "enough" }
            $b
          }
        }
        print $xs.ok
        ^go 3 1
    """,
    "streams": """
        for x in GET http://world/feed --stream { ^go 7 $x; let a = POST http://world/8 {x: $x}; print "$x $a" }
        for x in ^feed 1 1 { let a = POST http://world/2 {x: $x}; print "$x $a" }
        ^numbers 3 1 | skip 1 | enumerate | each { |x|
          let b = POST http://world/4 {x: $x.item}
          print "$x.index $b"
        }
        for x in ^numbers 5 1 | chunk 2 | first 2 { sleep 1s; print $x }
        print (^numbers 6 1 | where { $it > 1 } | sum)
        GET http://world/9 --stream | enumerate | chunk 2 | first 2 | each { |x| sleep 1s; print $x }
        print (GET http://world/10 --stream | where { $it > 1 } | count)
        print (^numbers 11 1 | each --parallel 2 { |x| let c = POST http://world/12 {x: $x}; 1 } | sum)
    """,
    "detached": """
        def f(n) { let a = POST http://world/1 {x: $n}; sleep 2s; let b = ^go 2 $n; "$n $a $b" }
        def g(n) { ^go 3 $n; f $n }
        let first = f 1 &
        let second = g 2 &
        let a = result { await $first }
        let b = result { await $second }
        print "$a.value $b.value"
    """,
    "branches": """
        let xs = range 1 6 | each --parallel 3 { |n|
          undo { ^go 1 $n }; let a = POST http://world/2 {x: $n}; sleep 1s; $a
        }
        print $xs
        let w = result { within 3s { ^go 3 1; ^go 3 2; POST http://world/4 {x: 1} } }
        print $w.ok
    """,
    "waits": """
        let h = callback
        let m = callback --many
        let t = spawn { await $h }
        print (await $m)
        print (await $m)
        let r = result { await $t --timeout 40s }
        print $r.ok
    """,
}  # fmt: skip
LOCKS = """
    def f(n) {
      lock deploy {
        undo { POST http://world/undone {x: $n} }
        let a = POST http://world/lock {x: $n}
        sleep 1s
        ^go 2 $n
        let b = POST http://world/lock {x: "$n again"}
      }
      limit place --concurrency 2 { let c = POST http://world/place {x: $n}; sleep 2s; ^go 3 $n }
      let r = result { lock deploy --timeout 2s { POST http://world/lock {x: $n} } }
      limit pace --rate 1/s { ^go 4 $n }
      let t = result { lock deploy { lock "other $n" { POST http://world/lock {x: $n} } } }
      "$n $r.ok $t.ok"
    }
    let first = f 1 &
    let second = f 2 &
    let own = result { parallel { f 3 } { f 4 } }
    let a = result { await $first }
    let b = result { await $second }
    print "$a.value $b.value $own.value"
"""
PERFORMS = """
    undo { perform world remove {x: 1} }
    let a = perform world add {x: 1}
    let b = result { once { perform world add {x: 2} } }
    let c = result { range 1 4 | each --parallel 2 { |n| let d = perform world add {x: $n}; ^go 3 $n; $d } }
    let e = result { within 1s { perform world add {x: 5} } }
    print "$a $b.ok $c.ok $e.ok"
    perform world add {x: 6}
"""
APART = {7: ("locks", LOCKS), 13: ("performs", PERFORMS)}  # of 20 jobs, beside those of `TEXTS`
UNTIMED = ("steps", "undo", "detached", "streams")  # which show the same in every order, if their requests end the same


class Chosen:
    """A program for a job. `body` is its tree, which the model can run; None for one by hand."""

    def __init__(self, name: str, body: programs.Body | None, stored: NewProgram, program: Program) -> None:
        self.name = name
        self.body = body
        self.stored = stored
        self.program = program

    @property
    def is_untimed(self) -> bool:
        """Whether what it does depends on how its requests end, and on nothing else."""
        return self.name in UNTIMED if self.body is None else set(_kinds(self.body)) <= SEQUENTIAL


@lru_cache(maxsize=4)
def random_program(number: int) -> Chosen:
    body = programs.make(number)
    return Chosen(f"program {number}", body, *make_program(Source("random.fmsh", programs.text(body))))


@lru_cache(maxsize=len(TEXTS) + len(APART))
def by_hand(name: str) -> Chosen:
    texts = TEXTS | dict(APART.values())
    return Chosen(name, None, *make_program(Source(f"{name}.fmsh", texts[name])))


def choose(number: int) -> Chosen:
    """The program of a job's seed."""
    if number % 20 in APART:
        return by_hand(APART[number % 20][0])
    if number % 5 == 0:
        return by_hand(sorted(TEXTS)[number // 5 % len(TEXTS)])
    return random_program(number // SHARED_BY)


def _kinds(node: object) -> set[str]:
    if isinstance(node, tuple) and node and isinstance(node[0], str) and len(node) > 1 and isinstance(node[1], int):
        found = {node[0]}
        for part in node[2:]:
            found |= _kinds(part)
        return found
    if isinstance(node, list):
        return {kind for part in node for kind in _kinds(part)}
    return set()
