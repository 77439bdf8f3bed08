"""The backtest against plain loops: the same signals to the candle, the same trades, the same events twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import talib

from actors.backtest import BacktestRequest, BacktestResult, run_backtest
from core.candles import CandleColumns
from core.market import Market, Series
from core.run import RunSettings
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.files import FolderCandles
from exchanges.feeds.generator import GeneratedMarket
from exchanges.symbol_rules import shipped_rules
from tests.actors.plain_account import PlainAccount, Terms, trade
from tests.conftest import recorded_data_folder

SYMBOL = "BTCUSDT"
TIMEFRAME = Timeframe.M5
DAYS = 30
LEVERAGE, FEE_PCT, SLIPPAGE_PCT, STOP_PCT, TARGET_PCT = (
    3,
    Decimal("0.04"),
    Decimal("0.02"),
    Decimal("1.5"),
    Decimal(3),
)

ORIGINS = ["generated", pytest.param("recorded", marks=pytest.mark.requires_recorded_data)]


@cache
def columns(origin: str) -> CandleColumns:
    if origin == "generated":
        start = datetime(2026, 1, 1, tzinfo=UTC)
        return GeneratedMarket(7).candles(SYMBOL, TIMEFRAME, start, start + timedelta(days=DAYS))
    folder = recorded_data_folder()
    assert folder is not None
    return recorded(folder)


def recorded(folder: Path) -> CandleColumns:
    """The first days of the longest stretch without a hole."""
    source = FolderCandles(folder)
    coverage = source.coverage(SYMBOL, TIMEFRAME)
    assert coverage is not None
    longest = max(coverage.stretches, key=lambda stretch: stretch.end - stretch.start)
    end = min(longest.end, longest.start + timedelta(days=DAYS))
    return source.candles(SYMBOL, TIMEFRAME, longest.start, end)


@cache
def backtest(origin: str) -> BacktestResult:
    series = Series(venue="binance", market=Market.PERP, symbol=SYMBOL, timeframe=TIMEFRAME)
    source = ColumnSource(origin=origin, venue="binance", series={series: columns(origin)})
    request = BacktestRequest(
        template="rsi_oversold_overbought",
        symbol=SYMBOL,
        timeframe=TIMEFRAME,
        settings=RunSettings(leverage=LEVERAGE, stop_loss_pct=STOP_PCT, take_profit_pct=TARGET_PCT),
        limits=None,
        taker_fee_pct=FEE_PCT,
        slippage_pct=SLIPPAGE_PCT,
    )
    return run_backtest(request, source)


def rsi_actions(close: list[float]) -> list[int]:
    """1 long, -1 short, 0 hold: the plain loop over TA-Lib's RSI."""
    actions = []
    for value in talib.RSI(np.array(close), timeperiod=14).tolist():
        if value < 30:
            actions.append(1)
        elif value > 70:
            actions.append(-1)
        else:
            actions.append(0)
    return actions


def plain(origin: str) -> PlainAccount:
    data, rules = columns(origin), shipped_rules()[SYMBOL]
    hundred = Decimal(100)
    terms = Terms(
        tick=rules.tick_size,
        step=rules.market_step_size,
        min_notional=rules.min_notional,
        capital=Decimal(10_000),
        leverage=LEVERAGE,
        fee=FEE_PCT / hundred,
        slippage=SLIPPAGE_PCT / hundred,
        stop=STOP_PCT / hundred,
        target=TARGET_PCT / hundred,
    )
    rows = list(
        zip(data.open.tolist(), data.high.tolist(), data.low.tolist(), data.close.tolist(), strict=True)
    )
    return trade(rows, rsi_actions(data.close.tolist()), terms)


@pytest.mark.parametrize("origin", ORIGINS)
def test_signals_are_those_of_a_plain_loop_to_the_candle(origin: str) -> None:
    data = columns(origin)
    names = {1: "long", -1: "short"}
    closes = (data.open_time + TIMEFRAME.ms).astype(int).tolist()
    expected = [
        (at, names[action])
        for at, action in zip(closes, rsi_actions(data.close.tolist()), strict=True)
        if action
    ]
    assert len(expected) > 100
    assert [(to_ms(signal.slot), signal.action) for signal in backtest(origin).signals] == expected


@pytest.mark.parametrize("origin", ORIGINS)
def test_trades_are_those_of_a_plain_account(origin: str) -> None:
    account, result = plain(origin), backtest(origin)
    times = columns(origin).open_time.astype(int).tolist()
    assert len(account.trades) > 10
    index_of = {at: index for index, at in enumerate(times)}
    got = [
        (
            1 if booked.side == "long" else -1,
            booked.quantity,
            index_of[to_ms(booked.entry_time)],
            booked.entry_price,
            index_of[to_ms(TIMEFRAME.floor(booked.exit_time))],
            booked.exit_price,
            booked.pnl.quantize(Decimal("1e-8")),
        )
        for booked in result.trades
    ]
    expected = [
        (t.side, t.quantity, t.entry_index, t.entry, t.exit_index, t.exit, t.pnl.quantize(Decimal("1e-8")))
        for t in account.trades
    ]
    assert got == expected
    assert result.equity[-1].balance.quantize(Decimal("1e-8")) == account.balance.quantize(Decimal("1e-8"))
    held = result.open_position
    assert (held is None) == (account.held is None)
    if held is not None and account.held is not None:
        assert held.position.quantity == account.held.quantity * account.held.side


def test_the_same_backtest_twice_is_the_same_backtest() -> None:
    first = backtest("generated")
    backtest.cache_clear()
    second = backtest("generated")
    assert (first.signals, first.trades, first.equity, first.ticks) == (
        second.signals,
        second.trades,
        second.equity,
        second.ticks,
    )


def test_every_slot_is_answered_and_the_risk_gates_are_off() -> None:
    result = backtest("generated")
    assert sum(result.ticks.values()) == result.run_slots == len(columns("generated"))
    assert not any(status == "blocked" for status, _ in result.ticks)
