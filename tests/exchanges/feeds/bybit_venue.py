"""A stand-in for Bybit's public candle endpoints: a real HTTP server with the documented answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from core.candles import CandleColumns, aggregate
from core.timeframe import Timeframe
from tests.exchanges.feeds.public_venue import CANDLES, NOW_MS, Venue, served

LISTED = 1200
"""How many of CANDLES are from before the symbol was listed."""
INTERVALS = {"1": "1m", "5": "5m"}


class BybitVenue(Venue):
    """Serves CANDLES from number LISTED on, at the venue's time NOW_MS."""

    def __init__(self) -> None:
        super().__init__()
        listed = CANDLES.part(LISTED, len(CANDLES))
        self.served = {"1m": listed, "5m": aggregate(listed, Timeframe.M1, Timeframe.M5)}

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        if path == "/v5/market/time":
            return 200, wrapped({"timeSecond": str(NOW_MS // 1000), "timeNano": str(NOW_MS * 1_000_000)})
        if query["symbol"] != "BTCUSDT":
            return 200, wrapped({}, 10001, "params error: Symbol Is Invalid")
        return 200, self.klines(query)

    def klines(self, query: dict[str, str]) -> bytes:
        """The newest `limit` rows that open in [start, end], newest first, the first one still open."""
        columns = self.served[INTERVALS[query["interval"]]]
        end = min(int(query.get("end", NOW_MS)), NOW_MS)
        inside = columns.between(int(query.get("start", 0)), end + 1)
        limit = int(query["limit"])
        return wrapped(
            {"category": "linear", "list": rows(inside.part(max(0, len(inside) - limit), len(inside)))}
        )


def wrapped(result: object, code: int = 0, text: str = "OK") -> bytes:
    message = {"retCode": code, "retMsg": text, "result": result, "retExtInfo": {}, "time": NOW_MS}
    return json.dumps(message).encode()


def rows(columns: CandleColumns) -> list[list[str]]:
    """Start, open, high, low, close, volume, turnover; newest first."""
    return [
        [str(candle.open_time_ms), *(repr(value) for value in candle.row()[1:6]), "1.0"]
        for candle in reversed(list(columns))
    ]


@contextmanager
def running() -> Iterator[BybitVenue]:
    with served(BybitVenue()) as venue:
        yield venue
