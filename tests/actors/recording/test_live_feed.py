"""A day of a plain process replays like a demo's: candles come by themselves or not at all, and it keeps keys."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

from actors.feed import HeldFeed
from actors.market_data import FetchFailed, FollowEnded
from actors.recording.day import Day
from actors.recording.entries import TurnEntry
from actors.recording.recording import Recording, find_recording
from actors.runtime.behaviour import Behaviour
from actors.runtime.spec import ChildSpec
from bin.commands.replay_words import words
from core.candles import CandleColumns
from core.clock import Clock
from core.market import Series
from exchanges.feeds.base import CandleSource
from exchanges.feeds.public_rest import FeedError
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore


class TellingFeed(HeldFeed):
    """Tells candles once they have closed; its stream ends at first, and one question finds nobody."""

    holds_future = False

    def __init__(self, source: CandleSource, span: tuple[datetime, datetime], clock: Clock) -> None:
        super().__init__(source, span)
        self._clock = clock
        self._asked = 0

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        self._asked += 1
        await asyncio.sleep(0)
        if self._asked == 9:
            raise FeedError("nobody is there")
        return await super().candles(series, start, min(end, series.timeframe.floor(self._clock.now())))

    async def follow(self) -> None:
        raise FeedError("the stream has ended")


class Keeper(Behaviour):
    """Keeps keys, of which nothing is recorded."""

    def receive(self, message: object) -> None:
        """Nobody tells it anything."""


def test_what_a_live_feed_tells_is_recorded_and_the_day_replays_identically(tmp_path: Path) -> None:
    keeper = ChildSpec(id="keys", factory=Keeper)
    store = WitnessedStore(WallClock(), LIMITS)
    day = DemoDay(store, tmp_path, make_feed=TellingFeed, more=[keeper])
    day.let_run(7)
    folder = find_recording(tmp_path)
    told = {entry.type for entry in Recording(folder).entries() if isinstance(entry, TurnEntry)}
    assert {FetchFailed.__name__, FollowEnded.__name__} <= told
    assert day.store.trades(), "a day without trades shows nothing"
    verdict = Day(Recording(folder)).play()
    assert verdict.difference is None, words(verdict)
    assert verdict.identical
