"""The jobs of a golden store, and how each that has not ended there is brought to its end.

Nothing in a program may depend on the machine: it runs in `/`, and what it does goes by the clock. Up to one moment
while the store is made its timers and processes wait, and after it they end at once; so they do when it is loaded.
"""

from __future__ import annotations

from fmsh.record import Record

UNTIL = "@UNTIL@"  # that moment, in seconds since 1970
LEFT = "@LEFT@"  # how long it is until then
GO = "/tmp/fmsh-golden/go"  # a file that is there once the daemon was killed
ONCE_UNTIL = f"[ $(date +%s) -ge {UNTIL} ] || exec sleep 600"


class Story(Record):
    """A job. `state`: in the golden store. `advance`: what is done about it when the store is loaded again.

    advance   nothing: it has ended, or ends by itself · callback: somebody calls its address · resume, cancel: by
              `fmsh jobs` · answer: it parks first, and is given the outcome of its step
    """

    name: str
    text: str
    state: str
    advance: str = ""
    is_detached: bool = True


WAITS_FOR_GO = f"until [ -e {GO} ]; do sleep 0.02; done; echo finished"
STORIES = (
    # ended
    Story(
        "succeeded", "print shown; {n: 1, list: [2, 3.5, null, true], wait: 2h, at: 2026-11-24T10:00:00Z}", "succeeded"
    ),
    Story("in-the-foreground", "print here; sh -c 'echo displayed'; 7", "succeeded", is_detached=False),
    Story("failed", "def f(x) { $x.missing }\nprint before\nf {a: 1}", "failed"),
    Story("failed-with-a-status", "sh -c 'echo said >&2; exit 3'", "failed"),
    Story("cancelled", "defer { print cleaned }; sleep 1h", "cancelled"),
    Story(
        "a-large-value",
        "let x = sh -c 'head -c 70000 /dev/zero | tr \"\\0\" x'; print ($x | str length); $x",
        "succeeded",
    ),
    # waiting
    Story("timer-that-is-due", "print asleep; sleep @LEFT@; print awake", "waiting"),
    Story("timer-far-away", "defer { print cleaned }; sleep 3650d", "waiting", "cancel"),
    Story("callback", "let h = callback; let got = await $h; print $got.said; $got", "waiting", "callback"),
    Story("callback-delivered", "let h = callback; let got = await $h; print $got.said", "waiting"),
    Story("callback-of-many", "let h = callback --many; print (await $h).said (await $h).said", "waiting", "callback"),
    Story(
        "awaits-a-child",
        "def child() { sleep @LEFT@; print child; return 41 }\nlet c = child &; print (await $c); print done",
        "waiting",
    ),
    Story("a-time-limit", "try { within @LEFT@ { sleep 3650d } } catch e { print $e.kind }", "waiting"),
    Story("paused", "sleep @LEFT@; print went on", "paused", "resume"),
    # processes
    Story("process-that-ended-alone", f"let said = sh -c '{WAITS_FOR_GO}'; print \"it $said\"", "running"),
    Story("process-that-was-lost", f"let said = sh -c '{ONCE_UNTIL}; echo again'; print $said", "running"),
    Story("process-tried-again", f"sh -c '{ONCE_UNTIL}; echo the second or third time'; print after", "waiting"),
    Story("lost-in-once", f"once {{ sh -c '{ONCE_UNTIL}; echo never' }}; print after", "running", "answer"),
    Story("parked", f"once {{ sh -c '{ONCE_UNTIL}; echo never' }}; print after", "parked", "answer"),
    Story("parked-by-its-undo", "undo { fail 'no way back' }; fail first", "parked", "cancel"),
    # in the middle of its language
    Story(
        "in-its-undo",
        "undo { print undoing; sleep @LEFT@; print undone }; undo { print first }; fail broken",
        "waiting",
    ),
    Story("in-its-defer", "defer { print begun; sleep @LEFT@; print over }; print body; 5", "waiting"),
    Story(
        "in-tasks",
        "print (parallel { sleep @LEFT@; 1 } { sleep 1s; 2 }); print ([3, 4] | each { $it * 2 })",
        "waiting",
    ),
    Story("in-a-loop", "let sum = 0\nfor i in 1..4 { $sum += $i; if $i == 3 { sleep @LEFT@ } }\nprint $sum", "waiting"),
    Story(
        "in-a-function", "def f(n) { if $n == 0 { sleep @LEFT@; return 1 }; $n * (f ($n - 1)) }\nprint (f 4)", "waiting"
    ),
    Story(
        "in-a-channel",
        "let ch = channel 2; spawn { sleep @LEFT@; send $ch a; send $ch b; close $ch }; for x in $ch { print $x }",
        "waiting",
    ),
    Story(
        "in-retry",
        'let n = 0; retry --times 3 --backoff @LEFT@ { $n += 1; if $n < 2 { fail soon }; print "try $n" }',
        "waiting",
    ),
    Story("trimmed", "for i in 1..6 { sh -c 'exit 0'; print $i }; sleep @LEFT@; print done", "waiting"),
    Story("with-a-secret", "sleep @LEFT@; sh -c 'printenv DEPLOY_TOKEN | wc -c'", "waiting"),
)
