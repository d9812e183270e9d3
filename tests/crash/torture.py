"""Pairs of kills, the foreground's and then its daemon's: `python -m tests.crash.torture SECONDS`.

Prints its seed; `FMSH_TEST_SEED` repeats one.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.test_crash import daemon_case
from tests.crash.world import AFTER_CREATION, WITHOUT_DAEMON, World

BOUNDARIES = 60  # of a daemon; one that is not killed brings the job to its end


def main(seconds: float) -> None:
    seed = int(os.environ.get("FMSH_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}", flush=True)
    choose = random.Random(seed)
    directory = Path(tempfile.mkdtemp(prefix="fmsh-"))
    world = World(directory)
    until_s = time.monotonic() + seconds
    pairs = 0
    try:
        while time.monotonic() < until_s:
            first, second = choose.randrange(AFTER_CREATION, WITHOUT_DAEMON), choose.randrange(1, BOUNDARIES)
            daemon_case(world, f"pair-{pairs}-{first}-{second}", first, second)
            pairs += 1
    finally:
        world.close()
        shutil.rmtree(directory)
    print(f"{pairs} pairs of kills, all brought to the same end")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
