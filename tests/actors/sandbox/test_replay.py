"""One strategy of every kind in a replay: the same signals on every slot."""

from __future__ import annotations

from pathlib import Path

from actors.backtest import BacktestRequest, BacktestResult, ReplayPath, run_backtest
from core.candles import CandleColumns
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
RSI_TYPESCRIPT = """
type Candle = { close: number };
type Context = { candles: Candle[]; parameters: Record<string, number> };

function strategy({ candles, parameters }: Context) {
  const closes: number[] = candles.map((candle) => candle.close);
  if (closes.every((close) => close === closes[0])) return { action: "hold" };
  const period = parameters.rsi_period;
  let gain = 0, loss = 0;
  for (let i = 1; i < closes.length; i++) {
    const change = closes[i] - closes[i - 1];
    const weight: number = i <= period ? 0 : period - 1;
    gain = gain * (weight || 1) + Math.max(change, 0);
    loss = loss * (weight || 1) + Math.max(-change, 0);
    if (i >= period) { gain /= period; loss /= period; }
  }
  const rsi = 100 * (gain / (gain + loss));
  const action = rsi < parameters.rsi_oversold ? "buy" : rsi > parameters.rsi_overbought ? "sell" : "hold";
  return { action, indicators: { rsi } };
}
"""
PARAMETERS = {"rsi_period": 14, "rsi_oversold": 30, "rsi_overbought": 70}
DAYS_OF_CANDLES = 7 * 288
GRAPH = Path(__file__).resolve().parents[3] / "examples" / "graph_rsi.json"


def replay(candles: CandleColumns, kind: StrategyKind, source: str = "", **parameters: int) -> BacktestResult:
    series = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
    feed = ColumnSource(origin="candles", venue="binance", series={series: candles})
    request = BacktestRequest(
        template=kind.value if source else "rsi_oversold_overbought",
        kind=kind,
        source=source,
        symbol="BTCUSDT",
        timeframe=Timeframe.M5,
        parameters=parameters,
        limits=None,
    )
    return run_backtest(request, feed, path=ReplayPath.AUTO)


def test_rsi_of_every_kind_signals_alike_on_every_slot(recorded_data: Path | None) -> None:
    candles = columns("recorded" if recorded_data else "generated").part(0, DAYS_OF_CANDLES)
    template = replay(candles, StrategyKind.TEMPLATE, **PARAMETERS)
    assert len(template.signals) > 20
    others = [
        replay(candles, kind, StrategyCode(text=text, lookback=250, min_candles=15).source(), **PARAMETERS)
        for kind, text in ((StrategyKind.PYTHON, RSI), (StrategyKind.TYPESCRIPT, RSI_TYPESCRIPT))
    ]
    others.append(replay(candles, StrategyKind.GRAPH, GRAPH.read_text()))
    for other in others:
        assert other.signals == template.signals
        assert (other.trades, other.ticks) == (template.trades, template.ticks)
