"""Runs seeds: one with its trace, or many; `--database` keeps the store in a real one."""

from __future__ import annotations

import sys
import time

from tests.simulation.seeds import failures, run


def main(arguments: list[str]) -> int:
    numbers = [int(argument) for argument in arguments if not argument.startswith("-")]
    if len(numbers) > 1:
        return _many(*numbers)
    trace: list[str] = []
    violations = run(numbers[0], trace=trace)
    print("\n".join(trace))
    for violation in violations:
        print(f"seed {numbers[0]}: {violation}")
    print(f"seed {numbers[0]}: {len(violations)} violations")
    return 1 if violations else 0


def _many(first: int, count: int) -> int:
    began_s = time.monotonic()
    found = failures(first, count, progress=lambda seed, text: print(f"seed {seed}: {text[:300]}", flush=True))
    print(f"{count} seeds from {first}, {len(found)} with violations, {time.monotonic() - began_s:.0f} s")
    if found:
        print("`python -m tests.simulation SEED` shows one")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
