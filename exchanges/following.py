"""An adapter's `follow` that its `close` ends, from whichever task on the same loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class Following:
    """At most one at a time; one begun after `end` ends at once, as its account has been left."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    async def run(self, follow: Awaitable[None]) -> None:
        task = self._task = asyncio.ensure_future(follow)
        if self._ended:
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            if not self._ended:
                task.cancel()
                raise

    def end(self) -> None:
        self._ended = True
        if self._task is not None:
            self._task.cancel()
