"""What is told and not kept, on the streams: each once, to whom it concerns (decision 14).

It has no id: nobody resumes after it. A candle concerns who has an active run, or a strategy of their own, on its
series; an evaluation who has one of its strategy; everything an administrator who follows everybody's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from core.errors import RunnerError
from core.ids import RunId, StrategyId, UserId
from core.market import Series
from facade.bridge import Bridge, PassingEvent, Watched
from facade.told import Told

WATCHED_FOR_S: Final = 5.0
"""How long it is remembered who follows what; longer than a run that just began waits for its first candle."""
MAX_REMEMBERED: Final = 20_000
"""Keys of what was told, so that what several processes tell is told once."""


class Narrowed(Protocol):
    """Of a stream: whose it is, and what of theirs."""

    @property
    def user_id(self) -> UserId | None: ...
    @property
    def run_id(self) -> RunId | None: ...
    @property
    def strategy_id(self) -> StrategyId | None: ...
    @property
    def passing(self) -> bool: ...


class Listener(Protocol):
    """A stream that is open."""

    @property
    def wanted(self) -> Narrowed: ...

    def hear(self, some: Sequence[Told]) -> None: ...


class PassingNews:
    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._told: OrderedDict[str, None] = OrderedDict()
        self._watched: Mapping[UserId, Sequence[Watched]] = {}
        self._read_at = float("-inf")

    def forget(self) -> None:
        """What has passed while nobody listened."""
        self._bridge.runner.passed()

    async def hand_out(self, listeners: Collection[Listener], signal_ttl_s: int) -> None:
        """What has passed since the last time. It may be lost where the store is away, and is never waited for."""
        news = [event for event in self._bridge.runner.passed() if self._is_new(event)]
        if not news:
            return
        try:
            await self._look({each.wanted.user_id for each in listeners if each.wanted.passing} - {None})
        except RunnerError:
            return
        told = [(event, Told(event, signal_ttl_s)) for event in news]
        everything = [words for _, words in told]
        for listener in list(listeners):
            wanted = listener.wanted
            if wanted.passing and wanted.user_id is None:
                listener.hear(everything)
            elif mine := [words for event, words in told if self._concerns(event, wanted)]:
                listener.hear(mine)

    def _is_new(self, event: PassingEvent) -> bool:
        if event.key in self._told:
            return False
        self._told[event.key] = None
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        return True

    async def _look(self, users: set[UserId | None]) -> None:
        """Who follows what, read once for all streams."""
        asked = sorted(user for user in users if user is not None)
        now = asyncio.get_running_loop().time()
        if now - self._read_at < WATCHED_FOR_S and self._watched.keys() >= users:
            return
        by_user: dict[UserId, list[Watched]] = {user: [] for user in asked}
        if asked:
            for each in await self._bridge.read(lambda reads: reads.watched(asked)):
                by_user[each.user_id].append(each)
        self._watched, self._read_at = by_user, now

    def _concerns(self, event: PassingEvent, wanted: Narrowed) -> bool:
        if not wanted.passing or wanted.user_id is None:
            return False
        return any(
            (event.strategy_id == each.strategy_id or _is_series(event.series, each.series))
            and wanted.run_id in (None, each.run_id)
            and wanted.strategy_id in (None, each.strategy_id)
            for each in self._watched.get(wanted.user_id, ())
        )


def _is_series(told: Series | None, followed: Series) -> bool:
    return told is not None and told == followed
