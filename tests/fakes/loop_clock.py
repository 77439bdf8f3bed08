"""A clock that only the test moves, for code on an event loop: who sleeps by it wakes when it gets there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
PATIENCE_S = 10.0
"""Real seconds after which a test that waits in vain has failed."""


class LoopClock:
    """`rate`: how much faster market time runs than process time, which `move` and `sleep` are of."""

    def __init__(self, rate: float = 1.0) -> None:
        self._rate = rate
        self._now_s = 0.0
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        return START + timedelta(seconds=self._now_s * self._rate)

    def monotonic(self) -> float:
        return self._now_s

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds() / self._rate)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper = (self._now_s + seconds, seconds, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        self._changed.set()
        try:
            await sleeper[2]
        finally:
            self._sleepers.remove(sleeper)

    async def asleep(self, seconds: float) -> None:
        """Until somebody sleeps for just so long."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._sleeps(seconds):
                self._changed.clear()
                await self._changed.wait()

    def _sleeps(self, seconds: float) -> bool:
        """Not one that has been woken and only waits for its turn."""
        return any(abs(asked - seconds) < 1e-9 and not woken.done() for _, asked, woken in self._sleepers)

    def move(self, seconds: float) -> None:
        self._now_s += seconds
        for due, _, waiting in sorted(self._sleepers, key=lambda sleeper: sleeper[0]):
            if due <= self._now_s + 1e-9 and not waiting.done():
                waiting.set_result(None)

    async def pass_sleep(self, seconds: float) -> None:
        """Wait for somebody to sleep for just so long, then let that time pass."""
        await self.asleep(seconds)
        self.move(seconds)


async def until(condition: Callable[[], object], *, what: str) -> None:
    """Until `condition()` is true; the loop runs in between."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what the code under test changes has no event to await
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"in vain: {what}") from None
