"""How Binance's public mark price streams are asked for and read. Pure.

Source: USDⓈ-M Futures, "Mark Price Stream".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from core.mark import Mark
from exchanges.binance.market_feed import RULES, commands
from exchanges.binance.market_stream import market_news
from exchanges.binance.public import MarkPrice

_MARK: Final = b'{"e":"markPriceUpdate"'


class BinanceMarks:
    """A `MarkDialect` of `exchanges.feeds.mark_streams`."""

    name = "binance marks"
    rules = RULES

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")

    def url(self, topics: Sequence[str]) -> str:
        return f"{self._base}/market/ws/{topics[0]}"

    def topic(self, symbol: str) -> str:
        return f"{symbol.lower()}@markPrice@1s"

    def subscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("SUBSCRIBE", topics)

    def unsubscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("UNSUBSCRIBE", topics)

    def mark(self, message: bytes) -> tuple[str, Mark] | None:
        news = market_news(message) if message.startswith(_MARK) else None
        return (news.symbol, Mark(price=news.price, at=news.at)) if isinstance(news, MarkPrice) else None
