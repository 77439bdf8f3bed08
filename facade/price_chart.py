"""The price chart of one run: closed candles of its series, and what the run did on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from core.candles import CandleColumns
from core.ids import RunId
from core.mark import Mark
from core.market import Market, Series
from core.run import Run
from core.timeframe import Timeframe
from facade.schemas.form import Answer, Shown
from schema.records import OpenPosition, Trade

CANDLES_SHOWN: Final = 300


class MarketView(Protocol):
    """What the page asks of the market data; all answer at once."""

    @property
    def origin(self) -> str:
        """Where the candles come from, in words."""
        ...

    def candles(self, series: Series, limit: int) -> CandleColumns:
        """The newest `limit` candles held, oldest first; none for a series nobody trades on here."""
        ...

    def mark(self, venue: str, symbol: str) -> Mark | None:
        """What the venue values a position at; None where no account here holds one, or it is not heard."""
        ...


class Marker(Shown, frozen=True, kw_only=True):
    """An entry or exit on the chart, in epoch seconds of the candle it fell into."""

    time: int
    kind: str
    side: str
    price: Decimal
    pnl: Decimal | None = None


class ChartAnswer(Answer, frozen=True, kw_only=True):
    """Candles of a run's series as parallel lists, and what the run did on them."""

    run_id: RunId
    symbol: str
    timeframe: Timeframe
    origin: str
    times: tuple[int, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]
    markers: tuple[Marker, ...]
    entry_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None


def chart_answer(
    run: Run,
    held: OpenPosition | None,
    trades: Sequence[Trade],
    market: MarketView,
    now: datetime,
) -> ChartAnswer:
    timeframe = run.strategy.timeframe
    columns = closed(market.candles(series_of(run), CANDLES_SHOWN), timeframe, now)
    first = int(columns.open_time[0] // 1000) if len(columns) else None
    position = None if held is None or held.position.is_flat else held.position
    markers = [mark for trade in trades for mark in _trade_markers(trade, timeframe)]
    if position is not None and position.opened_at is not None and position.side is not None:
        at = _candle_time(position.opened_at, timeframe)
        markers.append(Marker(time=at, kind="entry", side=position.side.value, price=position.entry_price))
    seen = [mark for mark in markers if first is not None and mark.time >= first]
    return ChartAnswer(
        run_id=run.id,
        symbol=run.strategy.symbol,
        timeframe=timeframe,
        origin=market.origin,
        times=tuple(int(at // 1000) for at in columns.open_time.tolist()),
        open=tuple(columns.open.tolist()),
        high=tuple(columns.high.tolist()),
        low=tuple(columns.low.tolist()),
        close=tuple(columns.close.tolist()),
        markers=tuple(sorted(seen, key=lambda mark: mark.time)),
        entry_price=position.entry_price if position is not None else None,
        stop_loss=held.stop_loss if held is not None and position is not None else None,
        take_profit=held.take_profit if held is not None and position is not None else None,
    )


def series_of(run: Run) -> Series:
    strategy = run.strategy
    return Series(
        venue=strategy.venue,
        market=Market(strategy.market),
        symbol=strategy.symbol,
        timeframe=strategy.timeframe,
    )


def closed(columns: CandleColumns, timeframe: Timeframe, now: datetime) -> CandleColumns:
    """Those that have closed by `now`: a held source also knows the future."""
    end_ms = int(now.timestamp() * 1000) - timeframe.ms + 1
    return columns.between(0, end_ms)


def _trade_markers(trade: Trade, timeframe: Timeframe) -> tuple[Marker, Marker]:
    entry = Marker(
        time=_candle_time(trade.entry_time, timeframe), kind="entry", side=trade.side, price=trade.entry_price
    )
    left = Marker(
        time=_candle_time(trade.exit_time, timeframe),
        kind=trade.exit_reason,
        side=trade.side,
        price=trade.exit_price,
        pnl=trade.pnl,
    )
    return entry, left


def _candle_time(at: datetime, timeframe: Timeframe) -> int:
    return int(timeframe.floor(at).timestamp())
