"""The service's side of a worker: who computes for long gives way, and who stood by is for one use as any other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.sandbox.deadline import pid_of
from actors.sandbox.frames import Answered, Loaded, Program
from actors.sandbox.host import Limits, SandboxAway, Zygote
from actors.sandbox.rank import Rank, can_be_raised
from actors.sandbox.worker_handle import Starved, WorkerHandle
from tests.actors.sandbox.asks import ASK
from tests.actors.sandbox.test_deadline import kept_from_running

COUNTS = Program(
    kind="python", text="seen = []\ndef strategy(context): seen.append(1); return {'score': len(seen)}"
)
ENDLESS = Program(kind="python", text="def strategy(context):\n    while True: pass")


@pytest.fixture(scope="module")
def standing_by() -> Iterator[Zygote]:
    """Its workers have a quarter of a second, as hostile ones should."""
    started = Zygote(Limits(wall_s=0.25), spares=1)
    yield started
    started.close()


def process_of(worker: WorkerHandle) -> int:
    pid = pid_of(worker._handle)
    assert pid is not None
    return pid


@pytest.mark.parametrize(
    ("rank", "policy"),
    [(Rank.UNTIL_SLOW, os.SCHED_IDLE), (Rank.EQUAL, os.SCHED_OTHER), (Rank.LAST, os.SCHED_IDLE)],
)
def test_who_computes_for_long_gives_way_where_it_should(
    standing_by: Zygote, rank: Rank, policy: int
) -> None:
    """I14: neighbours go first; a replay's worker keeps its place."""
    with ThreadPoolExecutor(1) as thread, standing_by.worker(rank) as worker:
        pid, last = process_of(worker), -1
        asked = thread.submit(worker.ask, ENDLESS, ASK)
        while not asked.done():
            try:
                last = os.sched_getscheduler(pid)
            except ProcessLookupError:
                break
    assert last == policy


@pytest.mark.skipif(not can_be_raised(), reason="this user may not raise who was put last")
def test_who_stands_by_was_made_when_nobody_else_wanted_the_processor(standing_by: Zygote) -> None:
    """I14: what one strategy's evaluation costs is not taken from the others'."""
    before = descendants(standing_by._process.pid)
    standing_by.replenish()
    while not (made := descendants(standing_by._process.pid) - before):
        pass
    assert {os.sched_getscheduler(pid) for pid in made} == {os.SCHED_IDLE}
    with standing_by.worker(Rank.UNTIL_SLOW) as worker:
        assert os.sched_getscheduler(process_of(worker)) == os.SCHED_OTHER
    with standing_by.worker(Rank.LAST) as worker:
        assert os.sched_getscheduler(process_of(worker)) == os.SCHED_IDLE


def test_who_gave_way_and_got_nothing_is_starved(zygote: Zygote) -> None:
    """I14: a starved host is not the user's fault, and is told before the limit is over."""
    with (
        zygote.worker(Rank.UNTIL_SLOW) as worker,
        kept_from_running(process_of(worker)),
        pytest.raises(Starved),
    ):
        worker.ask(ENDLESS, ASK)


def test_who_stood_by_is_for_one_use(standing_by: Zygote) -> None:
    for _ in range(3):
        standing_by.replenish()
        with standing_by.worker() as worker:
            loaded, answered = worker.ask(COUNTS, ASK)
        assert isinstance(loaded, Loaded)
        assert isinstance(answered, Answered)
        assert answered.answer == {"score": 1}


def test_who_ended_while_it_stood_by_is_replaced(standing_by: Zygote) -> None:
    """The machine may end any process for its memory; the next strategy is not to blame."""
    before = descendants(standing_by._process.pid)
    standing_by.replenish()
    while not (made := descendants(standing_by._process.pid) - before):
        pass
    for pid in made:
        os.kill(pid, signal.SIGKILL)
    while any(_status(pid)[1] not in "ZX" for pid in made if _status(pid)):
        pass
    with standing_by.worker() as worker:
        assert process_of(worker) not in made
        assert isinstance(worker.ask(COUNTS, ASK)[-1], Answered)


def test_a_sandbox_that_has_ended_says_so_when_it_is_to_replenish() -> None:
    zygote = Zygote(Limits(), spares=1)
    zygote.close()
    with pytest.raises(SandboxAway):
        zygote.replenish()


def descendants(pid: int) -> set[int]:
    parents = {int(each.name): _status(int(each.name)) for each in Path("/proc").glob("[0-9]*")}
    found, left = set(), [pid]
    while left:
        parent = left.pop()
        children = [child for child, status in parents.items() if status and status[0] == parent]
        found.update(children)
        left += children
    return found


def _status(pid: int) -> tuple[int, str] | tuple[()]:
    """Whose child it is, and its state; nothing once it is gone."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return int(parent), state
