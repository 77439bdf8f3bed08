"""An answer that is the same for everybody who may have it: read once for all who ask within a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

STATUS_FOR_S: Final = 0.5


class Shared(Generic[T]):
    """Holds one answer for `for_s` from when its reading began; who asks meanwhile waits for the same reading.

    A reading that fails is nobody's but theirs who waited for it: the next one reads anew.
    """

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s
        self._reading: asyncio.Task[T] | None = None
        self._began_s = float("-inf")

    async def get(self, read: Callable[[], Awaitable[T]]) -> T:
        now_s = asyncio.get_running_loop().time()
        reading = self._reading
        if reading is None or now_s - self._began_s >= self._for_s or _failed(reading):
            reading = self._reading = asyncio.ensure_future(_whole(read))
            self._began_s = now_s
        # A caller who goes away does not end what others wait for.
        return await asyncio.shield(reading)

    def forget(self) -> None:
        """What was just changed is shown to whoever asks next."""
        self._reading = None


async def _whole(read: Callable[[], Awaitable[T]]) -> T:
    return await read()


def _failed(reading: asyncio.Task[T]) -> bool:
    return reading.done() and (reading.cancelled() or reading.exception() is not None)
