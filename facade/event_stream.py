"""Streams of the event log: in id order, without gap, bounded for every reader.

One poll of the log feeds all readers. A reader first reads the log itself from its cursor up to where the hub
is, then takes from its queue. The store hands out events in id order and never one that a lower id may still
follow, so a cursor is one number. A reader that falls behind is cut and resumes with its last event's id. What is told
and not kept (`facade/passing_news.py`) goes by the same queues.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

import msgspec

from core.errors import RunnerError
from core.ids import RunId, StrategyId, UserId
from facade.bridge import Bridge, Event, PassingEvent, Store
from facade.errors import ApiError
from facade.passing_news import PassingNews

POLL_S: Final = 0.25
PAGE: Final = 500
QUEUE_EVENTS: Final = 1_000
MAX_READERS: Final = 500
MAX_READERS_PER_USER: Final = 20
HEARTBEAT_S: Final = 15.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream holds. `user_id` None: everybody's; `accepts` narrows what the log was asked for. `passing`: also
    what is told and not kept, of `strategy_id` alone where there is one.
    """

    user_id: UserId | None
    run_id: RunId | None = None
    accepts: Callable[[Event], bool] = lambda event: True
    strategy_id: StrategyId | None = None
    passing: bool = True

    def sees(self, event: Event) -> bool:
        if self.user_id is not None and event.user_id != self.user_id:
            return False
        if self.run_id is not None and event.run_id != self.run_id:
            return False
        return self.accepts(event)


Told = Event | PassingEvent


class Reader:
    """One stream: what it holds, and what is not yet sent of it."""

    def __init__(self, wanted: Wanted, owner: UserId, queue_events: int) -> None:
        self.wanted = wanted
        self.owner = owner
        self.queue: asyncio.Queue[Told | None] = asyncio.Queue(queue_events)
        self.cut = False

    def hear(self, event: PassingEvent) -> None:
        """It takes the first half of the places alone: it is nothing to cut a stream for."""
        if self.queue.qsize() < self.queue.maxsize // 2:
            self.queue.put_nowait(event)


class Following:
    """An admitted stream: events after `cursor`; None where there was none for HEARTBEAT_S. It ends when cut.

    It has a place among the readers until it is closed, whether or not anything of it was read.
    """

    def __init__(
        self,
        cursor: int,
        events: AsyncGenerator[Told | None, None],
        leave: Callable[[], None],
        *,
        signal_ttl_s: int,
    ) -> None:
        """`signal_ttl_s`: what a signal of the stream says of how long it may be acted upon."""
        self.cursor = cursor
        self.signal_ttl_s = signal_ttl_s
        self._events = events
        self._leave = leave

    def __aiter__(self) -> AsyncIterator[Told | None]:
        return self._events

    async def aclose(self) -> None:
        self._leave()
        await self._events.aclose()


