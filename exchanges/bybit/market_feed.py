"""How Bybit's public kline stream is asked for and read. Pure.

Source: Bybit v5 API documentation, "WebSocket Connect" (a ping every 20 s, 21,000 characters of topics a connection)
and "WebSocket Stream, Public: Kline".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from core.candles import Candle
from core.timeframe import Timeframe
from exchanges.bybit.public import closed_candles, kline_topic
from exchanges.bybit.stream import RULES
from exchanges.bybit.wire import Topic, read

TOPICS_PER_MESSAGE: Final = 50
_KLINE: Final = b'{"topic":"kline.'

_MESSAGE: Final = msgspec.json.Decoder(Topic)


def commands(op: str, topics: Sequence[str], at_once: int) -> Iterator[str]:
    """The messages that ask for topics, or for no more of them."""
    for first in range(0, len(topics), at_once):
        yield msgspec.json.encode({"op": op, "args": topics[first : first + at_once]}).decode()


class BybitCandles:
    """A `Dialect` of `exchanges.feeds.candle_streams`."""

    name = "bybit"
    rules = RULES

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url.rstrip('/')}/v5/public/linear"

    def url(self, topics: Sequence[str]) -> str:
        return self._url

    def topic(self, symbol: str, timeframe: Timeframe) -> str:
        return kline_topic(symbol, timeframe)

    def subscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("subscribe", topics, TOPICS_PER_MESSAGE)

    def is_candle(self, message: bytes) -> bool:
        return message.startswith(_KLINE)

    def closed(self, message: bytes) -> list[tuple[str, Candle]]:
        candles = closed_candles(message)
        if not candles:
            return []
        topic = read(message, _MESSAGE).topic
        return [(topic, candle) for candle in candles]
