"""Mark prices of one venue's perpetuals, heard while somebody holds a position in them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from core.clock import Clock
from core.errors import RunnerError
from core.mark import Mark
from exchanges.feeds.topic_connection import TopicConnection, TopicDialect
from exchanges.web_socket import Sleep

MAX_SYMBOLS: Final = 200
"""Of a venue, on one connection; positions in further ones are shown at the last close."""
CHECK_EVERY_S: Final = 1.0
STALE_AFTER_S: Final = 30.0
"""A mark that has not been told anew for so long is none: venues tell each at least every three seconds."""

_log: Final = logging.getLogger("exchanges.market")


class MarkDialect(TopicDialect, Protocol):
    """What differs from venue to venue in mark prices."""

    def topic(self, symbol: str) -> str: ...

    def unsubscriptions(self, topics: Sequence[str]) -> Iterable[str]: ...

    def mark(self, message: bytes) -> tuple[str, Mark] | None:
        """Symbol and mark; None: the message tells none. Raises RunnerError."""
        ...


class MarkStreams:
    """`run` it until cancelled. `held` is asked once a second for the symbols to hear; others may ask `latest`."""

    def __init__(
        self,
        dialect: MarkDialect,
        held: Callable[[], frozenset[str]],
        *,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._dialect = dialect
        self._held = held
        self._clock = clock
        self._sleep = sleep
        self._marks: dict[str, tuple[float, Mark]] = {}
        self._followed: frozenset[str] = frozenset()
        self._connection = TopicConnection(dialect, self._heard, clock=clock, sleep=sleep, jitter=jitter)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            keeping: asyncio.Task[None] | None = None
            while True:
                added = await self._follow()
                if self._followed and keeping is None:
                    keeping = group.create_task(self._connection.keep())
                elif not self._followed and keeping is not None:
                    keeping.cancel()
                    keeping = None
                elif added:
                    await self._connection.subscribe_added()
                await self._sleep(CHECK_EVERY_S)

    def latest(self, symbol: str) -> Mark | None:
        """Any thread may ask; None: none is heard now."""
        told_s, mark = self._marks.get(symbol, (float("-inf"), None))
        return mark if self._clock.monotonic() - told_s <= STALE_AFTER_S else None

    async def _follow(self) -> bool:
        """Whether topics were added."""
        wanted = frozenset(sorted(self._held())[:MAX_SYMBOLS])
        added, gone = wanted - self._followed, self._followed - wanted
        self._followed = wanted
        for symbol in gone:
            self._connection.remove(self._dialect.topic(symbol))
            self._marks.pop(symbol, None)
        if gone:
            await self._connection.say(
                self._dialect.unsubscriptions([*map(self._dialect.topic, sorted(gone))])
            )
        for symbol in sorted(added):
            self._connection.add(self._dialect.topic(symbol))
        return bool(added)

    def _heard(self, message: bytes) -> bool:
        try:
            told = self._dialect.mark(message)
        except RunnerError as error:
            _log.warning("market_message_unusable venue=%s error=%s", self._dialect.name, error)
            return True
        if told is not None and told[0] in self._followed:
            self._marks[told[0]] = self._clock.monotonic(), told[1]
        return told is not None
