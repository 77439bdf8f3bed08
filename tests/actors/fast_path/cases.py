"""Replays drawn at random: candles with holes and thin volume, every setting a run has, gates that bite."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

from actors.backtest import BacktestRequest, BacktestResult, ReplayPath, run_backtest
from core.candles import CandleColumns
from core.market import Market, Series
from core.risk import RiskLimits
from core.run import Direction, RunSettings
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource, ColumnSource, FundingRate

SYMBOL = "BTCUSDT"
START = datetime(2026, 3, 1, tzinfo=UTC)

LIVELY: Mapping[str, Mapping[str, st.SearchStrategy[int | float]]] = {
    "rsi_oversold_overbought": {
        "rsi_period": st.integers(2, 7),
        "rsi_oversold": st.integers(15, 50),
        "rsi_overbought": st.integers(51, 85),
    },
    "sma_trend": {"period": st.integers(2, 12)},
    "ema_cross": {"fast_period": st.integers(2, 4), "slow_period": st.integers(5, 9)},
    "macd": {
        "fast_period": st.integers(2, 4),
        "slow_period": st.integers(5, 9),
        "signal_period": st.integers(2, 4),
    },
    "bollinger_reversion": {"period": st.integers(2, 12), "deviations": st.floats(0.5, 2)},
    "donchian_breakout": {"entry_period": st.integers(4, 9), "exit_period": st.integers(2, 4)},
}
"""Parameters with which a few hundred candles hold many trades."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A replay to be made on both paths."""

    request: BacktestRequest
    source: CandleSource


def candles(
    seed: int, count: int, timeframe: Timeframe, start: datetime, *, wild: float, thin: float, holes: int
) -> CandleColumns:
    """A random walk on a grid of 0.1; `thin`: share of candles with next to no volume; `holes`: cut out of it."""
    random = np.random.default_rng(seed)
    steps = random.standard_t(4, count) * wild
    jumps = random.standard_t(4, count) * wild * (random.random(count) < 0.2)
    closes = 60_000 * np.exp(np.cumsum(steps + jumps))
    opens = np.concatenate(([60_000.0], closes[:-1])) * np.exp(jumps)
    reach = random.exponential(wild, (2, count))
    data = np.empty((7, count))
    data[0] = int(start.timestamp() * 1000) + np.arange(count) * timeframe.ms
    data[1], data[4] = opens, closes
    data[2] = np.maximum(opens, closes) * (1 + reach[0])
    data[3] = np.minimum(opens, closes) * (1 - np.minimum(reach[1], 0.5))
    # Closes that repeat make windows without a change, and prices on a trigger to the tick.
    data[1:5] = np.maximum(np.round(data[1:5], random.choice([1, 0, -2])), 0.1)
    data[5] = np.round(random.gamma(2.0, 50.0, count), 3)
    thinned = random.random(count) < thin
    data[5, thinned] = np.round(random.random(int(thinned.sum())) * 0.1, 3)
    data[6] = np.nan
    kept = np.ones(count, dtype=np.bool_)
    for _ in range(holes):
        at = int(random.integers(1, count - 1))
        kept[at : min(count - 1, at + int(random.integers(1, 4)))] = False
    return CandleColumns(data[:, kept].copy())


def pct(low: str, high: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=2)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


limits = st.builds(
    RiskLimits,
    daily_max_loss_usdt=st.sampled_from([Decimal(5), Decimal(50), Decimal(400), Decimal(100_000)]),
    max_trades_per_day=st.sampled_from([0, 1, 3, 20]),
    max_consecutive_losses=st.sampled_from([1, 2, 3, 50]),
    cooldown_after_trade_s=st.sampled_from([Decimal(0), Decimal(30), Decimal("899.5"), Decimal(7200)]),
    pause_duration_min=st.sampled_from([Decimal(1), Decimal("7.5"), Decimal(240), Decimal(1440)]),
)

run_settings = st.builds(
    RunSettings,
    direction=st.sampled_from(Direction),
    leverage=st.sampled_from([1, 1, 2, 5, 20, 100]),
    capital=st.sampled_from([Decimal(60), Decimal(150), Decimal(10_000), Decimal(250_000)]),
    order_size_pct=st.sampled_from([Decimal(100), Decimal(100), Decimal(33), Decimal(1)]),
    take_profit_pct=maybe(pct("0.05", "4")),
    stop_loss_pct=maybe(pct("0.05", "4")),
    trailing_callback_pct=maybe(st.integers(1, 40).map(lambda tenths: Decimal(tenths) / 10)),
    trailing_activation_pct=st.just(Decimal(0)) | pct("0.05", "3"),
)


