"""One kept connection to a venue's public streams, whose topics come and go while it is open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from core.clock import Clock
from exchanges.stream import Stream, StreamRules
from exchanges.web_socket import Sender, Sleep

GATHER_S: Final = 0.2
"""Topics that are added within this time are subscribed to together."""
PAUSE_AFTER_FAULT_S: Final = 5.0

_log: Final = logging.getLogger("exchanges.market")


class TopicDialect(Protocol):
    """What differs from venue to venue. A topic is what the venue calls one stream, such as a series' candles."""

    name: str
    rules: StreamRules

    def url(self, topics: Sequence[str]) -> str:
        """Where to connect for them; what the address does not name is subscribed to."""
        ...

    def subscriptions(self, topics: Sequence[str]) -> Iterable[str]:
        """The messages that ask for these topics."""
        ...


def _unheeded(since: datetime | None) -> None:
    """What came meanwhile is missing from what is kept, and so is asked for over REST."""


class TopicConnection:
    """`topics` on one stream, which may be added to and taken from while it is open."""

    def __init__(
        self,
        dialect: TopicDialect,
        on_message: Callable[[bytes], bool],
        *,
        on_open: Callable[[datetime | None], None] = _unheeded,
        clock: Clock,
        sleep: Sleep,
        jitter: Callable[[], float],
    ) -> None:
        """`on_message`: whether the message told news of a topic. `on_open`: as of `Stream`."""
        self._dialect = dialect
        self._on_message = on_message
        self._on_open = on_open
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self.topics: dict[str, None] = {}
        self._added: list[str] = []
        self._told_s = float("-inf")
        self._stream = self._made()

    @property
    def is_open(self) -> bool:
        return self._stream.is_open

    def tells_within(self, seconds: float) -> bool:
        """Whether it is open and has told news of a topic so lately."""
        return self._stream.is_open and self._clock.monotonic() - self._told_s < seconds

    def add(self, topic: str) -> bool:
        """Whether nobody is about to subscribe to what was added."""
        self.topics[topic] = None
        self._added.append(topic)
        return len(self._added) == 1

    def remove(self, topic: str) -> None:
        del self.topics[topic]
        if topic in self._added:
            self._added.remove(topic)

    async def subscribe_added(self) -> None:
        await self._sleep(GATHER_S)
        added, self._added = self._added, []
        for text in self._dialect.subscriptions(added):
            await self._stream.send(text)

    async def say(self, texts: Iterable[str]) -> None:
        for text in texts:
            await self._stream.send(text)

    async def keep(self) -> None:
        """Runs until cancelled. A fault of ours ends a stream, not the following of it."""
        while True:
            try:
                await self._stream.run()
            except Exception:
                _log.exception("market_stream_faulted venue=%s", self._dialect.name)
            await self._sleep(PAUSE_AFTER_FAULT_S)
            self._stream = self._made()

    def _made(self) -> Stream:
        return Stream(
            name=f"{self._dialect.name} market",
            url=self._address,
            hello=self._hello,
            on_message=self._heard,
            on_open=self._on_open,
            rules=self._dialect.rules,
            clock=self._clock,
            sleep=self._sleep,
            jitter=self._jitter,
        )

    async def _address(self) -> str:
        return self._dialect.url(tuple(self.topics))

    async def _hello(self, sender: Sender) -> None:
        # All at once, so that nothing is asked for twice in different company: a venue may refuse such a message.
        self._added.clear()
        for text in self._dialect.subscriptions(tuple(self.topics)):
            await sender.say(text)

    def _heard(self, message: bytes) -> None:
        if self._on_message(message):
            self._told_s = self._clock.monotonic()
