"""A tape of trades: served as they were, and folded into the one-minute candles that orders are matched against.

Files are the venue archive's CSV of aggTrades or trades, with `rades` in their name: gzip or not, header or not,
milliseconds or microseconds.
"""

from __future__ import annotations

import gzip
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from exchanges.simulator.market import PublicTrade
from exchanges.simulator.tape import (
    MINUTE_MS,
    SMALLEST_TICK,
    Candle,
    TapeError,
    flat,
    in_milliseconds,
    on_grid,
    symbol_of,
)

_BY_HEADER = {
    "id": ("agg_trade_id", "id"),
    "price": ("price",),
    "quantity": ("quantity", "qty"),
    "time": ("transact_time", "time"),
    "maker": ("is_buyer_maker",),
}
# Column positions of files without a header: trades have six columns, aggTrades seven (spot: one more).
_TRADES = {"id": 0, "price": 1, "quantity": 2, "time": 4, "maker": 5}
_AGG_TRADES = {"id": 0, "price": 1, "quantity": 2, "time": 5, "maker": 6}
_TRADES_WIDTH = 6


def is_trade_file(path: Path) -> bool:
    return "rades" in path.name


class TradeTape:
    """Implements `tape.Tape` and `market.TradeSource`. Candles are put on the grid, trades told as they were."""

    def __init__(self, tick: Decimal) -> None:
        self._tick = tick
        self._ids = array("q")
        self._times = array("q")
        self._prices: list[str] = []
        self._quantities: list[str] = []
        self._is_taker_buy = bytearray()
        self.candle = lru_cache(maxsize=4096)(self._candle)

    @property
    def first_ms(self) -> int:
        return self._times[0] // MINUTE_MS * MINUTE_MS

    @property
    def last_ms(self) -> int:
        return self._times[-1] // MINUTE_MS * MINUTE_MS

    def read(self, path: Path) -> None:
        """Adds a file's trades, which come after those read before. Raises TapeError."""
        try:
            body = path.read_bytes()
            lines = (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode("ascii").splitlines()
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise TapeError(f"{path.name}: cannot be read ({error}).") from error
        columns = _columns(path, lines[0] if lines else "")
        for number, line in enumerate(lines, 1):
            if line and line[0].isdigit():
                self._add(path, number, line.split(","), columns)
        if not self._ids:
            raise TapeError(f"{path.name}: holds no trades.")

    def between(self, from_ms: int, to_ms: int) -> list[PublicTrade]:
        return self._slice(bisect_left(self._times, from_ms), bisect_right(self._times, to_ms))

    def from_id(self, first_id: int, count: int, to_ms: int) -> list[PublicTrade]:
        first = bisect_left(self._ids, first_id)
        return self._slice(first, min(first + count, bisect_right(self._times, to_ms)))

    def _add(self, path: Path, number: int, cells: list[str], columns: dict[str, int]) -> None:
        try:
            trade_id, at_ms = int(cells[columns["id"]]), in_milliseconds(int(cells[columns["time"]]))
            price, quantity = cells[columns["price"]], cells[columns["quantity"]]
            is_maker = cells[columns["maker"]].lower() == "true"
        except (ValueError, IndexError):
            raise TapeError(f"{path.name}, line {number}: not a trade.") from None
        if self._ids and (trade_id <= self._ids[-1] or at_ms < self._times[-1]):
            raise TapeError(f"{path.name}, line {number}: comes before the trade above it.")
        self._ids.append(trade_id)
        self._times.append(at_ms)
        self._prices.append(price)
        self._quantities.append(quantity)
        self._is_taker_buy.append(not is_maker)

    def _slice(self, first: int, end: int) -> list[PublicTrade]:
        return [
            PublicTrade(
                trade_id=self._ids[at],
                price=Decimal(self._prices[at]),
                quantity=Decimal(self._quantities[at]),
                is_taker_buy=bool(self._is_taker_buy[at]),
                at_ms=self._times[at],
            )
            for at in range(first, end)
        ]

    def _candle(self, open_ms: int) -> Candle:
        first, end = bisect_left(self._times, open_ms), bisect_left(self._times, open_ms + MINUTE_MS)
        if first == end:
            return flat(open_ms, on_grid(self._prices[max(first - 1, 0)], self._tick))
        trades = self._slice(first, end)
        prices = [on_grid(self._prices[at], self._tick) for at in range(first, end)]
        return Candle(
            open_ms=open_ms,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=sum((trade.quantity for trade in trades), Decimal(0)),
            taker_volume=sum((trade.quantity for trade in trades if trade.is_taker_buy), Decimal(0)),
            trades=len(trades),
        )


def read_trade_tapes(files: Iterable[Path], tick_of: Mapping[str, Decimal]) -> dict[str, TradeTape]:
    """Tapes by symbol; a symbol's files in the order of their names. Raises TapeError."""
    tapes: dict[str, TradeTape] = {}
    for path in sorted(files, key=lambda path: path.name):
        symbol = symbol_of(path)
        tapes.setdefault(symbol, TradeTape(tick_of.get(symbol, SMALLEST_TICK))).read(path)
    return tapes


def _columns(path: Path, first: str) -> dict[str, int]:
    cells = first.strip().lower().split(",")
    if cells[0].isdigit():
        return _TRADES if len(cells) == _TRADES_WIDTH else _AGG_TRADES
    columns = {}
    for name, words in _BY_HEADER.items():
        found = [cells.index(word) for word in words if word in cells]
        if not found:
            raise TapeError(f"{path.name}: its header names no {words[0]}.")
        columns[name] = found[0]
    return columns
