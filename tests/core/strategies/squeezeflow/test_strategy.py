"""squeezeflow on real candles, recorded where there are any: what it asks for, refuses, answers, and never sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from core.candles import CandleColumns
from core.market import Market, Series
from core.position import Side
from core.signal import Action, BadSignal, Signal
from core.strategies import template
from core.strategies.squeezeflow.flow import base_of
from core.strategy import Context, HeldPosition, strategy_parameters
from core.timeframe import Timeframe, from_ms
from tests.conftest import recorded_data_folder
from tests.core.strategies.squeezeflow.cases import BASE, NEED, markets

STRATEGY = template("squeezeflow")
DEFAULTS = strategy_parameters(STRATEGY, {})
SYMBOLS = ("BTCUSDT", "SOLUSDT")
ORIGINS = ["generated", pytest.param("recorded", marks=pytest.mark.requires_recorded_data)]

Both = Mapping[Market, CandleColumns]


@cache
def real(origin: str, symbol: str = "BTCUSDT") -> Both:
    folder: Path | None = recorded_data_folder() if origin == "recorded" else None
    return markets(folder, symbol, days=6)


def series(market: Market, timeframe: Timeframe = BASE) -> Series:
    return Series(venue="binance", market=market, symbol="BTCUSDT", timeframe=timeframe)


def context_of(both: Both, held: Side | None = None, **parameters: object) -> Context:
    perp = both[Market.PERP]
    position = held and HeldPosition(
        side=held, quantity=Decimal(1), entry_price=Decimal(1), unrealised_pnl=Decimal(0)
    )
    return Context(
        candles=perp.part(len(perp) - 1, len(perp)),
        extra={series(market): columns for market, columns in both.items()},
        parameters=strategy_parameters(STRATEGY, parameters) if parameters else DEFAULTS,
        slot=from_ms(int(perp.open_time[-1]) + BASE.ms),
        position=position or None,
    )


def cut(both: Both, stop: int, count: int = 576) -> Both:
    return {market: columns.part(max(0, stop - count), stop) for market, columns in both.items()}


@cache
def signals(origin: str, symbol: str) -> tuple[Signal | None, ...]:
    """At every slot with enough history; None where it was skipped."""
    both, told = real(origin, symbol), []
    for stop in range(576, len(both[Market.PERP]) + 1):
        try:
            told.append(STRATEGY.decide(context_of(cut(both, stop))))
        except BadSignal:
            told.append(None)
    return tuple(told)


@pytest.mark.parametrize(
    ("timeframe", "base", "lookback"),
    [("1m", "1m", 2880), ("3m", "3m", 960), ("5m", "5m", 576), ("15m", "5m", 576), ("1d", "5m", 576)],
)
def test_it_asks_for_spot_and_perpetual_on_the_candles_flow_is_measured_on(
    timeframe: str, base: str, lookback: int
) -> None:
    windows = STRATEGY.windows(series(Market.PERP, Timeframe(timeframe)), DEFAULTS)
    assert [window.series for window in windows] == [
        series(market, Timeframe(base)) for market in (Market.SPOT, Market.PERP)
    ]
    assert {window.lookback for window in windows} == {lookback}
    assert base_of(Timeframe(timeframe)).divides(Timeframe(timeframe))


def test_i10_history_below_the_data_points_asked_for_is_too_short() -> None:
    """I10: the window says so before anything is looked at."""
    [spot, perp] = STRATEGY.windows(
        series(Market.PERP), strategy_parameters(STRATEGY, {"min_data_points": 700})
    )
    assert (spot.min_candles, perp.min_candles, spot.lookback) == (700, 700, 700)
    [spot, _] = STRATEGY.windows(series(Market.PERP), strategy_parameters(STRATEGY, {"min_data_points": 50}))
    assert spot.min_candles == NEED, "24 hours, and the longest window before them"


def _changed(both: Both, market: Market, place: slice, row: int, value: float) -> Both:
    data = np.array(both[market].data)
    data[row, place] = value
    return {**both, market: CandleColumns(data)}


@pytest.mark.parametrize(
    ("market", "place", "row", "value", "said"),
    [
        (Market.SPOT, slice(0, 100), 5, 0.0, "needs 500 spot candles with volume and takers and got 476"),
        (Market.PERP, slice(0, 100), 6, np.nan, "needs 500 perpetual candles with volume and takers"),
        (Market.SPOT, slice(-1, None), 5, 0.0, "no spot volume in the newest candle"),
        (Market.PERP, slice(-1, None), 5, 0.0, "no perpetual volume in the newest candle"),
        (Market.PERP, slice(-20, -19), 6, np.nan, "known and got 19: 318 more candles"),
    ],
)
def test_poor_data_is_skipped_by_name(
    market: Market, place: slice, row: int, value: float, said: str
) -> None:
    both = _changed(cut(real("generated"), 700), market, place, row, value)
    if row == 5:
        both = _changed(both, market, place, 6, 0.0)
    with pytest.raises(BadSignal, match=said) as refused:
        STRATEGY.decide(context_of(both))
    assert refused.value.fault.value == "too_few_candles"


def test_windows_that_end_at_different_times_are_skipped_by_name() -> None:
    both = cut(real("generated"), 700)
    late = {**both, Market.SPOT: both[Market.SPOT].part(0, 575)}
    with pytest.raises(BadSignal, match="end at different times"):
        STRATEGY.decide(context_of(late))


@pytest.mark.requires_recorded_data
def test_while_the_venue_stood_still_slots_were_skipped() -> None:
    """2025-08-29 06:20 to 06:30: the perpetuals' matching had stopped, spot went on."""
    skipped = [place for place, signal in enumerate(signals("recorded", "BTCUSDT")) if signal is None]
    opens = real("recorded")[Market.PERP].open_time[575:]
    assert [from_ms(int(opens[place])).strftime("%d %H:%M") for place in skipped] == [
        "29 06:20", "29 06:25", "29 06:30",
    ]  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("origin", ORIGINS)