class EventHub:
    """Reads the log while anybody listens."""

    def __init__(self, bridge: Bridge, *, signal_ttl_s: int, queue_events: int = QUEUE_EVENTS) -> None:
        """`queue_events`: how far a reader may fall behind before it is cut."""
        self._bridge = bridge
        self._signal_ttl_s = signal_ttl_s
        self._queue_events = queue_events
        self._readers: set[Reader] = set()
        self._position = 0
        self._news = PassingNews(bridge)
        self._cuts = 0
        self._poller: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @property
    def readers(self) -> int:
        """How many are listening and keeping up."""
        return len(self._readers)

    @property
    def cuts(self) -> int:
        """How many readers have been cut because they fell behind."""
        return self._cuts

    async def follow(self, wanted: Wanted, *, owner: UserId, after_id: int | None = None) -> Following:
        """Events from after `after_id` on, or from now.

        Admission and the first read happen before this returns, so that a refusal can still be a status.
        """
        reader = Reader(wanted, owner, self._queue_events)
        self._admit(reader)
        try:
            position = await self._join(reader)
            if after_id is None or (after_id > position and await self._is_foreign(after_id)):
                after_id = position
        except BaseException:
            self._leave(reader)
            raise
        return Following(
            after_id,
            self._events(reader, after_id, position),
            lambda: self._leave(reader),
            signal_ttl_s=self._signal_ttl_s,
        )

    async def close(self) -> None:
        for reader in list(self._readers):
            self._cut(reader)
        if self._poller is not None:
            self._poller.cancel()

    def _admit(self, reader: Reader) -> None:
        same = sum(1 for each in self._readers if each.owner == reader.owner)
        if len(self._readers) >= MAX_READERS or same >= MAX_READERS_PER_USER:
            raise ApiError(429, "Too many open streams.", headers={"Retry-After": "5"})

    async def _join(self, reader: Reader) -> int:
        """Add the reader; the position its queue starts after."""
        async with self._starting:
            if self._poller is None or self._poller.done():
                newest = await self._bridge.ask(lambda store: store.events(newest=True, limit=1))
                self._position = newest[-1].id if newest else 0
                self._news.forget()
                self._poller = asyncio.create_task(self._poll(), name="event hub")
            self._readers.add(reader)
            return self._position

    async def _is_foreign(self, after_id: int) -> bool:
        """Whether a cursor lies beyond this log: another database's, as after a demo was started anew."""
        newest = await self._bridge.ask(lambda store: store.events(newest=True, limit=1))
        return not newest or after_id > newest[-1].id

    def _leave(self, reader: Reader) -> None:
        self._readers.discard(reader)

    def _cut(self, reader: Reader) -> None:
        reader.cut = True
        self._leave(reader)
        if reader.queue.empty():
            reader.queue.put_nowait(None)  # wakes the one who waits

    async def _poll(self) -> None:
        """Hand out what is new until nobody listens. A store that is away is asked again at the next turn."""
        try:
            while self._readers:
                events = await self._read_on()
                for event in events:
                    self._position = event.id
                    self._hand_out(event)
                if len(events) < PAGE:
                    await self._news.hand_out(self._readers)
                    await asyncio.sleep(POLL_S)
        finally:
            # However it ends, nobody may go on waiting for a poll that is over.
            for reader in list(self._readers):
                self._cut(reader)

    async def _read_on(self) -> list[Event]:
        position = self._position
        try:
            return await self._bridge.ask(lambda store: store.events(after_id=position, limit=PAGE))
        except RunnerError:
            return []

    def _hand_out(self, event: Event) -> None:
        for reader in list(self._readers):
            if reader.wanted.sees(event):
                try:
                    reader.queue.put_nowait(event)
                except asyncio.QueueFull:
                    self._cuts += 1
                    self._cut(reader)

    async def _events(
        self, reader: Reader, after_id: int, position: int
    ) -> AsyncGenerator[Told | None, None]:
        try:
            async for event in self._stored(reader, after_id, position):
                yield event
            newest = max(after_id, position)
            while not (reader.cut and reader.queue.empty()):
                try:
                    waiting = await asyncio.wait_for(reader.queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield None
                    continue
                if isinstance(waiting, PassingEvent) or (waiting is not None and waiting.id > newest):
                    yield waiting
        except RunnerError:
            return  # the store is away: the client comes back with its cursor
        finally:
            self._leave(reader)

    async def _stored(self, reader: Reader, after_id: int, until_id: int) -> AsyncIterator[Event]:
        """Events of the log after `after_id` and up to `until_id`, a page at a time."""
        whose = reader.wanted.user_id
        bridge = self._bridge if whose is None else self._bridge.for_user(whose)
        while after_id < until_id:
            page = await bridge.ask(_page_after(after_id, reader))
            for event in page:
                if event.id <= until_id and reader.wanted.accepts(event):
                    yield event
            if len(page) < PAGE:
                return
            after_id = page[-1].id


def _page_after(after_id: int, reader: Reader) -> Callable[[Store], list[Event]]:
    wanted = reader.wanted
    return lambda store: store.events(
        after_id=after_id, user_id=wanted.user_id, run_id=wanted.run_id, limit=PAGE
    )
