"""How Binance's public kline streams are asked for and read. Pure.

Source: USDⓈ-M Futures, "Websocket Market Streams" and "Important WebSocket Change Notice" (routed addresses).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from core.candles import Candle
from core.timeframe import Timeframe
from exchanges.binance.market_stream import KlineNews, market_news, still_open
from exchanges.stream import StreamRules, WePing

TOPICS_PER_MESSAGE: Final = 100
_KLINE: Final = b'{"e":"kline"'
# The venue pings every three minutes only, which is long for a candle; it answers pings of ours. It closes after
# a day, and takes ten messages a second, on spot five.
RULES: Final = StreamRules(ping=WePing(every_s=30.0, within_s=10.0), max_age_s=23.5 * 3600.0)


def commands(method: str, topics: Sequence[str]) -> Iterator[str]:
    """The messages that ask for topics, or for no more of them."""
    for first in range(0, len(topics), TOPICS_PER_MESSAGE):
        part = topics[first : first + TOPICS_PER_MESSAGE]
        yield msgspec.json.encode({"method": method, "params": part, "id": first + 1}).decode()


class BinanceCandles:
    """A `Dialect` of `exchanges.feeds.candle_streams`."""

    name = "binance"
    rules = RULES

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")

    def url(self, topics: Sequence[str]) -> str:
        return f"{self._base}/market/ws/{topics[0]}"

    def topic(self, symbol: str, timeframe: Timeframe) -> str:
        return f"{symbol.lower()}@kline_{timeframe}"

    def subscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("SUBSCRIBE", topics)

    def is_candle(self, message: bytes) -> bool:
        return message.startswith(_KLINE)

    def closed(self, message: bytes) -> list[tuple[str, Candle]]:
        if still_open(message):
            return []
        news = market_news(message)
        if not isinstance(news, KlineNews) or not news.closed:
            return []
        return [(f"{news.symbol.lower()}@kline_{news.interval}", news.candle)]
