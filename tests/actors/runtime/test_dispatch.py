"""The worker pool: one actor never runs twice at once, nothing sent is lost, a stuck handler delays nobody."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pykka
import pytest

from actors.runtime import BlockingOnWorker, DispatchedActor
from actors.runtime.dispatch import PoolDispatcher

PATIENCE_S = 20.0


@pytest.fixture(params=[1, 4])
def pool(request: pytest.FixtureRequest) -> Iterator[PoolDispatcher]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    pool = PoolDispatcher(request.param, throughput=4, stall_s=0.005, name="test")
    yield pool
    pykka.ActorRegistry.stop_all(timeout=PATIENCE_S)
    assert pool.stop(PATIENCE_S)
    sys.setswitchinterval(interval)


class Strict(DispatchedActor):
    def __init__(self, pool: PoolDispatcher) -> None:
        self.dispatcher = pool  # type: ignore[misc]
        super().__init__()
        self.busy = False
        self.seen: dict[int, int] = {}
        self.faults: list[str] = []

    def on_receive(self, message: Any) -> Any:
        if message == "faults":
            return self.faults, sum(self.seen.values())
        if self.busy:
            self.faults.append("entered twice")
        self.busy = True
        sender, number = message
        if self.seen.get(sender, 0) != number - 1:
            self.faults.append("out of order")
        self.seen[sender] = number
        self.busy = False
        return number


def test_messages_never_overlap_and_keep_each_senders_order(pool: PoolDispatcher) -> None:
    refs = [Strict.start(pool) for _ in range(10)]
    senders, messages = 4, 500

    def send(sender: int) -> None:
        for number in range(1, messages + 1):
            for ref in refs:
                ref.tell((sender, number))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    for ref in refs:
        assert ref.ask("faults", timeout=PATIENCE_S) == ([], senders * messages)


def test_no_ask_hangs_when_raced_with_stop(pool: PoolDispatcher) -> None:
    refs = [Strict.start(pool) for _ in range(10)]
    until = time.monotonic() + 0.5
    hung: list[object] = []
    settled = 0

    def ask() -> None:
        nonlocal settled
        while time.monotonic() < until:
            futures = [ref.ask("faults", block=False) for ref in tuple(refs)]
            for future in futures:
                try:
                    future.get(timeout=5.0)
                except pykka.ActorDeadError:
                    pass
                except pykka.Timeout as timeout:
                    hung.append(timeout)
                settled += 1

    def stop() -> None:
        number = 0
        while time.monotonic() < until:
            refs[number % 10].stop(block=False)
            refs[number % 10] = Strict.start(pool)
            number += 1

    threads = [threading.Thread(target=ask) for _ in range(3)] + [threading.Thread(target=stop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert settled > 0
    assert hung == []


@pytest.mark.parametrize("workers", [1, 4])
def test_an_idle_actor_costs_no_thread(workers: int) -> None:
    pool = PoolDispatcher(workers, stall_s=PATIENCE_S)  # none is taken for stuck, however slow the machine
    try:
        before = threading.active_count()
        refs = [Strict.start(pool) for _ in range(500)]
        refs[-1].ask("faults", timeout=PATIENCE_S)
        assert threading.active_count() == before
    finally:
        pykka.ActorRegistry.stop_all(timeout=PATIENCE_S)
        assert pool.stop(PATIENCE_S)


class Sleepy(DispatchedActor):
    def __init__(self, pool: PoolDispatcher) -> None:
        self.dispatcher = pool  # type: ignore[misc]
        super().__init__()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, threading.Event):
            return message.wait(PATIENCE_S)
        return message


def test_a_blocked_handler_does_not_delay_others_and_is_reported(pool: PoolDispatcher) -> None:
    """I20: one failure never stops another, not even one that never returns."""
    handler = threading.Event()
    stuck = [Sleepy.start(pool) for _ in range(4)]
    waiting = [ref.ask(handler, block=False) for ref in stuck]
    assert Sleepy.start(pool).ask("alive", timeout=PATIENCE_S) == "alive"
    handler.set()
    assert all(future.get(timeout=PATIENCE_S) for future in waiting)


def test_shutdown_is_bounded_by_its_timeout(pool: PoolDispatcher) -> None:
    """I16: a handler that never returns cannot keep the process."""
    handler = threading.Event()
    stuck = PoolDispatcher(1, name="stuck")
    ref = Sleepy.start(stuck)
    future = ref.ask(handler, block=False)
    assert not stuck.stop(0.02)
    pykka.ActorRegistry.unregister(ref)  # nobody will ever run its stop
    handler.set()
    assert future.get(timeout=PATIENCE_S)


class Nested(DispatchedActor):
    def __init__(self, pool: PoolDispatcher) -> None:
        self.dispatcher = pool  # type: ignore[misc]
        super().__init__()

    def on_receive(self, message: Any) -> Any:
        other, question = message
        return other.ask(question, timeout=PATIENCE_S)


def test_a_blocking_get_in_a_handler_raises_at_once(pool: PoolDispatcher) -> None:
    other, unanswered = Sleepy.start(pool), threading.Event()
    with pytest.raises(BlockingOnWorker, match=r"Sleepy.*answer to Event"):
        Nested.start(pool).ask((other, unanswered), timeout=PATIENCE_S)
    unanswered.set()
