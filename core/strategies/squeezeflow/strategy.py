"""squeezeflow as a built-in strategy: its windows, its parameters, and the signal a reading means."""

from __future__ import annotations

from typing import ClassVar, Final

from core.candles import CandleColumns
from core.market import Market, Series
from core.parameters import Parameters, ParameterSpec
from core.position import Side
from core.signal import Action, Signal
from core.strategies.squeezeflow.flow import Flow, base_of, candles_needed
from core.strategies.squeezeflow.quality import check_quality
from core.strategies.squeezeflow.reading import Phase, Reading, indicators_of, read_flow
from core.strategy import Context, IndicatorChart, WantedWindow
from core.timeframe import Timeframe

HISTORY_MIN: Final = 48 * 60
"""What is looked at once it is there: the candles that count for the data-quality gate."""
_ENTRIES: Final = {1: Action.LONG, -1: Action.SHORT}
_EXITS: Final = {1: Action.EXIT_LONG, -1: Action.EXIT_SHORT}


class SqueezeFlow:
    """Looks at spot beside the perpetual, whatever market its run trades; no array form, as flow needs both."""

    name: ClassVar[str] = "squeezeflow"
    content: ClassVar[str] = "template:squeezeflow:1"
    specs: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(
            name="min_data_points",
            default=500,
            minimum=50,
            maximum=5_000,
            meaning="candles with spot and perpetual volume and takers",
        ),
        ParameterSpec(
            name="min_score", default=4, minimum=4, maximum=10, whole=False, meaning="of an entry, 0 to 10"
        ),
    )
    uses_position: ClassVar[bool] = True
    charts: ClassVar[tuple[IndicatorChart, ...]] = (
        IndicatorChart(
            title="Score",
            indicators=("score",),
            note="0 to 10, of an entry being reset; below 0 that of a short. From 4 on it is entered.",
        ),
        IndicatorChart(
            title="Phase",
            indicators=("phase",),
            note="1 context, 2 divergence, 3 reset, 4 entry; below 0 towards a short.",
            stepped=True,
        ),
        IndicatorChart(
            title="Flow",
            indicators=("spot_flow", "perp_flow"),
            note="Half an hour's move of each CVD, in the usual moves of the last 24 hours.",
        ),
        IndicatorChart(
            title="Reasons to exit",
            indicators=("exit_long", "exit_short"),
            note="How many of the four hold.",
            stepped=True,
        ),
    )

    def problems(self, parameters: Parameters) -> list[str]:
        return []

    def lookback(self, parameters: Parameters) -> int:
        """Of its own candles it only looks at the price."""
        return 1

    def min_candles(self, parameters: Parameters) -> int:
        return 1

    def windows(self, series: Series, parameters: Parameters) -> tuple[WantedWindow, ...]:
        """Spot and perpetual of its symbol, on the candles that flow is measured on."""
        base, points = base_of(series.timeframe), int(parameters["min_data_points"])
        need = max(points, candles_needed(base))
        return tuple(
            WantedWindow(
                series=Series(venue=series.venue, market=market, symbol=series.symbol, timeframe=base),
                lookback=max(need, HISTORY_MIN * 60 // base.seconds),
                min_candles=need,
            )
            for market in (Market.SPOT, Market.PERP)
        )

    def decide(self, context: Context) -> Signal:
        spot, perp, base = _both(context)
        need = candles_needed(base)
        check_quality(spot, perp, points=int(context.parameters["min_data_points"]), newest=need)
        flow = Flow.of(spot, perp, base)
        reading = read_flow(flow)
        return _signal(reading, indicators_of(reading, flow), context)


def _both(context: Context) -> tuple[CandleColumns, CandleColumns, Timeframe]:
    found = {series.market: (columns, series.timeframe) for series, columns in context.extra.items()}
    (spot, base), (perp, _) = found[Market.SPOT], found[Market.PERP]
    return spot, perp, base


def _signal(reading: Reading, indicators: dict[str, float], context: Context) -> Signal:
    """An entry before an exit: it exits the other side first. Of a position that is not known, both sides may exit;
    the one with more reasons does, and the long one where that is equal.
    """
    side, band, total = reading.side, reading.score.band, reading.score.total
    if reading.phase is Phase.ENTRY and band is not None and total >= context.parameters["min_score"]:
        return Signal(
            action=_ENTRIES[side],
            score=total,
            confidence=total / 10,
            size_factor=band.size_factor,
            leverage=band.leverage,
            reason=f"{'Long' if side > 0 else 'Short'} squeeze, score {total:.1f}",
            indicators=indicators,
        )
    held = context.position
    sides = (1, -1) if held is None else ((1,) if held.side is Side.LONG else (-1,))
    leaving = max(sides, key=lambda each: len(reading.exits[each]))
    if reading.exits[leaving]:
        reason = ", ".join(reading.exits[leaving]).capitalize()
        return Signal(action=_EXITS[leaving], reason=reason, indicators=indicators)
    return Signal(action=Action.HOLD, indicators=indicators)