def test_real_candles_lead_through_all_phases_to_entries_and_exits_of_both_sides(
    origin: str, symbol: str
) -> None:
    told = [signal for signal in signals(origin, symbol) if signal is not None]
    actions = Counter(signal.action for signal in told)
    assert set(actions) == set(Action)
    assert actions[Action.LONG] + actions[Action.SHORT] < len(told) / 3, "an entry is something special"
    assert {abs(int(signal.indicators["phase"])) for signal in told} == {0, 1, 2, 3, 4}
    for name in ("score_deceleration", "score_absorption", "score_failed_breakdown", "score_bias"):
        assert any(signal.indicators[name] > 0 for signal in told), name


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_entry_carries_its_score_size_and_leverage_and_an_exit_its_reason(origin: str) -> None:
    for signal in filter(None, signals(origin, "BTCUSDT")):
        if signal.action in (Action.LONG, Action.SHORT):
            assert signal.score is not None
            assert signal.score >= 4
            assert abs(signal.indicators["score"]) == signal.score
            assert signal.leverage == (5 if signal.score >= 8 else 3 if signal.score >= 6 else 2)
            assert signal.stop_loss is signal.take_profit is None
            assert signal.indicators[f"exit_{signal.action}"] == 0, "it would have to be left at once"
        elif signal.action is not Action.HOLD:
            assert signal.reason


@pytest.mark.parametrize("origin", ORIGINS)
def test_i10_nothing_looks_ahead_and_nothing_beyond_the_day_is_seen(origin: str) -> None:
    """I10: at every slot the same answer, whatever came after it and whatever lies before the windows."""
    both, told = real(origin), signals(origin, "BTCUSDT")
    for stop in range(580, len(both[Market.PERP]), 97):
        past = {market: columns.part(0, stop) for market, columns in both.items()}
        answer = STRATEGY.decide(context_of(past))
        assert answer == told[stop - 576], "more history is shown"
        assert STRATEGY.decide(context_of(cut(both, stop, 510))) == answer, "less is"


def test_of_a_position_only_its_own_side_is_left() -> None:
    both = real("generated")
    sides = {Side.LONG: Action.EXIT_LONG, Side.SHORT: Action.EXIT_SHORT}
    seen = set()
    for stop in range(580, 1400, 7):
        for held, leaving in sides.items():
            action = STRATEGY.decide(context_of(cut(both, stop), held)).action
            assert action in (Action.LONG, Action.SHORT, Action.HOLD, leaving)
            seen.add(action)
    assert seen == set(Action)


def test_a_higher_score_can_be_asked_for() -> None:
    both, entries = real("generated"), {4: 0, 8: 0}
    for stop in range(576, 1700, 5):
        for least in entries:
            answer = STRATEGY.decide(context_of(cut(both, stop), min_score=least))
            entries[least] += answer.action in (Action.LONG, Action.SHORT)
    assert entries[8] < entries[4]
