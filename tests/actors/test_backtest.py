"""The backtest against plain loops: the same signals to the candle, the same trades, the same events twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
import talib

from actors.backtest import BacktestRequest, BacktestResult, ReplayPath, run_backtest
from core.candles import CandleColumns
from core.market import Market, Series
from core.risk import RiskLimits
from core.run import RunSettings
from core.timeframe import Timeframe, from_ms, to_ms
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.files import FolderCandles
from exchanges.feeds.generator import GeneratedMarket
from exchanges.symbol_rules import shipped_rules
from tests.actors.plain_account import PlainAccount, Row, Terms, trade
from tests.actors.world import World
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
    return replay(columns(origin), limits=None)


def replay(data: CandleColumns, *, limits: RiskLimits | None) -> BacktestResult:
    series = Series(venue="binance", market=Market.PERP, symbol=SYMBOL, timeframe=TIMEFRAME)
    source = ColumnSource(origin="candles", venue="binance", series={series: data})
    request = BacktestRequest(
        template="rsi_oversold_overbought",
        symbol=SYMBOL,
        timeframe=TIMEFRAME,
        settings=RunSettings(leverage=LEVERAGE, stop_loss_pct=STOP_PCT, take_profit_pct=TARGET_PCT),
        limits=limits,
        taker_fee_pct=FEE_PCT,
        slippage_pct=SLIPPAGE_PCT,
    )
    return run_backtest(request, source, path=ReplayPath.ACTORS)


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


def plain_terms() -> Terms:
    rules, hundred = shipped_rules()[SYMBOL], Decimal(100)
    return Terms(
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


def rows_of(data: CandleColumns) -> list[Row]:
    prices = (data.open, data.high, data.low, data.close)
    return list(zip(*(column.tolist() for column in prices), strict=True))


def plain(origin: str) -> PlainAccount:
    data = columns(origin)
    return trade(rows_of(data), rsi_actions(data.close.tolist()), plain_terms())


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
            booked.fees.quantize(Decimal("1e-8")),
            booked.pnl.quantize(Decimal("1e-8")),
        )
        for booked in result.trades
    ]
    expected = [
        (
            t.side,
            t.quantity,
            t.entry_index,
            t.entry,
            t.exit_index,
            t.exit,
            ((t.entry + t.exit) * t.quantity * FEE_PCT / 100).quantize(Decimal("1e-8")),
            t.pnl.quantize(Decimal("1e-8")),
        )
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


# -- under the gates ---------------------------------------------------------------------------------

LIMITS = RiskLimits(
    daily_max_loss_usdt=Decimal(300),
    max_trades_per_day=4,
    max_consecutive_losses=2,
    cooldown_after_trade_s=Decimal(1_800),
    pause_duration_min=Decimal(240),
)


class GatedAccount(PlainAccount):
    """The plain account under LIMITS, by the table of invariants §2; `blocked` counts flat slots by gate."""

    def __init__(self, times: list[int]) -> None:
        super().__init__(plain_terms())
        self.times = times
        self.pnl: Counter[date] = Counter()
        self.entries: Counter[date] = Counter()
        self.streak = 0
        self.last: datetime | None = None
        self.until: datetime | None = None
        self.pauses = 0
        self.blocked: Counter[str] = Counter()
        self.now = from_ms(times[0])

    def play(self, rows: list[Row], actions: list[int]) -> None:
        for index, row in enumerate(rows):
            self.now = from_ms(self.times[index]) + TIMEFRAME.delta
            # Claimed before a stop of this candle is booked: such a run still evaluates (decision 10).
            claimed, idle = self.refusal(), self.held is None
            if claimed is not None and idle:
                self.blocked[claimed] += 1
                continue
            self.touch(row, index)
            side, flat = actions[index], self.held is None
            if not side or index + 1 == len(rows) or (self.held is not None and self.held.side == side):
                continue
            if self.held is not None:
                self.close(self.market_price(side, rows[index + 1][0]), index + 1)
            refused = claimed or self.refusal()
            if refused is None:
                self.open(side, row[3], rows[index + 1][0], index + 1)
            elif flat:
                self.blocked[refused] += 1

    def refusal(self) -> str | None:
        if self.until is not None and self.now >= self.until:
            self.until = None
            self.streak = 0 if self.streak >= LIMITS.max_consecutive_losses else self.streak
        if self.until is not None:
            return "paused"
        if self.pnl[self.now.date()] <= -LIMITS.daily_max_loss_usdt:
            return "daily_loss"
        if self.entries[self.now.date()] >= LIMITS.max_trades_per_day:
            return "max_trades"
        cooldown = timedelta(seconds=float(LIMITS.cooldown_after_trade_s))
        return "cooldown" if self.last is not None and self.now - self.last < cooldown else None

    def book(self, change: Decimal, index: int) -> None:
        day = from_ms(self.times[index]).date()
        before = self.pnl[day]
        self.pnl[day] += change  # type: ignore[assignment]
        if day == self.now.date() and before > -LIMITS.daily_max_loss_usdt >= self.pnl[day]:
            self.pause()

    def pause(self) -> None:
        self.pauses += 1
        self.until = self.now + timedelta(minutes=float(LIMITS.pause_duration_min))

    def open(self, side: int, last_close: float, open_: float, index: int) -> None:
        before = self.balance
        super().open(side, last_close, open_, index)
        if self.held is not None:
            self.entries[self.now.date()] += 1
            self.last = self.now
            self.book(self.balance - before, index)

    def close(self, price: Decimal, index: int) -> None:
        before = self.balance
        super().close(price, index)
        self.book(self.balance - before, index)
        self.streak = self.streak + 1 if self.trades[-1].pnl < 0 else 0
        if self.streak == LIMITS.max_consecutive_losses:
            self.pause()


@pytest.mark.parametrize("origin", ORIGINS)
def test_i7_the_gates_change_what_follows_as_they_do_a_plain_account(origin: str) -> None:
    data = columns(origin)
    account = GatedAccount(data.open_time.astype(int).tolist())
    account.play(rows_of(data), rsi_actions(data.close.tolist()))
    result = replay(data, limits=LIMITS)
    places = Decimal("1e-8")
    got = [(to_ms(t.entry_time), t.quantity, t.exit_price, t.pnl.quantize(places)) for t in result.trades]
    assert got == [
        (account.times[t.entry_index], t.quantity, t.exit, t.pnl.quantize(places)) for t in account.trades
    ]
    blocked = {reason: count for (status, reason), count in result.ticks.items() if status == "blocked"}
    assert blocked == account.blocked
    assert account.pauses > 0
    assert {"paused", "max_trades", "cooldown"} <= set(blocked)
    assert len(result.trades) < len(backtest(origin).trades)


# -- the future --------------------------------------------------------------------------------------


def cut(data: CandleColumns, end: datetime) -> CandleColumns:
    """The candles that closed by `end`."""
    return data.between(int(data.open_time[0]), to_ms(end) - TIMEFRAME.ms + 1)


def test_i10_a_backtest_without_the_future_has_the_same_past() -> None:
    data, whole = columns("generated"), backtest("generated")
    for share in (3, 2):
        end = from_ms(int(data.open_time[len(data) // share]))
        short = replay(cut(data, end), limits=None)
        assert short.signals == tuple(signal for signal in whole.signals if signal.slot <= end)
        assert short.trades == tuple(trade for trade in whole.trades if trade.exit_time < end)
        assert short.equity == tuple(point for point in whole.equity if point.at < end)


def test_the_end_of_data_leaves_a_position_open_and_says_so() -> None:
    whole = backtest("generated")
    last = max(whole.trades, key=lambda booked: booked.exit_time - booked.entry_time)
    end = TIMEFRAME.floor(last.entry_time + (last.exit_time - last.entry_time) / 2)
    short = replay(cut(columns("generated"), end), limits=None)
    held = short.open_position
    assert held is not None
    assert held.position.opened_at == last.entry_time
    assert held.position.size == last.quantity
    assert last not in short.trades


def events_hash() -> str:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    data = cut(columns("generated"), start + timedelta(days=5))
    world = World("", timeframe=TIMEFRAME, start=start, columns=data, replayed=True, limits=LIMITS)
    run = world.run(strategy=world.strategy(template="rsi_oversold_overbought", rsi_period=14))
    world.play()
    world.end()
    events = world.memory.events(run_id=run, limit=100_000)
    assert len(events) > 50
    return hashlib.sha256(msgspec.json.encode(events)).hexdigest()


def test_the_same_replay_twice_leaves_the_same_events_to_the_byte() -> None:
    assert events_hash() == events_hash()