@st.composite
def cases(draw: st.DrawFn, templates: tuple[str, ...] = tuple(LIVELY), most: int = 500) -> Case:
    template = draw(st.sampled_from(templates))
    timeframe = draw(st.sampled_from([Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4]))
    finer = draw(st.sampled_from([None, None, None, Timeframe.M1, Timeframe.M5, Timeframe.M15]))
    finest = (
        finer
        if finer is not None and finer.seconds * 2 <= timeframe.seconds <= finer.seconds * 12
        else timeframe
    )
    per = timeframe.seconds // finest.seconds
    count = draw(st.integers(20, most))
    start = START + timeframe.delta * draw(st.integers(0, 400))
    data = candles(
        draw(st.integers(0, 1 << 32)),
        count * per,
        finest,
        start,
        wild=draw(st.sampled_from([0.0005, 0.003, 0.02])),
        thin=draw(st.sampled_from([0.0, 0.0, 0.0, 0.03, 0.3])),
        holes=draw(st.sampled_from([0, 0, 0, 1, 3])),
    )
    series = Series(venue="binance", market=Market.PERP, symbol=SYMBOL, timeframe=finest)
    rates = (
        funding(draw(st.integers(0, 1 << 32)), start, timeframe.delta * count) if draw(st.booleans()) else ()
    )
    source = ColumnSource(origin="drawn", venue="binance", series={series: data}, funding={SYMBOL: rates})
    cut = timeframe.delta * draw(st.sampled_from([0, 0, 0, 5, count // 2]))
    short = timeframe.delta * draw(st.sampled_from([0, 0, 0, 3]))
    parameters = {name: draw(values) for name, values in LIVELY[template].items()}
    return Case(
        source=source,
        request=BacktestRequest(
            template=template,
            symbol=SYMBOL,
            timeframe=timeframe,
            parameters=parameters,
            start=start + cut if cut else None,
            end=start + timeframe.delta * count - short if short else None,
            settings=draw(run_settings),
            limits=draw(st.none() | limits),
            taker_fee_pct=draw(st.sampled_from([Decimal(0), Decimal("0.04"), Decimal("0.5")])),
            slippage_pct=draw(st.sampled_from([Decimal(0), Decimal("0.02"), Decimal(1)])),
            participation_pct=draw(
                st.sampled_from([Decimal(100), Decimal(100), Decimal(10), Decimal("0.1")])
            ),
        ),
    )


def funding(seed: int, start: datetime, length: timedelta) -> tuple[FundingRate, ...]:
    """Every eight hours, and at odd hours too, stamped some milliseconds late as venues do."""
    random = np.random.default_rng(seed)
    hours = range(0, int(length.total_seconds() // 3600) + 9, 2)
    return tuple(
        FundingRate(
            at=start.replace(minute=0, second=0)
            + timedelta(hours=hour, milliseconds=int(random.integers(0, 900))),
            rate=Decimal(repr(round(float(random.normal(0, 0.001)), 6))),
        )
        for hour in hours
        if hour % 8 == 0 or random.random() < 0.3
    )


def both(case: Case) -> tuple[BacktestResult, BacktestResult]:
    """By the fast path, by the actors; raises Unserved where the first does not serve."""
    fast = run_backtest(case.request, case.source, path=ReplayPath.FAST)
    return fast, run_backtest(case.request, case.source, path=ReplayPath.ACTORS)


def assert_equal(fast: BacktestResult, actors: BacktestResult) -> None:
    """Trade by trade, point by point, tick count by tick count; the counts first, they tell most."""
    assert dict(fast.ticks) == dict(actors.ticks)
    assert list(fast.signals) == list(actors.signals)
    assert fast.trades == actors.trades
    assert fast.equity == actors.equity
    assert fast.open_position == actors.open_position
    assert (fast.run_slots, fast.origin, fast.funding_known, fast.request) == (
        actors.run_slots,
        actors.origin,
        actors.funding_known,
        actors.request,
    )
    assert np.array_equal(fast.candles.data, actors.candles.data, equal_nan=True)
