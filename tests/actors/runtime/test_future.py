from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from actors.runtime import AskTimeout
from actors.runtime.future import SlimFuture
from actors.runtime.ref import ask_future


def test_a_timeout_names_target_message_and_time() -> None:
    future = ask_future("risk_ledger", ("any",), None)
    with pytest.raises(AskTimeout, match=r"no risk_ledger's answer to tuple within 0\.01 s"):
        future.get(timeout=0.01)


def test_an_ask_without_timeout_has_the_default_one() -> None:
    assert ask_future("a", "message", None).timeout_s == 5.0
    assert ask_future("a", "message", 0.5).timeout_s == 0.5


def test_callbacks_run_once_whenever_they_were_added() -> None:
    future: SlimFuture[int] = SlimFuture()
    seen: list[int] = []
    future.add_done_callback(lambda done: seen.append(done.get()))
    future.set(1)
    future.add_done_callback(lambda done: seen.append(done.get() + 1))
    assert seen == [1, 2]


def test_the_loser_of_a_race_to_fail_changes_nothing() -> None:
    future: SlimFuture[int] = SlimFuture()
    future.set(1)
    future.fail(ValueError())
    assert future.get() == 1


def test_await_lets_the_loop_go_on() -> None:
    async def main() -> tuple[int, int]:
        future: SlimFuture[int] = SlimFuture()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1
                if ticks == 100:
                    threading.Thread(target=future.set, args=(7,)).start()

        ticking = asyncio.create_task(tick())
        answer = await future
        ticking.cancel()
        return answer, ticks

    answer, ticks = asyncio.run(main())
    assert answer == 7
    assert ticks >= 100


def test_await_times_out_by_name() -> None:
    async def main(future: SlimFuture[Any]) -> None:
        await future

    with pytest.raises(AskTimeout, match="no gateway's answer"):
        asyncio.run(main(ask_future("gateway", "status", 0.01)))
