"""A seeded simulator: real engines, machines, programs and stores, in a world that a random number generator owns.

    python -m tests.simulation SEED            one seed, with all that happened
    python -m tests.simulation FIRST COUNT     many; prints the seeds that fail

What is simulated lies behind the seams that the architecture has: the clocks (`time`), sleeping and scheduling (`time`,
`world`), the disk (`disk`), processes (`owners`), the connectors for HTTP and commands (`effects`), people (`chaos`).
Everything between is the real code: language, machine, engine, the daemon's service, the stores, the connectors for
timers, callbacks and detached jobs. No thread, no real clock and no random source of the system takes part, so a seed
gives the same run each time.

A run has two phases. In the first anything may go wrong: crashes in and between commits and effects, stopped processes,
takeovers, full disks, lost wake-ups, duplicate and early deliveries, cancels, clock steps, suspend, reboots. In the
second nothing does, and everything must come to an end.

`journal` and `effects` judge each commit and each effect when it is made. `judge` reads the histories afterwards: it
feeds each to a fresh machine, to the model of the language (`tests.machine.model`), and to the engine's own replay,
from the start and from every snapshot.
"""
