"""The candle windows: a hole that the venue can fill later is filled, and asked about only so often."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from actors.journal import JournalBuffer
from actors.market_data import MAX_REFILLS, MarketData
from actors.messages import Subscribe
from actors.runtime.behaviour import Behaviour
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


class Deaf(Behaviour):
    def receive(self, message: object) -> None: ...


def started(missing: datetime, times: int) -> tuple[ActorSystem, Venue, Windows]:
    clock, windows = VirtualClock(START + STEP / 2), Windows()
    venue, system = Venue(clock, missing, times), ActorSystem.deterministic(clock)
    specs = [
        ChildSpec(id="evaluator", factory=Deaf),
        ChildSpec(id="scheduler", factory=Deaf),
        ChildSpec(
            id="market_data",
            factory=lambda ctx: MarketData(ctx, feed=venue, windows=windows, journal=JournalBuffer()),  # type: ignore[arg-type]
        ),
    ]
    system.start(specs, Supervision(intensity=Intensity(max_restarts=1, window_s=60.0)))
    system.ref("market_data").tell(Subscribe(series=SERIES, lookback=20))
    return system, venue, windows


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
