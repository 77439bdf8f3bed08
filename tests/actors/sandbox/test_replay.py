"""A strategy as code in a replay: the same signals as the template it copies, on every slot."""

from __future__ import annotations

from actors.backtest import BacktestRequest, BacktestResult, ReplayPath, run_backtest
from core.definition import StrategyKind
from core.market import Market, Series
from core.strategies.code import StrategyCode
from core.timeframe import Timeframe
from exchanges.feeds.base import ColumnSource
from tests.actors.test_backtest import columns

RSI = """
import talib

def strategy(context):
    parameters = context.parameters
    closes = context.candles.close
    if (closes == closes[0]).all():
        return {"action": "hold"}
    rsi = talib.RSI(closes, parameters.rsi_period)[-1]
    if rsi < parameters.rsi_oversold:
        action = "buy"
    elif rsi > parameters.rsi_overbought:
        action = "sell"
    else:
        action = "hold"
    return {"action": action, "indicators": {"rsi": rsi}}
"""
PARAMETERS = {"rsi_period": 14, "rsi_oversold": 30, "rsi_overbought": 70}
DAYS_OF_CANDLES = 7 * 288


def replay(template: str, code: StrategyCode | None = None) -> BacktestResult:
    series = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
    candles = columns("generated").part(0, DAYS_OF_CANDLES)
    source = ColumnSource(origin="candles", venue="binance", series={series: candles})
    request = BacktestRequest(
        template=template,
        kind=StrategyKind.TEMPLATE if code is None else StrategyKind.PYTHON,
        source="" if code is None else code.source(),
        symbol="BTCUSDT",
        timeframe=Timeframe.M5,
        parameters=PARAMETERS,
        limits=None,
    )
    return run_backtest(request, source, path=ReplayPath.AUTO)


def test_rsi_as_python_and_as_template_signal_alike_on_every_slot() -> None:
    template = replay("rsi_oversold_overbought")
    code = replay("python", StrategyCode(text=RSI, lookback=250, min_candles=15))
    assert len(template.signals) > 20
    assert code.signals == template.signals
    assert (code.trades, code.ticks) == (template.trades, template.ticks)
