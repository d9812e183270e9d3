"""The loop: timers, descriptors, and calls from elsewhere."""

from __future__ import annotations

import _thread
import os
import signal
import time

from fmsh.engine.loop import CANCELLED_TIMERS_MAX, Loop


def test_timers_fire_in_the_order_of_their_due_times_and_never_early() -> None:
    loop = Loop()
    fired: list[str] = []
    started_s = loop.now_s()
    loop.after(0.03, lambda: fired.append("late"))
    loop.after(0.01, lambda: fired.append("early"))
    while len(fired) < 2:
        loop.run_once(1)
    assert fired == ["early", "late"] and loop.now_s() - started_s >= 0.03


def test_a_cancelled_timer_does_not_fire_and_does_not_stay() -> None:
    loop = Loop()
    fired: list[int] = []
    timers = [loop.after(3600, lambda: fired.append(1)) for _ in range(3 * CANCELLED_TIMERS_MAX)]
    for timer in timers:
        timer.cancel()
        timer.cancel()
    assert len(loop._timers) <= CANCELLED_TIMERS_MAX + 1
    loop.run_once(0)
    assert not fired


def test_a_call_from_another_thread_ends_the_sleep() -> None:
    loop = Loop()
    called: list[int] = []

    def other() -> None:
        while not loop._is_sleeping:
            time.sleep(0.001)
        loop.submit(called.append, 1)

    _thread.start_new_thread(other, ())
    started_s = time.monotonic()
    loop.run_once(10)
    assert called == [1] and time.monotonic() - started_s < 5
    loop.close()


def test_a_call_from_a_signal_ends_the_sleep() -> None:
    loop = Loop()
    called: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: loop.submit(called.append, 1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        loop.run_once(10)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert called == [1]
    loop.close()


def test_a_descriptor_is_served_until_it_is_not_watched() -> None:
    loop = Loop()
    read, write = os.pipe()
    seen: list[bytes] = []

    def readable() -> None:
        seen.append(os.read(read, 10))
        if len(seen) == 2:
            loop.unwatch(read)

    loop.watch(read, readable)
    for text in (b"a", b"b", b"c"):
        os.write(write, text)
        loop.run_once(0)
    assert seen == [b"a", b"b"]
    os.close(read)
    os.close(write)


def test_a_loop_that_is_never_idle_opens_nothing() -> None:
    loop = Loop()
    loop.submit(lambda: None)
    loop.run_once(None)
    assert loop._wake_fds is None


def test_a_wake_that_comes_before_the_first_sleep_is_not_lost() -> None:
    loop = Loop()
    loop.wake()
    started_s = time.monotonic()
    loop.run_once(10)
    assert time.monotonic() - started_s < 5
