"""The candle windows: holes are filled, candles handed on as they come, accounts told those of their own venue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import cast

import pytest
from msgspec.structs import replace

from actors.feed import Feed
from actors.journal import JournalBuffer
from actors.market_data import FOLLOW_AGAIN_S, MAX_REFILLS, MarketData
from actors.messages import CandleClosed, SeriesAdvanced, SeriesWanted, Subscribe, Unwatch, Watch
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.deterministic import VirtualClock
from actors.runtime.spec import ChildSpec, Intensity, Supervision
from actors.runtime.system import ActorSystem
from actors.windows import Windows
from core.candles import CandleColumns, CandleView, Gap
from core.market import Market, Series
from core.timeframe import Timeframe, to_ms
from tests.actors.candles import START, SYMBOL, scripted

STEP = timedelta(minutes=1)
COLUMNS = scripted("u" * 2_000, start=START - STEP * 1_000)
SERIES = Series(venue="paper", market=Market.PERP, symbol=SYMBOL, timeframe=Timeframe.M1)


class Venue:
    """Leaves out the candle closing at `missing` until it has been asked for it `times` times."""

    holds_future = False
    origin = "scripted"
    venues = ("paper",)

    def __init__(self, clock: VirtualClock, missing: datetime, times: int) -> None:
        self._clock = clock
        self._missing_ms = to_ms(missing - STEP)
        self._times = times
        self.loads = 0

    async def follow(self) -> None:
        """Nothing comes by itself."""

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        start_ms, end_ms = to_ms(start), to_ms(min(end, self._clock.now()))
        self.loads += end - start > STEP * 5
        columns = COLUMNS.between(start_ms, end_ms - Timeframe.M1.ms + 1)
        place = (
            [candle.open_time_ms for candle in columns].index(self._missing_ms)
            if self._asked(columns)
            else None
        )
        if place is None or self._times <= 0:
            return columns
        self._times -= 1
        return CandleColumns.joined([columns.part(0, place), columns.part(place + 1, len(columns))])

    def _asked(self, columns: CandleColumns) -> bool:
        return any(candle.open_time_ms == self._missing_ms for candle in columns)


class Notes(Behaviour):
    """Notes what it is told, and when."""

    def __init__(self, ctx: Context, told: list[tuple[datetime, object]]) -> None:
        super().__init__(ctx)
        self._told = told

    def receive(self, message: object) -> None:
        self._told.append((self.ctx.clock.now(), message))


class World:
    def __init__(self, clock: VirtualClock, system: ActorSystem, feed: Feed) -> None:
        self.system = system
        self.windows = Windows()
        self.told: dict[str, list[tuple[datetime, object]]] = {
            name: [] for name in ("evaluator", "scheduler", "account")
        }
        specs = [
            ChildSpec(id=name, factory=lambda ctx, told=told: Notes(ctx, told))  # type: ignore[misc]
            for name, told in self.told.items()
        ]
        market_data = ChildSpec(
            id="market_data",
            factory=lambda ctx: MarketData(ctx, feed=feed, windows=self.windows, journal=JournalBuffer()),
        )
        system.start([*specs, market_data], Supervision(intensity=Intensity(max_restarts=1, window_s=60.0)))

    def tell(self, message: object) -> None:
        self.system.ref("market_data").tell(message)


def started(missing: datetime, times: int) -> tuple[ActorSystem, Venue, Windows]:
    clock = VirtualClock(START + STEP / 2)
    venue, system = Venue(clock, missing, times), ActorSystem.deterministic(clock)
    world = World(clock, system, cast(Feed, venue))
    world.tell(Subscribe(series=SERIES, lookback=20))
    return system, venue, world.windows


def run_to(system: ActorSystem, when: datetime) -> None:
    assert system.virtual is not None
    system.virtual.run_until(when)


@pytest.mark.parametrize(
    "missing", [START - STEP * 3, START + STEP * 2], ids=["at the start", "as it closes"]
)
def test_i10_a_hole_is_filled_when_the_venue_has_the_candle(missing: datetime) -> None:
    """I10: slots are skipped while it is there, not for as long as it stays in the window."""
    # As it closes, the candle is asked for every half second until its deadline, and then with the next one.
    times = 1 if missing < START else 32
    system, _, windows = started(missing, times)
    slot = START + STEP * 3
    run_to(system, slot + timedelta(seconds=1))
    if missing > START:
        assert isinstance(windows.view(SERIES, slot, 20, 20), Gap)
    run_to(system, slot + STEP)
    assert isinstance(windows.view(SERIES, slot + STEP, 20, 20), CandleView)


def test_a_hole_that_stays_is_asked_about_so_often_and_no_more() -> None:
    system, venue, windows = started(START - STEP * 3, 1_000_000)
    run_to(system, START + STEP * 15)
    assert isinstance(windows.view(SERIES, START + STEP * 15, 20, 20), Gap)
    assert venue.loads == 1 + MAX_REFILLS


class Telling:
    """A feed of two venues whose closing candle comes `after_s` its close: whoever asks for it before has to wait.

    `failures`: so often following it ends with an error; then it goes on.
    """

    holds_future = False
    origin = "scripted"
    venues = ("binance", "bybit")

    def __init__(self, clock: VirtualClock, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._sleep = sleep
        self.after_s = 0.0
        self.failures = 0
        self.followed: list[datetime] = []
        self.asked: list[Series] = []

    def market(self, symbol: str) -> Market:
        return Market.PERP

    def finest(self, symbol: str) -> Timeframe:
        return Timeframe.M1

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        self.asked.append(series)
        if end - start <= STEP:
            await self._sleep(self._clock.seconds_until(end + timedelta(seconds=self.after_s)))
        return COLUMNS.between(to_ms(start), to_ms(end) - Timeframe.M1.ms + 1)

    async def follow(self) -> None:
        self.followed.append(self._clock.now())
        if self.failures:
            self.failures -= 1
            raise ConnectionError


def telling(*, failures: int = 0) -> tuple[Telling, World]:
    clock = VirtualClock(START + STEP / 2)
    system = ActorSystem.deterministic(clock)
    feed = Telling(clock, system.effects.sleep)
    feed.failures = failures
    return feed, World(clock, system, cast(Feed, feed))


def test_a_candle_is_handed_on_in_the_moment_the_feed_tells_it() -> None:
    feed, world = telling()
    series = replace(SERIES, venue="bybit")
    world.tell(Subscribe(series=series, lookback=20))
    run_to(world.system, START + STEP - timedelta(seconds=1))
    for name in ("evaluator", "scheduler"):
        world.told[name].clear()
    feed.after_s = 0.137
    run_to(world.system, START + STEP * 1.5)
    expected = SeriesAdvanced(series=series, close_time=START + STEP)
    at = START + STEP + timedelta(seconds=0.137)
    assert world.told["evaluator"] == world.told["scheduler"] == [(at, expected)]


@pytest.mark.parametrize(
    ("named", "followed"), [("bybit", "bybit"), ("paper", "binance"), ("binance", "binance")]
)
def test_an_account_is_told_the_candles_of_the_venue_it_names_or_of_the_first(
    named: str, followed: str
) -> None:
    feed, world = telling()
    world.tell(Watch(venue=named, symbol=SYMBOL, watcher="account", since=START))
    run_to(world.system, START + STEP * 2)
    assert {series.venue for series in feed.asked} == {followed}
    closes = [message.close_time for _, message in world.told["account"] if isinstance(message, CandleClosed)]
    assert closes == [START + STEP, START + STEP * 2]


def test_a_feed_that_fails_is_followed_again_and_one_that_ends_is_not() -> None:
    feed, world = telling(failures=2)
    run_to(world.system, START + STEP * 2)
    pause = timedelta(seconds=FOLLOW_AGAIN_S)
    first = feed.followed[0]
    assert feed.followed == [first, first + pause, first + pause * 2]


def test_what_nobody_looks_at_is_asked_for_no_more_and_loaded_anew_for_who_does() -> None:
    feed, world = telling()
    other, told = replace(SERIES, venue="bybit"), replace(SERIES, venue="binance")
    world.tell(Subscribe(series=SERIES, lookback=20))
    world.tell(Subscribe(series=other, lookback=20))
    world.tell(Watch(venue="binance", symbol=SYMBOL, watcher="account", since=START))
    run_to(world.system, START + STEP * 2)
    assert {*feed.asked} == {SERIES, other, told}
    world.tell(SeriesWanted(series=(SERIES,)))
    feed.asked.clear()
    run_to(world.system, START + STEP * 4)
    assert {*feed.asked} == {SERIES, told}, "an account is told its candles still"
    assert world.windows.get(other) is None
    world.tell(Unwatch(venue="binance", symbol=SYMBOL, watcher="account"))
    world.tell(SeriesWanted(series=()))
    feed.asked.clear()
    run_to(world.system, START + STEP * 6)
    assert feed.asked == []
    world.tell(Subscribe(series=other, lookback=20))
    run_to(world.system, START + STEP * 8)
    assert isinstance(world.windows.view(other, START + STEP * 8, 20, 20), CandleView)


def test_a_series_left_while_it_is_asked_for_stays_left() -> None:
    feed, world = telling()
    feed.after_s = 5.0
    world.tell(Subscribe(series=SERIES, lookback=20))
    run_to(world.system, START + STEP + timedelta(seconds=1))
    world.tell(SeriesWanted(series=()))
    run_to(world.system, START + STEP * 3)
    assert (world.windows.get(SERIES), len(feed.asked)) == (None, 2)
