"""A stream that is kept in a test, with the venue it is kept with and all that it told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from core.backoff import Backoff
from exchanges.stream import PingRule, Stream, StreamRules, VenuePings
from exchanges.web_socket import Sender
from tests import live_loop
from tests.exchanges.stream_venue import StreamVenue, streaming
from tests.fakes.loop_clock import LoopClock, until

BACKOFF = Backoff(min_s=1.0, max_s=8.0, reset_after_s=100.0)
QUIET = VenuePings(idle_timeout_s=600.0)
DAY_S = 80_000.0
OVERLAP_S = 7.0


class Kept:
    """A stream that runs, its venue, and all it told."""

    def __init__(self, venue: StreamVenue, ping: PingRule) -> None:
        self.venue = venue
        self.clock = LoopClock()
        self.messages: list[str] = []
        self.opened: list[datetime | None] = []
        self.fault: Exception | None = None
        self.open_fault: Exception | None = None
        self.before_url: list[Exception] = []
        self.hello: Callable[[Sender], Awaitable[None]] = self._hello
        rules = StreamRules(
            ping=ping, max_age_s=DAY_S, overlap_s=OVERLAP_S, backoff=BACKOFF, max_message_bytes=64_000
        )
        self.stream = Stream(
            name="test",
            url=self._url,
            hello=lambda sender: self.hello(sender),
            on_message=self._heard,
            on_open=self._opened,
            rules=rules,
            clock=self.clock,
            sleep=self.clock.sleep,
            jitter=lambda: 0.0,
        )

    async def opened_times(self, count: int) -> None:
        await until(lambda: len(self.opened) == count, what=f"{count} openings")

    async def heard(self, *messages: str) -> None:
        await until(lambda: self.messages == list(messages), what=f"{messages}, not {self.messages}")

    async def said(self, connection: int, *texts: str) -> None:
        """Until the venue has heard just these on the connection."""
        heard = self.venue.texts
        await until(lambda: heard(connection) == list(texts), what=f"{texts}, not {heard(connection)}")

    async def _url(self) -> str:
        if self.before_url:
            raise self.before_url.pop(0)
        return self.venue.url

    async def _hello(self, sender: Sender) -> None:
        await sender.say("subscribe")

    def _heard(self, message: bytes) -> None:
        assert type(message) is bytes
        if self.fault is not None:
            raise self.fault
        self.messages.append(message.decode())

    def _opened(self, since: datetime | None) -> None:
        if self.open_fault is not None:
            raise self.open_fault
        self.opened.append(since)


@asynccontextmanager
async def kept(
    ping: PingRule = QUIET, *, prepare: Callable[[Kept], None] | None = None
) -> AsyncIterator[Kept]:
    async with streaming() as venue:
        it = Kept(venue, ping)
        if prepare is not None:
            prepare(it)
        running = asyncio.create_task(it.stream.run())
        try:
            yield it
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            assert not it.stream.is_open


def case(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """The coroutine as a test."""

    def run() -> None:
        live_loop.run(asyncio.wait_for(_awaited(test()), 30))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def _awaited(it: Awaitable[None]) -> None:
    await it
