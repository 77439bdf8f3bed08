"""What a demo chooses to play of what a source holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from actors.demo import WARM_UP, demo_of, stage_of
from core.candles import CandleColumns
from core.errors import RunnerError
from core.market import Market
from core.timeframe import Timeframe
from exchanges.feeds.base import Coverage, FundingRate, NoCandles, Stretch
from tests.live.candle_folder import generated_source

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Spans = dict[tuple[str, Timeframe], list[tuple[timedelta, timedelta]]]


class Held:
    """A source of which only is told what it holds: (symbol, timeframe) → stretches after T0."""

    origin = "told candles"
    venue = "binance"

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted({symbol for symbol, _ in self._spans}))

    def market(self, symbol: str) -> Market:
        return Market.PERP

    def coverage(self, symbol: str, timeframe: Timeframe) -> Coverage | None:
        spans = self._spans.get((symbol, timeframe))
        if spans is None:
            return None
        stretches = tuple(Stretch(start=T0 + start, end=T0 + end) for start, end in spans)
        return Coverage(candles=1, stretches=stretches)

    def candles(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        raise NoCandles("not for candles")

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return ()


M1, M5 = Timeframe.M1, Timeframe.M5


@pytest.mark.parametrize(
    ("spans", "symbols", "timeframe", "span"),
    [
        ({("A", M1): [(0 * DAY, 3 * DAY)]}, ("A",), M1, (0 * DAY, 3 * DAY)),
        # The finest timeframe wins, unless it is less than a day.
        ({("A", M1): [(0 * DAY, 2 * DAY)], ("B", M5): [(0 * DAY, 90 * DAY)]}, ("A",), M1, (0 * DAY, 2 * DAY)),
        (
            {("A", M1): [(0 * DAY, 23 * HOUR)], ("B", M5): [(0 * DAY, 9 * DAY)]},
            ("B",),
            M5,
            (0 * DAY, 9 * DAY),
        ),
        # The longest stretch of each; what most symbols share before what one has alone.
        ({("A", M1): [(0 * DAY, 2 * DAY), (3 * DAY, 8 * DAY)]}, ("A",), M1, (3 * DAY, 8 * DAY)),
        (
            {
                ("A", M1): [(0 * DAY, 40 * DAY)],
                ("B", M1): [(1 * DAY, 40 * DAY)],
                ("C", M1): [(60 * DAY, 99 * DAY)],
            },
            ("A", "B"),
            M1,
            (1 * DAY, 40 * DAY),
        ),
        # At most four.
        (
            {(name, M1): [(0 * DAY, 5 * DAY)] for name in "ABCDE"},
            ("A", "B", "C", "D"),
            M1,
            (0 * DAY, 5 * DAY),
        ),
        # Whole days from midnight where one fits, else cut as coarsely as can be: no candle straddles the cut.
        ({("A", M1): [(5 * HOUR, 3 * DAY + 7 * HOUR)]}, ("A",), M1, (1 * DAY, 3 * DAY)),
        ({("A", M1): [(10 * HOUR, 40 * HOUR)]}, ("A",), M1, (12 * HOUR, 36 * HOUR)),
        ({("A", M1): [(HOUR / 60, DAY + HOUR / 60)]}, ("A",), M1, (HOUR / 60, DAY + HOUR / 60)),
    ],
)
def test_choice(
    spans: Spans, symbols: tuple[str, ...], timeframe: Timeframe, span: tuple[timedelta, timedelta]
) -> None:
    stage = stage_of(Held(spans))
    assert (stage.symbols, stage.timeframe) == (symbols, timeframe)
    assert (stage.span[0] - T0, stage.span[1] - T0) == span
    assert stage.span[0] < stage.start < stage.span[1]
    assert stage.start - stage.span[0] <= WARM_UP
    assert Timeframe.M15.floor(stage.start) == stage.start


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        ({("A", M1): [(0 * DAY, 23 * HOUR)]}, "no stretch of a day"),
        (
            {("A", M1): [(0 * DAY, 26 * HOUR)], ("B", M1): [(4 * HOUR, 30 * HOUR)]},
            "the symbols share are less than a day",
        ),
    ],
)
def test_what_is_too_short_is_refused_in_a_sentence(spans: Spans, why: str) -> None:
    with pytest.raises(RunnerError, match=why):
        stage_of(Held(spans))


def test_a_round_ends_one_candle_before_the_next_begins_and_each_has_its_warm_up() -> None:
    demo = demo_of(generated_source(2 * DAY))
    for round_ in range(3):
        assert demo.end_of(round_) == demo.source.start_of(round_ + 1) - demo.stage.timeframe.delta
        assert demo.start_of(round_) < demo.end_of(round_) < demo.start_of(round_ + 1)
        assert (
            demo.source.round_of(demo.start_of(round_)) == demo.source.round_of(demo.end_of(round_)) == round_
        )
