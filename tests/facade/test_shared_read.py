"""One reading for all who ask within a moment; a failure is not kept."""

from __future__ import annotations

import asyncio

import pytest

from facade.shared_read import Shared


def test_who_asks_together_is_answered_by_one_reading_and_later_by_another() -> None:
    async def run() -> list[list[int]]:
        readings = 0

        async def read() -> int:
            nonlocal readings
            readings += 1
            await asyncio.sleep(0)
            return readings

        kept, none_kept = Shared[int](60.0), Shared[int](0.0)
        together = await asyncio.gather(*(kept.get(read) for _ in range(5)))
        one_by_one = [await none_kept.get(read) for _ in range(3)]
        return [together, one_by_one]

    assert asyncio.run(run()) == [[1] * 5, [2, 3, 4]]


def test_a_failure_is_told_to_those_who_waited_and_not_kept() -> None:
    async def run() -> int:
        shared = Shared[int](60.0)

        async def fail() -> int:
            raise ValueError("away")

        async def read() -> int:
            return 7

        with pytest.raises(ValueError, match="away"):
            await shared.get(fail)
        return await shared.get(read)

    assert asyncio.run(run()) == 7


def test_a_caller_who_goes_away_takes_nobody_along() -> None:
    async def run() -> int:
        shared, let_go = Shared[int](60.0), asyncio.Event()

        async def read() -> int:
            await let_go.wait()
            return 7

        first = asyncio.create_task(shared.get(read))
        second = asyncio.create_task(shared.get(read))
        await asyncio.sleep(0)
        first.cancel()
        let_go.set()
        return await second

    assert asyncio.run(run()) == 7
