"""Streams of the event log: in id order, without gap, bounded for every reader.

One poll of the log feeds all readers. A reader first reads the log itself from its cursor up to where the hub
is, then takes from its queue. The store hands out events in id order and never one that a lower id may still
follow, so a cursor is one number. A reader that falls behind is cut and resumes with its last event's id. What is told
and not kept (`facade/passing_news.py`) goes by the same queues.

An event is put into words once for all readers; one who takes nothing costs a place in a queue until it is cut.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from core.errors import RunnerError
from core.ids import RunId, StrategyId, UserId
from facade.bridge import Bridge, Event, Store
from facade.errors import ApiError
from facade.passing_news import PassingNews
from facade.told import Told

POLL_S: Final = 0.25
PAGE: Final = 500
AT_ONCE: Final = 100
"""Events a reader takes in one go: no more is under way for one who stops taking."""
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
    accepts: Callable[[Event], bool] | None = None
    strategy_id: StrategyId | None = None
    passing: bool = True

    def of(self, events: Sequence[Event]) -> Sequence[Event]:
        """Those of its user's events that it holds."""
        run_id, accepts = self.run_id, self.accepts
        if run_id is not None:
            events = [event for event in events if event.run_id == run_id]
        return events if accepts is None else [event for event in events if accepts(event)]


class Reader:
    """One stream: what it holds, and what is not yet sent of it."""

    def __init__(self, wanted: Wanted, owner: UserId, queue_events: int) -> None:
        self.wanted = wanted
        self.owner = owner
        self.cut = False
        self._places = queue_events
        self._queue: deque[Told] = deque()
        self._news = asyncio.Event()

    def put(self, some: Sequence[Told]) -> bool:
        """Whether there was a place for all; where there was not, the first of them are in it."""
        room = self._places - len(self._queue)
        self._queue.extend(some if len(some) <= room else some[:room])
        self._news.set()
        return len(some) <= room

    def hear(self, some: Sequence[Told]) -> None:
        """What passes takes the first half of the places alone: it is nothing to cut a stream for."""
        room = self._places // 2 - len(self._queue)
        if room > 0:
            self.put(some[:room])

    def end(self) -> None:
        """Nothing more comes; what waits is still there to be taken."""
        self.cut = True
        self._news.set()

    async def take(self) -> list[Told]:
        """What has come, AT_ONCE at most; nothing where nothing has for HEARTBEAT_S, or will."""
        if not self._queue and not self.cut:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), HEARTBEAT_S)
            except TimeoutError:
                return []
        return [self._queue.popleft() for _ in range(min(len(self._queue), AT_ONCE))]

    @property
    def is_over(self) -> bool:
        return self.cut and not self._queue


class Following:
    """An admitted stream: events after `cursor`, some at once; none of them where there was none for HEARTBEAT_S.
    It ends when cut.

    It has a place among the readers until it is closed, whether or not anything of it was read.
    """

    def __init__(
        self,
        cursor: int,
        events: AsyncGenerator[Sequence[Told], None],
        leave: Callable[[], None],
    ) -> None:
        self.cursor = cursor
        self._events = events
        self._leave = leave

    def __aiter__(self) -> AsyncIterator[Sequence[Told]]:
        return self._events

    async def aclose(self) -> None:
        self._leave()
        await self._events.aclose()


class EventHub:
    """Reads the log while anybody listens."""

    def __init__(self, bridge: Bridge, *, signal_ttl_s: int, queue_events: int = QUEUE_EVENTS) -> None:
        """`signal_ttl_s`: what a signal of a stream says of how long it may be acted upon. `queue_events`: how far a
        reader may fall behind before it is cut.
        """
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
        reader.end()
        self._leave(reader)

    async def _poll(self) -> None:
        """Hand out what is new until nobody listens. A store that is away is asked again at the next turn."""
        try:
            while self._readers:
                events = await self._read_on()
                if events:
                    self._position = events[-1].id
                    self._hand_out(events)
                if len(events) < PAGE:
                    await self._news.hand_out(self._readers, self._signal_ttl_s)
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

    def _hand_out(self, events: Sequence[Event]) -> None:
        """What costs something is done once for all readers, or once for each user's."""
        told = {event.id: Told(event, self._signal_ttl_s) for event in events}
        everything, by_user = list(told.values()), defaultdict[UserId, list[Event]](list)
        for event in events:
            by_user[event.user_id].append(event)
        for reader in list(self._readers):
            wanted = reader.wanted
            if wanted.user_id is None and wanted.run_id is None and wanted.accepts is None:
                mine = everything
            else:
                theirs = events if wanted.user_id is None else by_user.get(wanted.user_id, ())
                mine = [told[event.id] for event in wanted.of(theirs)]
            if mine and not reader.put(mine):
                self._cuts += 1
                self._cut(reader)

    async def _events(
        self, reader: Reader, after_id: int, position: int
    ) -> AsyncGenerator[Sequence[Told], None]:
        try:
            async for stored in self._stored(reader, after_id, position):
                yield stored
            newest = max(after_id, position)
            while not reader.is_over:
                taken = await reader.take()
                news = [told for told in taken if told.id is None or told.id > newest]
                if news or not (taken or reader.is_over):
                    yield news
        except RunnerError:
            return  # the store is away: the client comes back with its cursor
        finally:
            self._leave(reader)

    async def _stored(self, reader: Reader, after_id: int, until_id: int) -> AsyncIterator[list[Told]]:
        """Events of the log after `after_id` and up to `until_id`, as fast as they are taken."""
        whose = reader.wanted.user_id
        bridge = self._bridge if whose is None else self._bridge.for_user(whose)
        while after_id < until_id:
            page = await bridge.ask(_page_after(after_id, reader))
            held = reader.wanted.of([event for event in page if event.id <= until_id])
            if held:
                yield [Told(event, self._signal_ttl_s) for event in held]
            if len(page) < AT_ONCE:
                return
            after_id = page[-1].id


def _page_after(after_id: int, reader: Reader) -> Callable[[Store], list[Event]]:
    wanted = reader.wanted
    return lambda store: store.events(
        after_id=after_id, user_id=wanted.user_id, run_id=wanted.run_id, limit=AT_ONCE
    )
