"""I14: a starved host is not the user's fault. Who was kept from running has not had its time; who rests has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.runtime.process_time import process_s
from actors.sandbox.deadline import Deadline, TimeUp, standing_of

WALL_S = 0.2
BUSY = "print(flush=True)\nwhile True: pass"
RESTING = "import time\nprint(flush=True)\ntime.sleep(60)"


@contextmanager
def running(text: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def kept_from_running(pid: int) -> Iterator[None]:
    """On one processor with somebody who always wants it and goes first."""
    processor = {min(os.sched_getaffinity(0))}
    with running(BUSY) as first:
        os.sched_setaffinity(first, processor)
        os.sched_setaffinity(pid, processor)
        yield


def told(pid: int) -> TimeUp:
    handle = os.pidfd_open(pid)
    try:
        deadline = Deadline(handle, WALL_S)
        deadline.watch()
        while (up := deadline.passed()) is None:
            pass
        return up
    finally:
        os.close(handle)


def test_who_still_waits_for_the_processor_has_not_had_its_time() -> None:
    """The kernel counts a wait when it is over; this one is not."""
    with running(BUSY) as pid:
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        with kept_from_running(pid):
            assert told(pid) is TimeUp.WITHHELD


def test_who_rests_has_its_time() -> None:
    with running(RESTING) as pid:
        while "State:\tS" not in Path(f"/proc/{pid}/status").read_text():
            pass
        assert told(pid) is TimeUp.OWN


@pytest.mark.parametrize(("text", "works"), [(RESTING, False), (BUSY, True)])
def test_who_could_not_run_has_not_worked(text: str, works: bool) -> None:
    with running(text) as pid:
        while "State:\tS" not in Path(f"/proc/{pid}/status").read_text() and not works:
            pass
        handle = os.pidfd_open(pid)
        deadline = Deadline(handle, WALL_S)
        deadline.watch()
        until_s = process_s() + (30.0 if works else 0.02)
        while not (worked := deadline.has_worked()) and process_s() < until_s:
            pass
        os.close(handle)
    assert worked is works


def test_of_a_process_that_is_gone_nothing_was_withheld() -> None:
    with running(RESTING) as pid:
        handle = os.pidfd_open(pid)
    assert standing_of(handle) is None
    deadline = Deadline(handle, 0.0)
    assert deadline.passed() is TimeUp.OWN
    os.close(handle)


@pytest.mark.parametrize("gave_way", [True, False])
def test_it_is_looked_at_before_the_end_only_who_gave_way(gave_way: bool) -> None:
    handle = os.pidfd_open(os.getpid())
    deadline = Deadline(handle, 60.0)
    deadline.watch()
    if gave_way:
        deadline.gave_way()
    assert (deadline.left_s() < 1) is gave_way
    os.close(handle)
